package caddybws

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-bws/caddy-bws/internal/ledger"
)

// parseGate sets up the handler. See [Gate.UnmarshalCaddyfile] for the syntax.
func parseGate(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	g := new(Gate)
	return g, g.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	bws [<matcher>] [<service>] {
//	    token            cookie <name> | header <name> | bearer
//	    allow            verification|identification|enrollment|livenessdetection...
//	    bcid             <pattern>...
//	    min_score        <0..1>
//	    min_margin       <0..1>
//	    max_age          <duration>
//	    require          live_detection|challenge|none
//	    once             [<method>...]
//	    session          [<lifetime>] {
//	        idle      <duration>
//	        cookie    <name>
//	        same_site lax|strict
//	    }
//	    login {
//	        bcid      <template>
//	        task      verify|identify|livenessdetection
//	        max_tries <n>
//	        challenge
//	        ui        <url>
//	    }
//	    deny             respond|error|redirect <url>
//	    identity_headers off | {
//	        <header> <value>
//	    }
//	    assertion        [<header>] {
//	        audience <value>
//	        lifetime <duration>
//	    }
//	    report_only
//	}
//
// Only token may be repeated: the first source that holds a token counts.
func (g *Gate) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the directive's name
	start := *d
	if err := serviceArg(d, &g.Service); err != nil {
		return err
	}
	err := eachOption(d, []string{"token"}, func(option string) error {
		if err := g.unmarshalOption(d, option); err != nil {
			return err
		}
		return located(d, g.checkOptions())
	})
	if err != nil {
		return err
	}
	return located(&start, g.checkTogether())
}

func (g *Gate) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "token":
		return g.unmarshalToken(d)
	case "allow":
		return someArgs(d, option, &g.Allow)
	case "bcid":
		return someArgs(d, option, &g.BCID)
	case "min_score":
		g.MinScore = new(float64)
		return numberArg(d, option, g.MinScore)
	case "min_margin":
		return numberArg(d, option, &g.MinMargin)
	case "max_age":
		return durationArg(d, option, &g.MaxAge, minMaxAge, maxMaxAge)
	case "require":
		return oneArg(d, option, &g.Require)
	case "once":
		g.Once = &Once{Methods: d.RemainingArgs()}
		return nil
	case "session":
		return g.unmarshalSession(d)
	case "login":
		return g.unmarshalLogin(d)
	case "deny":
		return g.unmarshalDeny(d)
	case "identity_headers":
		return g.unmarshalIdentityHeaders(d)
	case "assertion":
		return g.unmarshalAssertion(d)
	case "report_only":
		g.ReportOnly = true
		return noArg(d, option)
	}
	return unknownOption(d,
		"token, allow, bcid, min_score, min_margin, max_age, require, once, session, login, deny, identity_headers, assertion, report_only")
}

func (g *Gate) unmarshalToken(d *caddyfile.Dispenser) error {
	const known = "cookie <name>, header <name> or bearer"
	if !d.NextArg() {
		return d.Err("token: the source is missing: use " + known)
	}
	var source TokenSource
	var err error
	switch kind := d.Val(); kind {
	case "cookie":
		err = oneArg(d, "token cookie", &source.Cookie)
	case "header":
		err = oneArg(d, "token header", &source.Header)
	case "bearer":
		source.Bearer = true
		err = noArg(d, "token bearer")
	default:
		err = d.Errf("token: unknown source %q: use %s", kind, known)
	}
	g.Token = append(g.Token, source)
	return err
}

