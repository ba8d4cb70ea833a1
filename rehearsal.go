package caddybws

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-bws/caddy-bws/internal/explain"
	"github.com/caddy-bws/caddy-bws/internal/policy"
)

// rehearsal sends a request that nobody has made through the gates of a configuration that does not run. The gates are the real
// ones; what they ask, BWS and the storage, is played.
type rehearsal struct {
	*explain.Question
	app    *caddyhttp.App
	server *caddyhttp.Server
	props  *props
	report *explain.Report
	// gates are those that the request meets, in this order.
	gates []*Gate
	walk  *walk
}

// rehearse says what would become of a request, given a configuration in JSON. It opens no connection, and touches no storage but one
// of its own that it removes.
func rehearse(ctx context.Context, config []byte, q *explain.Question) (*explain.Report, error) {
	dir, err := os.MkdirTemp("", "caddy-bws-check-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	app, services, err := provisionOffline(config, dir)
	if err != nil {
		return nil, err
	}
	defer services.Cleanup() //nolint:errcheck // nothing runs
	r := &rehearsal{Question: q, app: app, report: new(explain.Report)}
	if err := r.chooseServer(); err != nil {
		return nil, err
	}
	// First to find the gates, which say where they look for credentials; then with these.
	if err := r.pass(ctx, true); err != nil {
		return nil, err
	}
	if r.props, err = r.setTheStage(ctx, dir); err != nil {
		return nil, err
	}
	defer r.props.close()
	if err := r.pass(ctx, false); err != nil {
		return nil, err
	}
	r.conclude()
	return r.report, nil
}

// chooseServer finds the server that gets the request: the one that is named, or that listens on the port of the URL.
func (r *rehearsal) chooseServer() error {
	request, err := r.request()
	if err != nil {
		return err
	}
	port := request.URL.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[request.URL.Scheme]
	}
	known := make([]string, 0, len(r.app.Servers))
	for _, name := range slices.Sorted(maps.Keys(r.app.Servers)) {
		server := r.app.Servers[name]
		known = append(known, name+" ("+strings.Join(server.Listen, " ")+")")
		if r.Server == "" && listensOn(server, port) || r.Server == name || slices.Contains(server.Listen, r.Server) {
			r.server, r.report.Server = server, name
			return nil
		}
	}
	if r.Server != "" {
		return fmt.Errorf("server: there is none called %q; use one of %s", r.Server, strings.Join(known, ", "))
	}
	return fmt.Errorf("no server listens on port %s; write the port in the URL, or name the server: %s", port, strings.Join(known, ", "))
}

func listensOn(server *caddyhttp.Server, port string) bool {
	return slices.ContainsFunc(server.Listen, func(listen string) bool {
		addr, err := caddy.ParseNetworkAddress(listen)
		if err != nil || addr.IsUnixNetwork() {
			return false
		}
		for p := addr.StartPort; p <= addr.EndPort; p++ {
			if fmt.Sprint(p) == port {
				return true
			}
		}
		return false
	})
}

// request makes the request that is asked about, without credentials of its own.
func (r *rehearsal) request() (*http.Request, error) {
	request, err := http.NewRequest(r.Method, r.URL, http.NoBody)
	if err != nil || request.URL.Host == "" || request.URL.Scheme != "http" && request.URL.Scheme != "https" {
		return nil, fmt.Errorf("the request %q is none; write one such as GET https://host/path", r.Method+" "+r.URL)
	}
	if request.URL.Path == "" {
		request.URL.Path = "/"
	}
	request.RequestURI = request.URL.RequestURI()
	request.RemoteAddr = net.JoinHostPort(r.Client, "50000")
	for _, line := range r.Header {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("the header line %q has no colon; write it as Name: value", line)
		}
		request.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return request, nil
}

// pass sends the request through the routes of the server. A blind one only looks which gates there are.
func (r *rehearsal) pass(ctx context.Context, blind bool) error {
	request, err := r.request()
	if err != nil {
		return err
	}
	secure := request.URL.Scheme == "https"
	if secure && len(r.server.TLSConnPolicies) > 0 {
		request.TLS = &tls.ConnectionState{HandshakeComplete: true, ServerName: request.URL.Hostname(), Version: tls.VersionTLS13}
	}
	shown := *request.URL
	shown.RawQuery = "" // it may hold a token
	r.report.Request = request.Method + " " + shown.String()
	// As the server sees it: a path and a host.
	request.URL.Scheme, request.URL.Host = "", ""
	request = caddyhttp.PrepareRequest(request.WithContext(ctx), caddy.NewReplacer(), newDraft(), r.server)
	if r.walk = newWalk(r, blind); !blind {
		r.props.placeIn(request)
		if secure && !isSecure(request) {
			r.note("the server speaks no TLS, and no proxy that it trusts says https: taken as plain HTTP")
		}
	}
	return r.walk.routes(r.server.Routes, "routes", endOfRoutes).ServeHTTP(newDraft(), request)
}

// ungated are handlers of ours that need no gate before them.
var ungated = []string{"bws_logout", "bws_jwks"}

// note says once what was assumed.
func (r *rehearsal) note(text string) {
	if !slices.Contains(r.report.Notes, text) {
		r.report.Notes = append(r.report.Notes, text)
	}
}

// endOfRoutes is what Caddy does where no handler answers.
var endOfRoutes = caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })

// conclude sums up what the gates decide.
func (r *rehearsal) conclude() {
	report := r.report
	r.walk.addGatesNotMet()
	report.Steps, report.Decision = r.walk.steps, explain.Open
	for _, step := range report.Steps {
		switch {
		case step.Gate == nil || step.NotReached || report.Decision == explain.Deny:
		case step.Gate.Answer != nil:
			report.Decision, report.Reason = explain.Deny, step.Gate.Reason
		default:
			report.Decision = explain.Allow
		}
	}
	if report.Decision == explain.Open && !slices.Contains(ungated, r.walk.answered) {
		report.Warnings = append(report.Warnings, "no gate looks at this request: whoever sends it gets the answer; "+
			"place a bws without a matcher, or with one that matches it, before what answers")
	}
	if r.User != "" && !r.walk.userNamed {
		r.note("no handler before the gates could have named a user: the user that is given counts for nothing")
	}
	if r.PresentsToken() && r.Result == nil && (r.Fault == "" || r.Fault == policy.Pending) {
		r.note("no result is given: taken as not performed yet")
	}
	for _, s := range r.props.services {
		for _, warning := range s.warnings() {
			report.Warnings = append(report.Warnings, "service: "+warning)
		}
	}
}

var errNoSite = errors.New("the configuration has no http app; give one with a site")
