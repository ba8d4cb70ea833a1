package caddybws

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/policy"
	"github.com/caddy-bws/caddy-bws/internal/verifier"
)

// mendedByLogin are the reasons for which a login begins by itself: there is no evidence, or not any more.
var mendedByLogin = []policy.Reason{
	policy.NoToken, policy.ExpiredToken, policy.RejectedToken, policy.Pending, policy.TooOld, policy.SessionExpired,
	policy.Spent, policy.Revoked,
}

// canLogInAt reports whether a browser can begin a login at a path, and come back to it. From the camera page itself it would lead
// to the camera page.
func (g *Gate) canLogInAt(q *inquiry, u *url.URL) bool {
	ui := g.login.ui
	return mayReturnTo(u) && (!strings.EqualFold(ui.Host, q.Host) || ui.EscapedPath() != u.EscapedPath())
}

// logIn sends a browser to the camera page if the denial is one that this can mend. Else it returns what to tell, which may be
// something else by now: how an earlier login ended, or why there is none.
func (g *Gate) logIn(w http.ResponseWriter, q *inquiry, because refusal) (begun bool, _ refusal) {
	u := askedURL(q.Request)
	_, clicked := withoutClick(u)
	wanted := slices.Contains(mendedByLogin, because.reason) || clicked && because.isForClient()
	if !wanted || !g.canLogInAt(q, u) || !isTopLevel(q.Request) || g.mayHaveSession(q) {
		return false, because
	}
	if !clicked {
		if outcome := g.lastOutcome(q, u); outcome != "" {
			return false, outcome.refusal()
		}
	}
	if reason := g.beginLogin(w, q, u); reason != "" {
		return false, refusalFor(reason)
	}
	return true, because
}

// loginLink is what a client is told about logging in: a page gets a link that begins a login, whatever has been before; everybody
// else the URL that a browser can navigate to.
func (g *Gate) loginLink(q *inquiry) string {
	u := askedURL(q.Request)
	if g.login == nil || !g.canLogInAt(q, u) {
		return ""
	}
	if query, _ := withoutClick(u); isNavigation(q.Request) {
		return clickOn(u, query)
	}
	return u.EscapedPath()
}

// isTopLevel reports whether a browser navigates to show a page in a window of its own, and not in advance. Where it does not say
// so, it must want HTML most.
func isTopLevel(r *http.Request) bool {
	if r.Method != http.MethodGet || isTooEarly(r) || len(r.Header["Sec-Purpose"]) > 0 {
		return false
	}
	mode, dest := r.Header["Sec-Fetch-Mode"], r.Header["Sec-Fetch-Dest"]
	if len(mode) > 0 || len(dest) > 0 {
		return len(mode) == 1 && mode[0] == "navigate" && len(dest) == 1 && dest[0] == "document"
	}
	html, most := wishForHTML(r)
	return len(r.Header["X-Requested-With"]) == 0 && html > 0 && html == most
}

// beginLogin requests a token and sends the browser to the camera page with it. If that cannot be, it returns the reason.
func (g *Gate) beginLogin(w http.ResponseWriter, q *inquiry, u *url.URL) policy.Reason {
	origin, ok := originOf(q)
	if !ok {
		return q.visit.decision.Reason
	}
	person, reason := g.login.person(q, q.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer))
	if reason != "" {
		return reason
	}
	// Before there is a token: a login that cannot return is not worth one.
	g.service.ledger.Ready(q.Context())
	if _, err := g.service.loginKeys().Current(); err != nil {
		return policy.LedgerUnavailable
	}
	token, reason := g.orderToken(q.Request, person)
	if reason != "" {
		return reason
	}
	header, cookies := w.Header(), g.login.cookies(q.secure)
	query, _ := withoutClick(u)
	if state, ok := g.stateIn(q, u); ok {
		query = state.query // a return that no gate takes any more
	}
	state := loginState{
		begun: q.now, binding: cookies.bind(header, q), token: verifier.KeyOf(token), goal: g.login.goalOf(u),
		person: person.String(), query: query,
	}
	text, err := state.seal(g.service.loginKeys(), hostOf(q.Request), g.service.sealedFor)
	if err != nil {
		g.logger.Error("no login", zap.Error(err))
		return policy.InternalError
	}
	cookies.outcome.clear(header)
	to := *g.login.ui
	parameters := to.Query()
	parameters.Set("access_token", token)
	parameters.Set("return_url", origin+u.EscapedPath())
	parameters.Set("state", text)
	to.RawQuery = parameters.Encode()
	redirectFromLogin(w, to.String())
	return ""
}

// redirectFromLogin sends a browser on, and has nobody remember or tell from where.
func redirectFromLogin(w http.ResponseWriter, to string) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// orderToken requests a token, and makes sure that it is the one that was asked for.
func (g *Gate) orderToken(r *http.Request, person bws.BCID) (string, policy.Reason) {
	s := g.service
	token, outcome := s.verifier.Order(r.Context(), &verifier.Order{
		TokenRequest: bws.TokenRequest{BCID: person, Task: g.login.task}, Client: clientAddr(r), Logger: s.logger,
	})
	if outcome != evidence.None {
		return "", g.policy.JudgeInSession(&evidence.Evidence{Outcome: outcome}, s.now()).Reason
	}
	claims, err := bws.ParseToken(token)
	if err != nil || len(token) > longestLoginToken || !g.login.isAsked(&claims, person) ||
		policy.JudgeClaims(&claims, s.client.AppID(), s.now()) != "" {
		s.logger.Warn("the service made another token than the one that was requested, by its app, person, task or times")
		return "", policy.ServiceInvalid
	}
	return token, ""
}

// isAsked reports whether the claims of a token are what was asked for.
func (l *login) isAsked(claims *bws.UnverifiedClaims, person bws.BCID) bool {
	if !person.IsZero() {
		if named, err := bws.ParseBCID(claims.BCID); err != nil || named != person {
			return false
		}
	}
	task := claims.Task
	return task.Kind() == l.task.Kind() && task.LiveDetection() && task.Challenge() == l.task.Challenge() && !task.AutoEnroll() &&
		task.Tries() <= l.task.Tries()
}