func (g *Gate) unmarshalSession(d *caddyfile.Dispenser) error {
	g.Session = new(Session)
	if d.NextArg() {
		if err := parseDuration(d, "session", d.Val(), &g.Session.Lifetime, minLifetime, maxLifetime); err != nil {
			return err
		}
		if err := noArg(d, "session "+d.Val()); err != nil {
			return err
		}
	}
	return eachOption(d, nil, func(option string) error {
		switch option {
		case "idle":
			return durationArg(d, "session: idle", &g.Session.Idle, minIdle, maxLifetime)
		case "cookie":
			if err := oneArg(d, "session: cookie", &g.Session.Cookie); err != nil {
				return err
			}
			return located(d, g.Session.checkCookie())
		case "same_site":
			if err := oneArg(d, "session: same_site", &g.Session.SameSite); err != nil {
				return err
			}
			return located(d, g.Session.checkSameSite())
		}
		return d.Errf("session: unknown option %q: use one of idle, cookie, same_site", option)
	})
}

func (g *Gate) unmarshalLogin(d *caddyfile.Dispenser) error {
	g.Login = new(Login)
	if err := noArg(d, "login"); err != nil {
		return err
	}
	return eachOption(d, nil, func(option string) error {
		l := g.Login
		switch option {
		case "bcid":
			if err := oneArg(d, "login: bcid", &l.BCID); err != nil {
				return err
			}
			return located(d, l.checkBCID())
		case "task":
			if err := oneArg(d, "login: task", &l.Task); err != nil {
				return err
			}
			return located(d, l.checkTask())
		case "max_tries":
			return countArg(d, "login: max_tries", &l.MaxTries, maxMaxTries)
		case "challenge":
			l.Challenge = true
			return noArg(d, "login: challenge")
		case "ui":
			if err := oneArg(d, "login: ui", &l.UI); err != nil {
				return err
			}
			return located(d, l.checkUI())
		}
		return d.Errf("login: unknown option %q: use one of bcid, task, max_tries, challenge, ui", option)
	})
}

func (g *Gate) unmarshalDeny(d *caddyfile.Dispenser) error {
	g.Deny = new(Denial)
	if !d.NextArg() {
		return d.Err("deny: the mode is missing: use respond, error or redirect <url>")
	}
	g.Deny.Mode = d.Val()
	if g.Deny.Mode == denyRedirect {
		return oneArg(d, "deny redirect", &g.Deny.To)
	}
	return noArg(d, "deny "+g.Deny.Mode)
}

func (g *Gate) unmarshalIdentityHeaders(d *caddyfile.Dispenser) error {
	g.IdentityHeaders = make(http.Header)
	if d.NextArg() {
		if d.Val() != "off" {
			return d.Errf("identity_headers: unknown value %q: use off, or a block of headers", d.Val())
		}
		return noArg(d, "identity_headers off")
	}
	err := eachOption(d, nil, func(header string) error {
		name := http.CanonicalHeaderKey(header)
		if _, repeated := g.IdentityHeaders[name]; repeated {
			return d.Errf("identity_headers: %s is set twice; keep one", name)
		}
		var value string
		if err := oneArg(d, "identity_headers: "+name, &value); err != nil {
			return err
		}
		g.IdentityHeaders[name] = []string{value}
		return located(d, g.checkIdentity())
	})
	if err != nil {
		return err
	}
	if len(g.IdentityHeaders) == 0 {
		return d.Err("identity_headers: no header is given; name one in a block, or write off")
	}
	return nil
}

func (g *Gate) unmarshalAssertion(d *caddyfile.Dispenser) error {
	a := new(Assertion)
	g.Assertion = a
	if d.NextArg() {
		a.Header = d.Val()
		if a.Header == "" {
			return d.Err("assertion: the header is empty; write a name, or nothing for the default")
		}
		if err := noArg(d, "assertion "+a.Header); err != nil {
			return err
		}
		if err := g.checkAssertion(); err != nil {
			return d.WrapErr(err)
		}
	}
	return eachOption(d, nil, func(option string) error {
		switch option {
		case "audience":
			return oneArg(d, "assertion: audience", &a.Audience)
		case "lifetime":
			return durationArg(d, "assertion: lifetime", &a.Lifetime, minAssertionLifetime, ledger.LongestAssertion)
		}
		return d.Errf("assertion: unknown option %q: use one of audience, lifetime", option)
	})
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Gate)(nil)
