package caddybws

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/explain"
)

// gate has a gate decide, and the request go on whatever it decides.
func (w *walk) gate(g *Gate, path string, next caddyhttp.Handler) caddyhttp.Handler {
	return caddyhttp.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) error {
		w.gates = append(w.gates, g)
		if w.blind {
			return next.ServeHTTP(rw, r)
		}
		repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
		x := examination{
			walk: w, gate: g, visit: visitOf(r, repl), request: r.Clone(r.Context()), persons: g.persons.resolve(visitOf(r, repl), repl),
		}
		answer, passed := newDraft(), false
		err := g.ServeHTTP(answer, r, caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
			passed = true
			w.step(explain.Step{Path: path, Handler: "bws", NotReached: w.denied, Gate: x.report(nil)})
			return next.ServeHTTP(rw, r)
		}))
		if passed {
			return err
		}
		w.step(explain.Step{Path: path, Handler: "bws", NotReached: w.denied, Gate: x.report(answer.sent(g, err))})
		w.denied = true
		return next.ServeHTTP(rw, r)
	})
}

// examination is a gate's decision, looked at from all sides.
type examination struct {
	*walk
	gate *Gate
	// visit is that of the request, and request what it was before the gate took its credentials.
	visit   *visit
	request *http.Request
	persons []bws.Pattern
}

func (x *examination) report(answer *explain.Answer) *explain.Gate {
	g, decision := x.gate, x.visit.decision
	report := &explain.Gate{
		Service: g.serviceName(), ReportOnly: g.ReportOnly, Decision: explain.Allow, Reason: decision.Reason, Answer: answer,
		Options: x.options(), Warnings: g.warnings(len(x.server.TLSConnPolicies) == 0),
	}
	for _, warning := range routeWarnings(x.app) {
		if warning.gate == g && !slices.Contains(report.Warnings, warning.message) {
			report.Warnings = append(report.Warnings, warning.message)
		}
	}
	shown := inspectLogs(g.ctx, x.server, g).shown
	for _, log := range slices.Sorted(maps.Keys(shown)) {
		report.Warnings = append(report.Warnings, fmt.Sprintf("%s (%s: %s)", logShowsTokens, log, strings.Join(shown[log], ", ")))
	}
	if decision.Allow {
		return report
	}
	report.Decision = explain.Deny
	if entry, ok := explain.Of(decision.Reason); ok {
		report.Meaning, report.Remedy = entry.Meaning, entry.Operator
	}
	for _, option := range report.Options {
		if option.Verdict == explain.Failed {
			report.Found, report.Demanded = option.Found, fmt.Sprintf("%s: %s", option.Name, option.Demanded)
		}
	}
	return report
}

// draft is an answer that nobody gets.
type draft struct {
	header http.Header
	status int
	body   strings.Builder
}

func newDraft() *draft { return &draft{header: make(http.Header)} }

// Header returns the header.
func (d *draft) Header() http.Header { return d.header }

// WriteHeader keeps the status.
func (d *draft) WriteHeader(status int) { d.status = status }

// Write keeps the body.
func (d *draft) Write(p []byte) (int, error) { return d.body.Write(p) }

// toldHeaders say something about a denial.
var toldHeaders = []string{"Location", "Www-Authenticate", "Retry-After", "Content-Type"}

// sent says what a gate has answered with.
func (d *draft) sent(g *Gate, err error) *explain.Answer {
	answer := &explain.Answer{Kind: "problem", Status: d.status, Header: make(http.Header)}
	for _, name := range toldHeaders {
		if values := d.header[name]; len(values) > 0 {
			answer.Header[name] = values
		}
	}
	location := d.header.Get("Location")
	failure, failed := errors.AsType[caddyhttp.HandlerError](err)
	switch {
	case failed:
		answer.Kind, answer.Status = "error", failure.StatusCode
	case g.login != nil && location != "" && strings.HasPrefix(location, g.login.ui.Scheme+"://"+g.login.ui.Host+g.login.ui.Path):
		// The rest is a token and a state, which are of no use.
		answer.Kind = "login"
		answer.Header.Set("Location", strings.SplitN(location, "?", 2)[0])
	case location != "":
		answer.Kind = "redirect"
	case strings.Contains(d.body.String(), `http-equiv="refresh"`):
		answer.Kind = "detour"
	case strings.HasPrefix(d.header.Get("Content-Type"), "text/html"):
		answer.Kind = "page"
	}
	return answer
}

// Interface guards
var _ http.ResponseWriter = (*draft)(nil)
