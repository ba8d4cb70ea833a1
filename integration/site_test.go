package integration

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// gatedSite is a running Caddy with gates in front of an app, and the emulator as BWS.
type gatedSite struct {
	*caddyProcess
	t       *testing.T
	service *bwstest.Server
	app     *app
}

// startSite runs a site whose gates ask the emulator. The options of servers come from the test, as does what the site has
// besides the app.
func startSite(t *testing.T, servers, directives string) *gatedSite {
	t.Helper()
	service, app := bwstest.NewServer(t, bwstest.Config{}), newApp(t)
	options := "\tservers {\n" + servers + "\n\t}\n" + serviceOption("", service.URL,
		"timeout 500ms", "cache_ttl 0", "failure_ttl 0", "client_rate 100000 1m")
	c := startCaddy(t, options, "{addr} {\n"+directives+"\n\treverse_proxy "+app.Listener.Addr().String()+"\n}")
	return &gatedSite{c, t, service, app}
}

// serviceOption is the global option of a service with the emulator's credentials.
func serviceOption(name, endpoint string, options ...string) string {
	credentials := []string{"bws " + name + " {", "endpoint " + endpoint, "app_id " + bwstest.AppID, "app_secret " + bwstest.AppSecret}
	return strings.Join(append(credentials, options...), "\n") + "\n}\n"
}

// raw sends a request as it is written, but for the Host line and the end, which it adds.
func (s *gatedSite) raw(t *testing.T, requestLine string, headers ...string) *answer {
	t.Helper()
	return sendRaw(t, s.Addr, strings.Join(append([]string{requestLine, "Host: " + s.Addr, "Connection: close"}, headers...), "\n")+"\n\n")
}

// goodToken is a token with which Alice has been verified.
func (s *gatedSite) goodToken() string { return goodToken(s.service) }

// reached returns the one request that has reached the app.
func (s *gatedSite) reached(t *testing.T) *http.Request {
	t.Helper()
	requests := s.app.take()
	if len(requests) != 1 {
		t.Fatalf("%d requests have reached the app, want one", len(requests))
	}
	return requests[0]
}

// checkKeptOut checks that a request was denied for a reason, and has not reached the app.
func (s *gatedSite) checkKeptOut(t *testing.T, got *answer, reason string) {
	t.Helper()
	if requests := s.app.take(); len(requests) > 0 {
		t.Errorf("the app is reached: %s %s", requests[0].Method, requests[0].RequestURI)
	}
	if got.reason() != reason {
		t.Errorf("got %d %s, want %s", got.StatusCode, got.Body, reason)
	}
}
