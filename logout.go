package caddybws

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/policy"
	"github.com/caddy-bws/caddy-bws/internal/session"
	"github.com/caddy-bws/caddy-bws/internal/verifier"
)

// Logout is a handler that ends the session of a request, on all nodes, and whatever its token could still open: that of the
// session, and one in the places where gates look by default or where a login puts it. It clears their cookies, and has the browser
// clear its cache. It answers a POST, or a GET that the browser shows to come from this very site: with 204, or with a redirect.
type Logout struct {
	// The name of the service, as for the gates whose sessions end here. Default: `default`.
	Service string `json:"service,omitempty"`

	// Where the browser is sent to with 303: an http or https URL or a path of this site. Supports global placeholders. Default:
	// nowhere, the answer is 204.
	Redirect string `json:"redirect,omitempty"`

	// The name of the session's cookie. Default: that of gates that name none.
	Cookie string `json:"cookie,omitempty"`

	service    *Service
	logger     *zap.Logger
	redirectTo string
}

// CaddyModule returns the Caddy module information.
func (Logout) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.bws_logout",
		New: func() caddy.Module { return new(Logout) },
	}
}

// Provision finds the service.
func (l *Logout) Provision(ctx caddy.Context) error {
	l.logger = ctx.Logger()
	if err := l.check(); err != nil {
		return err
	}
	var err error
	if l.service, err = serviceOf(ctx, l.Service); err != nil {
		return err
	}
	if l.Redirect != "" {
		l.redirectTo, err = resolveRedirect("redirect", l.Redirect)
	}
	return err
}

func (l *Logout) check() error {
	if err := checkServiceName(cmp.Or(l.Service, defaultService)); err != nil {
		return err
	}
	if err := checkCookieName("cookie", l.Cookie); err != nil || l.Redirect == "" {
		return err
	}
	return checkRedirect("redirect", l.Redirect)
}

// ServeHTTP ends the session. It never calls the next handler.
func (l *Logout) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	header, secure := w.Header(), isSecure(r)
	header.Set("Cache-Control", "no-store")
	switch {
	case r.Method != http.MethodPost && r.Method != http.MethodGet:
		header.Set("Allow", "GET, POST")
		return caddyhttp.Error(http.StatusMethodNotAllowed, errors.New("bws_logout: use POST, or GET from a page of this site"))
	case !isOwnWish(r, secure):
		return caddyhttp.Error(http.StatusForbidden, errors.New("bws_logout: the request does not come from a page of this site"))
	}
	header.Set("Clear-Site-Data", `"cache"`)
	cookie := newSessionCookie(l.Cookie, secure, false)
	cookie.clear(header)
	for _, source := range loginSources(secure) {
		if source.Cookie != "" {
			(&gateCookie{source.Cookie, cookie.attributes}).clear(header)
		}
	}
	if reason := l.end(r, secure, &cookie); reason != "" {
		told := refusalFor(reason)
		told.setHeaders(header, r)
		return told.respond(w, r)
	}
	if l.redirectTo != "" {
		header.Set("Location", l.redirectTo)
		w.WriteHeader(http.StatusSeeOther)
		return nil
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// isOwnWish reports whether it is the person's wish, as far as the browser tells, and not that of another site. A browser too old
// to tell is trusted with a POST: whose cookies come along is up to their SameSite.
func isOwnWish(r *http.Request, secure bool) bool {
	posts := r.Method == http.MethodPost
	if from := r.Header["Sec-Fetch-Site"]; len(from) > 0 {
		return from[0] == "same-origin" || posts && from[0] != "cross-site"
	}
	for _, name := range []string{"Origin", "Referer"} {
		if from := r.Header[name]; len(from) > 0 {
			return isSameOrigin(from[0], r, secure)
		}
	}
	return posts
}

func isSameOrigin(from string, r *http.Request, secure bool) bool {
	u, err := url.Parse(from)
	return err == nil && u.Scheme == schemeOf(secure) && u.User == nil && strings.EqualFold(u.Host, r.Host)
}

// end revokes the sessions and tokens that the request carries, also if the client does not wait for it. It returns the reason why
// something may still be good.
func (l *Logout) end(r *http.Request, secure bool, cookie *gateCookie) policy.Reason {
	r = r.WithContext(context.WithoutCancel(r.Context()))
	v := visitOf(r, r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer))
	ended := make(map[session.ID]bool) // false for what is not worth it
	trouble := l.endSessions(r, v, cookie, ended)
	for _, source := range loginSources(secure) {
		for value := range source.values(v.header(r, source.headerName())) {
			trouble = cmp.Or(trouble, l.endToken(r, withoutProof(value), ended))
		}
	}
	if c := l.logger.Check(zap.InfoLevel, "logged out"); c != nil {
		c.Write(zap.String("service", cmp.Or(l.Service, defaultService)), zap.String("reason", string(trouble)),
			zap.String("client_ip", clientIP(r)))
	}
	return trouble
}

