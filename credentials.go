package caddybws

import (
	"iter"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-bws/caddy-bws/internal/policy"
)

// Where a token is looked for unless a gate says otherwise. A cookie whose name begins with __Host- can only have been set by
// this very host over TLS, so that no sibling site can plant one.
const (
	secureTokenCookie = "__Host-bws_token"
	plainTokenCookie  = "bws_token"
	tokenHeader       = "X-BWS-Token"
)

// TokenSource is a place in the request that may hold the BWS token. Exactly one of its fields is set.
type TokenSource struct {
	// The name of a cookie.
	Cookie string `json:"cookie,omitempty"`

	// The name of a request header. Caddy's access log shows it unless a log filter removes it.
	Header string `json:"header,omitempty"`

	// The `Authorization` header with the scheme `Bearer`.
	Bearer bool `json:"bearer,omitempty"`
}

// defaultSources are the token's sources of a gate that names none.
func defaultSources(secure bool) []TokenSource {
	cookie := plainTokenCookie
	if secure {
		cookie = secureTokenCookie
	}
	return []TokenSource{{Cookie: cookie}, {Header: tokenHeader}}
}

// headerName is the header in which the source lies, in canonical spelling.
func (s TokenSource) headerName() string {
	switch {
	case s.Cookie != "":
		return "Cookie"
	case s.Bearer:
		return "Authorization"
	}
	return http.CanonicalHeaderKey(s.Header)
}

// find returns the credential at this source, "" if there is none, and false if there are two different ones: which of them
// another server in the chain would believe is not for the gate to guess.
func (s TokenSource) find(lines []string) (credential string, unambiguous bool) {
	unambiguous = true
	for value := range s.values(lines) {
		if value == credential {
			continue
		}
		unambiguous = unambiguous && credential == ""
		credential = value
	}
	return credential, unambiguous
}

// values returns the credentials at this source that are not empty.
func (s TokenSource) values(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range lines {
			switch {
			case s.Cookie != "":
				for pair := range strings.SplitSeq(line, ";") {
					if name, value := splitCookie(pair); name == s.Cookie && value != "" && !yield(value) {
						return
					}
				}
			case s.Bearer:
				if value, ok := bearer(line); ok && value != "" && !yield(value) {
					return
				}
			default:
				if value := trim(line); value != "" && !yield(value) {
					return
				}
			}
		}
	}
}

// findToken returns the token from the first source that holds one, or the reason why there is none to look at.
func findToken(sources []TokenSource, lines func(header string) []string) (string, policy.Reason) {
	for _, s := range sources {
		token, unambiguous := s.find(lines(s.headerName()))
		if !unambiguous {
			return "", policy.AmbiguousToken
		}
		if token != "" {
			return token, ""
		}
	}
	return "", policy.NoToken
}

// credentialSet is everything in a request that belongs to the gate and to nobody behind it.
type credentialSet struct {
	cookies []string
	headers []string
	bearer  bool
}

// credentialsOf returns what is taken for these sources, each once: every request looks for all of it.
func credentialsOf(sources []TokenSource) credentialSet {
	var set credentialSet
	for _, s := range sources {
		switch {
		case s.Cookie != "":
			set.cookies = appendOnce(set.cookies, s.Cookie)
		case s.Bearer:
			set.bearer = true
		default:
			set.headers = appendOnce(set.headers, s.headerName())
		}
	}
	return set
}

func appendOnce(names []string, name string) []string {
	if slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}

// take removes the credentials from the request; the visit keeps the originals for later gates.
func (c *credentialSet) take(r *http.Request, v *visit) {
	for _, name := range c.headers {
		if _, present := r.Header[name]; present {
			v.keep(r, name)
			delete(r.Header, name)
		}
	}
	if c.bearer {
		takeLines(r, v, "Authorization", func(line string) string {
			if _, ok := bearer(line); ok {
				return ""
			}
			return line
		})
	}
	if len(c.cookies) > 0 {
		takeLines(r, v, "Cookie", c.withoutCookies)
	}
}

// takeLines replaces a header by what rest leaves of its lines. The lines themselves stay as they are, for the visit.
func takeLines(r *http.Request, v *visit, header string, rest func(line string) string) {
	var kept []string
	changed := false
	for _, line := range r.Header[header] {
		left := rest(line)
		changed = changed || len(left) != len(line)
		switch {
		case left == "":
		case kept == nil:
			kept = v.lines(left)
		default:
			kept = append(kept, left)
		}
	}
	if !changed {
		return
	}
	v.keep(r, header)
	if kept == nil {
		delete(r.Header, header)
		return
	}
	r.Header[header] = kept
}

// withoutCookies returns a line of cookies without ours, and the very same line if it has none of them. What is left is a part of
// the line where that is possible: lines are long, and a copy for every request would keep the garbage collector busy.
func (c *credentialSet) withoutCookies(line string) string {
	for start := 0; start < len(line); {
		pair, rest, _ := strings.Cut(line[start:], ";")
		if name, _ := splitCookie(pair); !slices.Contains(c.cookies, name) && !isLoginCookie(name) {
			start += len(pair) + len(";")
			continue
		}
		before, after := strings.TrimRight(line[:start], "; \t"), strings.TrimLeft(rest, "; \t")
		switch {
		case before == "":
			line, start = after, 0
		case after == "":
			return before
		default:
			line, start = before+"; "+after, len(before)+len("; ")
		}
	}
	return line
}

// splitCookie reads a pair of the Cookie header as it is. Go's own parser drops pairs it finds odd, which others accept.
func splitCookie(pair string) (name, value string) {
	name, value, _ = strings.Cut(pair, "=")
	return trim(name), trim(value)
}

func bearer(line string) (string, bool) {
	scheme, value, _ := strings.Cut(trim(line), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return trim(value), true
}

// trim removes what HTTP calls optional white space.
func trim(s string) string { return strings.Trim(s, " \t") }
