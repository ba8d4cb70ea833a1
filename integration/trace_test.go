package integration

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// span is one as the exporter writes it to the standard output.
type span struct {
	Name        string
	SpanContext struct{ TraceID, SpanID string }
	Parent      struct{ SpanID string }
	Attributes  []struct {
		Key   string
		Value struct{ Value any }
	}
}

// spans returns what Caddy has exported so far, by name. Each is a line of JSON among those of the log.
func (c *caddyProcess) spans() map[string][]span {
	found := make(map[string][]span)
	for line := range strings.Lines(c.logs.String()) {
		var s span
		if json.Unmarshal([]byte(line), &s) == nil && s.Name != "" {
			found[s.Name] = append(found[s.Name], s)
		}
	}
	return found
}

// With Caddy's tracing on, a request's trace shows the verification and the call, and nothing that opens anything.
func TestTracing(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "console")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
	service := bwstest.NewServer(t, bwstest.Config{})
	c := startCaddy(t, serviceOption("", service.URL), "{addr} {\n\ttracing {\n\t\tspan site\n\t}\n\tbws\n\trespond app\n}")
	token := goodToken(service)
	for range 2 {
		if got := do(t, http.MethodGet, "http://"+c.Addr+"/page?access_token=in-the-query", "X-BWS-Token: "+token); got.StatusCode != http.StatusOK {
			t.Fatalf("got %d %s", got.StatusCode, got.Body)
		}
	}
	eventually(t, "the spans are exported", func() bool { return len(c.spans()["site"]) == 2 })
	spans := c.spans()
	sites, verifications, calls := spans["site"], spans["bws.verify"], spans["bws.call"]
	if len(verifications) != 2 || len(calls) != 1 {
		t.Fatalf("the spans are %+v", spans)
	}
	for i, v := range verifications {
		if v.Parent.SpanID != sites[i].SpanContext.SpanID || v.SpanContext.TraceID != sites[i].SpanContext.TraceID {
			t.Errorf("the verification %+v is not below the request %+v", v, sites[i])
		}
		want := []any{"allow", "", []string{"service", "cache"}[i]}
		if len(v.Attributes) != len(want) {
			t.Fatalf("the verification has the attributes %v, want %v", v.Attributes, want)
		}
		for j, a := range v.Attributes {
			if a.Value.Value != want[j] {
				t.Errorf("%s is %v, want %v", a.Key, a.Value.Value, want[j])
			}
		}
	}
	if !slices.ContainsFunc(verifications, func(v span) bool { return v.SpanContext.SpanID == calls[0].Parent.SpanID }) {
		t.Errorf("the call %+v is not below a verification", calls[0])
	}
	for line := range strings.Lines(c.logs.String()) {
		if !strings.Contains(line, `"Name":"bws.`) {
			continue
		}
		for _, secret := range []string{token, bwstest.AppSecret, alice.String(), "in-the-query"} {
			if strings.Contains(line, secret) {
				t.Errorf("a span shows %s: %s", secret, line)
			}
		}
	}
}
