package caddybws

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-bws/caddy-bws/internal/policy"
	"github.com/caddy-bws/caddy-bws/internal/sealed"
	"github.com/caddy-bws/caddy-bws/internal/verifier"
)

// All cookies of logins begin with one of these.
const (
	secureLoginPrefix = "__Host-bws_login"
	plainLoginPrefix  = "bws_login"
)

const (
	// maxBindings is how many logins a browser can have under way at once; the oldest make room.
	maxBindings = 16
	// longestLoginToken leaves room for the rest of a cookie, of which browsers keep 4096 bytes. Real tokens have about 400.
	longestLoginToken = 3 << 10
)

func isLoginCookie(name string) bool {
	return strings.HasPrefix(name, secureLoginPrefix) || strings.HasPrefix(name, plainLoginPrefix)
}

// loginCookies are the cookies of logins over connections of one kind.
type loginCookies struct {
	// token holds the token that a login came back with, and the proof that it did.
	token gateCookie
	// outcome says how a login ended that did not suffice.
	outcome gateCookie
	// binding is the beginning of the names of cookies that each bind a login to this browser.
	binding    string
	attributes string
}

func newLoginCookies(secure bool) loginCookies {
	prefix, attributes := plainLoginPrefix, cookieAttributes(secure, false)
	if secure {
		prefix = secureLoginPrefix
	}
	return loginCookies{
		token:      gateCookie{prefix + "_token", attributes},
		outcome:    gateCookie{prefix + "_outcome", attributes},
		binding:    prefix + "_at_",
		attributes: attributes,
	}
}

func (l *login) cookies(secure bool) *loginCookies {
	if secure {
		return &l.secure
	}
	return &l.plain
}

// bindingCookie is the cookie that binds one login. Its name derives from its value, so that several logins do not meet.
func (c *loginCookies) bindingCookie(hash bindingHash) *gateCookie {
	return &gateCookie{c.binding + hex.EncodeToString(hash[:4]), c.attributes}
}

// bind has the browser keep a new secret, and drop the oldest ones if there are too many.
func (c *loginCookies) bind(header http.Header, q *inquiry) bindingHash {
	names := make(map[string]bool)
	var oldest []string // browsers send the older of two cookies first
	for _, line := range q.visit.header(q.Request, "Cookie") {
		for pair := range strings.SplitSeq(line, ";") {
			if name, _ := splitCookie(pair); strings.HasPrefix(name, c.binding) && !names[name] {
				names[name] = true
				oldest = append(oldest, name)
			}
		}
	}
	for _, name := range oldest[:max(0, len(oldest)-maxBindings+1)] {
		(&gateCookie{name, c.attributes}).clear(header)
	}
	secret := rand.Text()
	hash := bindingOf(secret)
	c.bindingCookie(hash).set(header, secret, loginTime)
	return hash
}

// isBound reports whether the request comes from the browser in which the login began.
func (c *loginCookies) isBound(q *inquiry, hash bindingHash) bool {
	value, unambiguous := c.bindingCookie(hash).find(q.visit, q.Request)
	return unambiguous && hash.matches(value)
}

// proveLoginToken returns the value of the cookie that holds a token which has come back from a login.
func proveLoginToken(s *Service, r *http.Request, token string, key verifier.Key) (string, error) {
	proof, err := sealed.Seal(s.loginKeys(), key[:], forLoginToken, hostOf(r), s.sealedFor)
	return token + "." + proof, err
}

// loginSources are where gates look for a token by default, with logins and without.
func loginSources(secure bool) []TokenSource {
	return append(defaultSources(secure), TokenSource{Cookie: newLoginCookies(secure).token.name})
}

// cutProof splits the value of the cookie that holds a token: the proof is the fourth part after the three of a token.
func cutProof(value string) (token, proof string) {
	if strings.Count(value, ".") != 3 {
		return value, ""
	}
	i := strings.LastIndexByte(value, '.')
	return value[:i], value[i+1:]
}

func withoutProof(value string) string {
	token, _ := cutProof(value)
	return token
}

// findLoginToken returns the token in the cookie that a login has set. One that somebody else has put there counts as absent.
func (g *Gate) findLoginToken(q *inquiry) (string, policy.Reason) {
	value, unambiguous := g.login.cookies(q.secure).token.find(q.visit, q.Request)
	switch {
	case !unambiguous:
		return "", policy.AmbiguousToken
	case value == "":
		return "", policy.NoToken
	}
	token, proof := cutProof(value)
	content, ok := sealed.Open(q.Context(), g.service.loginKeys(), proof, forLoginToken, hostOf(q.Request), g.service.sealedFor)
	if key := verifier.KeyOf(token); !ok || !bytes.Equal(content, key[:]) {
		return "", policy.NoToken
	}
	return token, ""
}

// keepLoginToken has the browser keep the token for as long as it is good.
func (g *Gate) keepLoginToken(w http.ResponseWriter, q *inquiry) error {
	value, err := proveLoginToken(g.service, q.Request, q.found.token, q.found.key)
	if err != nil {
		return err
	}
	left := max(time.Second, q.found.evidence.Expires.Sub(q.now))
	g.login.cookies(q.secure).token.set(w.Header(), value, left)
	return nil
}
