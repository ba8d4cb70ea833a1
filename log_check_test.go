package caddybws

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// provisioned is a Caddyfile with a service, provisioned as Caddy does it.
func provisioned(t *testing.T, text string) caddy.Context {
	t.Helper()
	adapter := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
	text = strings.Replace(text, "{\n", "{\n\tadmin off\n\tauto_https off\n\tstorage file_system "+t.TempDir()+
		"\n\tbws {\n\t\tapp_id a\n\t\tapp_secret s\n\t}\n", 1)
	adapted, _, err := adapter.Adapt([]byte(text), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	config := new(caddy.Config)
	if err := json.Unmarshal(adapted, config); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(config)
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

// A log that would show tokens is warned of, whatever filters it or does not, and no other.
func TestWarnOfLogs(t *testing.T) {
	const (
		quiet   = "{\n\tlog {\n\t\tformat bws\n\t}\n}\n"
		plain   = "{\n}\n"
		access  = "http.log.access.log0"
		failure = "http.log.error.log0"
	)
	for name, test := range map[string]struct {
		global, site string
		want         []string
	}{
		"no access log":      {plain, ":80 {\n bws\n}", nil},
		"no gate":            {plain, ":80 {\n log {LOG}\n}", nil},
		"access log":         {quiet, ":80 {\n log {LOG}\n bws\n}", []string{access + ": header X-BWS-Token"}},
		"in the global log":  {plain, ":80 {\n log\n bws\n}", []string{"http.log.access: header X-BWS-Token", "http.log.error: header X-BWS-Token"}},
		"error log":          {plain, ":80 {\n log {LOG\n format bws\n }\n bws\n}", []string{failure + ": header X-BWS-Token"}},
		"filtered":           {quiet, ":80 {\n log {LOG\n format bws\n }\n bws\n}", nil},
		"filtered otherwise": {quiet, ":80 {\n log {LOG\n format filter {\n request>headers>X-Bws-Token delete\n }\n }\n bws\n}", nil},
		// Caddy's filters do not see what is nested from within another one.
		"filtered within a filter": {
			quiet, ":80 {\n log {LOG\n format filter {\n request>headers>Foo delete\n wrap bws\n }\n }\n bws\n}",
			[]string{access + ": header X-BWS-Token"},
		},
		"filtered around a filter": {
			quiet, ":80 {\n log {LOG\n format bws {\n wrap filter {\n request>headers>Foo delete\n }\n }\n }\n bws\n}", nil,
		},
		"another filter instead": {
			quiet, ":80 {\n log {LOG\n format bws {\n request>headers>X-Bws-Token regexp foo bar\n }\n }\n bws\n}",
			[]string{access + ": header X-BWS-Token"},
		},
		"filtered whole": {quiet, ":80 {\n log {LOG\n format filter {\n request delete\n }\n }\n bws\n}", nil},
		"another header": {"{\n\tlog {\n\t\tformat bws {\n\t\t\trequest>headers>My-Token delete\n\t\t}\n\t}\n}\n",
			":80 {\n log {LOG\n format bws\n }\n bws {\n token header my-token\n }\n}", []string{access + ": header my-token"}},
		"another header, filtered": {"{\n\tlog {\n\t\tformat bws {\n\t\t\trequest>headers>My-Token delete\n\t\t}\n\t}\n}\n",
			":80 {\n log {LOG\n format bws {\n request>headers>My-Token delete\n }\n }\n bws {\n token header My-token\n }\n}", nil},
		"cookies": {plain, ":80 {\n log {LOG}\n bws {\n token cookie mine\n token bearer\n session\n }\n}", nil},
		"cookies on purpose": {"{\n\tlog {\n\t\tformat filter {\n\t\t\trequest delete\n\t\t}\n\t}\n\tservers {\n\t\tlog_credentials\n\t}\n}\n",
			":80 {\n log {LOG}\n bws {\n token cookie mine\n token bearer\n }\n}", []string{access + ": bearer, cookie mine"}},
		"session on purpose": {"{\n\tlog {\n\t\tformat filter {\n\t\t\trequest delete\n\t\t}\n\t}\n\tservers {\n\t\tlog_credentials\n\t}\n}\n",
			":80 {\n log {LOG}\n bws {\n token bearer\n session {\n cookie x\n }\n }\n}", []string{access + ": bearer, cookie x"}},
		"login":           {quiet, ":80 {\n log {LOG}\n bws {\n bcid bws/1/42\n login\n }\n}", []string{access + ": login"}},
		"login, filtered": {quiet, ":80 {\n log {LOG\n format bws\n }\n bws {\n bcid bws/1/42\n login\n }\n}", nil},
		"another site":    {quiet, "http://a.example {\n bws\n}\nhttp://b.example {\n log {LOG}\n}", nil},
		"one of two sites": {quiet, "http://a.example {\n log {LOG\n format bws\n }\n bws\n}\nhttp://*.example {\n log {\n output stderr\n }\n bws\n}",
			[]string{"http.log.access.log1: header X-BWS-Token"}},
		"in a block": {quiet, ":80 {\n log {LOG}\n handle /a* {\n route {\n bws\n }\n }\n}", []string{access + ": header X-BWS-Token"}},
		"elsewhere":  {"{\n\tlog {\n\t\texclude http.log.error\n\t}\n}\n", ":80 {\n log {LOG\n format bws\n }\n bws\n}", nil},
	} {
		t.Run(name, func(t *testing.T) {
			output := "\n output file " + filepath.Join(t.TempDir(), "log") + "\n"
			ctx := provisioned(t, test.global+strings.ReplaceAll(test.site, "LOG", output))
			app, err := ctx.App("http")
			if err != nil {
				t.Fatal(err)
			}
			core, logs := observer.New(zap.WarnLevel)
			warnOfRoutes(ctx, app.(*caddyhttp.App), zap.New(core))
			var got []string
			for _, line := range logs.FilterMessage(logShowsTokens).All() {
				fields := line.ContextMap()
				got = append(got, fmt.Sprintf("%v: %s", fields["log"], strings.Join(toStrings(fields["shown"]), ", ")))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func toStrings(values any) (texts []string) {
	for _, value := range values.([]any) {
		texts = append(texts, value.(string))
	}
	return texts
}
