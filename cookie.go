package caddybws

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// gateCookie is a cookie that the gate sets, over connections of one kind.
type gateCookie struct{ name, attributes string }

// cookieAttributes are those of all cookies that the gate sets. No script sees them, and no other host gets them.
func cookieAttributes(secure, strict bool) string {
	attributes := "; Path=/; HttpOnly; SameSite=Lax"
	if strict {
		attributes = "; Path=/; HttpOnly; SameSite=Strict"
	}
	if secure {
		attributes += "; Secure"
	}
	return attributes
}

// find returns the value that a request carries.
func (c *gateCookie) find(v *visit, r *http.Request) (value string, unambiguous bool) {
	return TokenSource{Cookie: c.name}.find(v.header(r, "Cookie"))
}

// set has the browser keep a value for a time, and reports whether: not if another gate on this request has done so already.
func (c *gateCookie) set(header http.Header, value string, left time.Duration) bool {
	if slices.ContainsFunc(header["Set-Cookie"], c.isIn) {
		return false
	}
	age := strconv.FormatInt(int64(left/time.Second), 10)
	header["Set-Cookie"] = append(header["Set-Cookie"], c.name+"="+value+c.attributes+"; Max-Age="+age)
	return true
}

// unset takes back what an earlier gate has had the browser keep by this answer.
func (c *gateCookie) unset(header http.Header) {
	header["Set-Cookie"] = slices.DeleteFunc(header["Set-Cookie"], c.isIn)
}

// isIn reports whether a line of Set-Cookie is about this cookie.
func (c *gateCookie) isIn(line string) bool {
	rest, ours := strings.CutPrefix(line, c.name)
	return ours && strings.HasPrefix(rest, "=")
}

// clear has the browser drop the cookie.
func (c *gateCookie) clear(header http.Header) {
	header.Add("Set-Cookie", c.name+"="+c.attributes+"; Max-Age=0")
}
