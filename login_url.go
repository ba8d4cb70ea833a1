package caddybws

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// asked is what the browser asked for, whatever other handlers have made of it.
func asked(r *http.Request) (method string, u *url.URL) {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		return original.Method, original.URL
	}
	return r.Method, r.URL
}

// askedURL is the URL that the browser asked for.
func askedURL(r *http.Request) *url.URL {
	_, u := asked(r)
	return u
}

// mayReturnTo reports whether a browser can be sent to a path of this site, and takes it for nothing else.
func mayReturnTo(u *url.URL) bool {
	odd := func(r rune) bool { return r == '\\' || r < ' ' || r == 0x7f }
	return strings.HasPrefix(u.Path, "/") && !strings.HasPrefix(u.Path, "//") && !strings.ContainsFunc(u.Path, odd)
}

// withoutClick returns the query without the mark that [clickOn] adds, and whether it was there.
func withoutClick(u *url.URL) (query string, clicked bool) {
	query, clicked = strings.CutSuffix(u.RawQuery, "&")
	return query, clicked || u.ForceQuery
}

// cleanURL is where a login ends: a path of this site and its query, whatever else it came with.
func cleanURL(path *url.URL, query string) string {
	if query == "" {
		return path.EscapedPath()
	}
	return path.EscapedPath() + "?" + query
}

// clickOn returns the URL that means the same to the app, and that begins a login although one has just failed: there is an empty
// parameter at its end.
func clickOn(path *url.URL, query string) string {
	if query == "" {
		return path.EscapedPath() + "?"
	}
	return path.EscapedPath() + "?" + query + "&"
}

// originOf returns the origin as the browser knows it, and false for a host that no browser would have sent.
func originOf(q *inquiry) (string, bool) {
	origin := schemeOf(q.secure) + "://" + q.Host
	odd := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("-._:[]", r)
	}
	u, err := url.Parse(origin)
	return origin, err == nil && u.Host == q.Host && u.Hostname() != "" && !strings.ContainsFunc(q.Host, odd)
}

// schemeOf is the scheme as the browser knows it.
func schemeOf(secure bool) string {
	if secure {
		return "https"
	}
	return "http"
}
