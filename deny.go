package caddybws

import (
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/munnerz/goautoneg"
	"go.uber.org/zap"

	"github.com/caddy-bws/caddy-bws/internal/policy"
)

// How a denial is answered.
const (
	denyRespond  = "respond"
	denyError    = "error"
	denyRedirect = "redirect"
)

// Denial says how a gate answers a request that it denies.
type Denial struct {
	// `respond` answers with a page if a browser navigates, and with `application/problem+json` otherwise. `error` hands the
	// status to `handle_errors`, which finds the reason in `{http.bws.reason}`. `redirect` sends a browser that navigates to
	// `to` with 303 if the status is 401 or 403, and responds otherwise. Default: `respond`.
	Mode string `json:"mode,omitempty"`

	// Where `redirect` leads: an http or https URL or a path of this site. Supports global placeholders.
	To string `json:"to,omitempty"`
}

func (g *Gate) provisionDenial() (err error) {
	if g.Deny != nil && g.Deny.Mode == denyRedirect {
		g.redirectTo, err = resolveRedirect("deny redirect", g.Deny.To)
	}
	return err
}

// deny carries a denial out. It reads nothing of the request's body.
func (g *Gate) deny(w http.ResponseWriter, q *inquiry) error {
	r, v := q.Request, q.visit
	v.withdraw(r)
	told := refusalFor(v.decision.Reason)
	if g.login != nil {
		begun, instead := g.logIn(w, q, told)
		if begun {
			metrics.loginsBegun.Inc()
			g.record(zap.InfoLevel, "login begun", q)
			return nil
		}
		told = instead
		v.decision = policy.Deny(told.reason)
	}
	g.record(zap.InfoLevel, "denied", q)
	told.maxAge, told.login = g.maxAge(told.reason), g.loginLink(q)
	told.setHeaders(w.Header(), r)
	switch {
	case told.isForClient() && g.mayHaveSession(q):
		return told.writeDetour(w, r)
	case g.Deny != nil && g.Deny.Mode == denyError:
		return caddyhttp.Error(told.status, errors.New("bws: "+string(told.reason)))
	case g.redirectTo != "" && told.isForClient() && isNavigation(r):
		w.Header().Set("Location", g.redirectTo)
		w.WriteHeader(http.StatusSeeOther)
		return nil
	}
	return told.respond(w, r)
}

// refusal is a denial as a client is told about it.
type refusal struct {
	denial
	reason policy.Reason
	// maxAge is how old the biometric act may be, in seconds, where that is what the client needs to know.
	maxAge int
	// login is where a browser can go to be verified, if it can.
	login string
}

func refusalFor(reason policy.Reason) refusal {
	return refusal{denial: denialOf(reason), reason: reason}
}

// respond shows a browser that navigates a page, and tells everybody else in JSON.
func (d refusal) respond(w http.ResponseWriter, r *http.Request) error {
	if isNavigation(r) {
		return d.writePage(w, r)
	}
	return d.writeProblem(w, r)
}

func (d refusal) setHeaders(header http.Header, r *http.Request) {
	header.Set("Cache-Control", "no-store")
	if d.retryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int(d.retryAfter/time.Second)))
	}
	if d.status != http.StatusUnauthorized {
		return
	}
	challenge := `BWS realm="` + realm(r) + `", error="` + string(d.reason) + `"`
	if d.maxAge > 0 {
		challenge += `, max_age="` + strconv.Itoa(d.maxAge) + `"`
	}
	header.Add("WWW-Authenticate", challenge)
}

// maxAge is how old the biometric act may be, in seconds, where that is what the client needs to know.
func (g *Gate) maxAge(reason policy.Reason) int {
	if reason != policy.TooOld {
		return 0
	}
	return int(time.Duration(g.MaxAge) / time.Second)
}

// realm is the host without its port, safe inside a quoted string.
func realm(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	return strings.Map(func(c rune) rune {
		if c == '"' || c == '\\' || c < ' ' || c >= 0x7f {
			return -1
		}
		return c
	}, host)
}

// mayHaveSession reports whether the browser may have kept a session's cookie to itself because another site has led it here.
// A page of this site that leads on by itself brings the cookie along, and a redirect would not.
func (g *Gate) mayHaveSession(q *inquiry) bool {
	if g.sessions == nil || !g.sessions.strict || q.Method != http.MethodGet || !isNavigation(q.Request) {
		return false
	}
	from := q.Header["Sec-Fetch-Site"]
	value, _ := g.sessions.cookie(q.secure).find(q.visit, q.Request)
	return len(from) == 1 && from[0] == "cross-site" && value == ""
}

// isNavigation reports whether a browser asks for a page to show. Where it does not say so itself, an Accept header that
// names HTML does.
func isNavigation(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	if mode := r.Header["Sec-Fetch-Mode"]; len(mode) > 0 {
		return mode[0] == "navigate"
	}
	html, _ := wishForHTML(r)
	return html > 0
}

// wishForHTML returns how much a client wants HTML, and how much what it wants most.
func wishForHTML(r *http.Request) (html, most float64) {
	for _, accept := range goautoneg.ParseAccept(strings.Join(r.Header["Accept"], ",")) {
		most = max(most, accept.Q)
		if accept.Type == "text" && accept.SubType == "html" {
			html = max(html, accept.Q)
		}
	}
	return html, most
}