// endSessions revokes the sessions, and notes which those are.
func (l *Logout) endSessions(r *http.Request, v *visit, cookie *gateCookie, ended map[session.ID]bool) (trouble policy.Reason) {
	place := l.service.placeOf(r, cookie)
	for value := range (TokenSource{Cookie: cookie.name}).values(v.header(r, "Cookie")) {
		s, ok := session.Open(r.Context(), l.service.ledger.Keys(ledger.Sessions), &place, value)
		if ok && !ended[s.ID] {
			ended[s.ID] = true
			trouble = cmp.Or(trouble, l.revoke(r, s.ID))
		}
	}
	return trouble
}

// endToken revokes what a token could still open, unless its session has been revoked already.
func (l *Logout) endToken(r *http.Request, token string, ended map[session.ID]bool) (trouble policy.Reason) {
	key := verifier.KeyOf(token)
	id := session.IDOf(key)
	if _, known := ended[id]; !known {
		if ended[id], trouble = l.accepted(r, token, key); ended[id] {
			trouble = l.revoke(r, id)
		}
	}
	if ended[id] {
		l.service.verifier.Forget(key)
	}
	return trouble
}

// accepted reports whether BWS accepts a token: what anybody has invented is not worth a revocation that all nodes must keep.
func (l *Logout) accepted(r *http.Request, token string, key verifier.Key) (bool, policy.Reason) {
	if len(token) > bws.MaxTokenLength {
		return false, ""
	}
	e, reason := l.service.verify(r.Context(), r, token, key, false)
	if reason != "" {
		return false, ""
	}
	switch e.Outcome {
	case evidence.Answered, evidence.Pending:
		return true, ""
	case evidence.Rejected:
		return false, ""
	default:
	}
	return false, new(policy.Policy).Judge(e, l.service.now()).Reason
}

func (l *Logout) revoke(r *http.Request, id session.ID) policy.Reason {
	if err := l.service.ledger.Revoke(r.Context(), ledger.OfSession(id)); err != nil {
		l.logger.Warn("a session cannot be revoked on the other nodes", zap.Error(err))
		return policy.LedgerUnavailable
	}
	return ""
}

// parseLogout sets up the handler. See [Logout.UnmarshalCaddyfile] for the syntax.
func parseLogout(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	l := new(Logout)
	return l, l.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	bws_logout [<matcher>] [<service>] {
//	    redirect <url>
//	    cookie   <name>
//	}
func (l *Logout) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the directive's name
	if err := serviceArg(d, &l.Service); err != nil {
		return err
	}
	return eachOption(d, nil, func(option string) error {
		var err error
		switch option {
		case "redirect":
			err = oneArg(d, option, &l.Redirect)
		case "cookie":
			err = oneArg(d, option, &l.Cookie)
		default:
			err = unknownOption(d, "redirect, cookie")
		}
		if err != nil {
			return err
		}
		return located(d, l.check())
	})
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Logout)(nil)
	_ caddyfile.Unmarshaler       = (*Logout)(nil)
	_ caddyhttp.MiddlewareHandler = (*Logout)(nil)
)
