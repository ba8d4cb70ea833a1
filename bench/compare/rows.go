package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// row is a way to protect a route.
type row struct {
	name string
	// directives stand before the app in the site.
	directives string
	// headers are those of a request with a token.
	headers func(token string) http.Header
	// keeps says that the first request begins a session, which those that are measured have in place of the token.
	keeps bool
}

const (
	ungated = iota // what the others are compared with
	gate
	gateHeader
	gateSession
	basicAuth
	adapterCached
	adapterUncached
)

// All requests have the token and 2 KB of other cookies, so that they cost the same to read.
var rows = []row{
	ungated:         {"ungated", "", inCookie, false},
	gate:            {"`bws`, token in a cookie", gateOf("default"), inCookie, false},
	gateHeader:      {"`bws`, token in a header", gateOf("default"), inHeader, false},
	gateSession:     {"`bws`, session", "bws {\n\t\tbcid bws/1/*\n\t\tsession 1h {\n\t\t\tidle 30m\n\t\t}\n\t}", inCookie, true},
	basicAuth:       {"`basic_auth`", "basic_auth {\n\t\talice " + hashOfSecret + "\n\t}", withPassword, false},
	adapterCached:   {"`forward_auth` to an adapter with a cache", forwardAuth("/cached"), inCookie, false},
	adapterUncached: {"`forward_auth` to an adapter without a cache", forwardAuth("/"), inCookie, false},
}

// hashOfSecret is what caddy hash-password makes of "secret".
const hashOfSecret = "$2a$14$xSlfl4gWsl52lMmdzvyW.ur1RcCv4VuOXTRaVKrD3TqoN3q0kHPJu"

func gateOf(service string) string { return "bws " + service + " {\n\t\tbcid bws/1/*\n\t}" }

func forwardAuth(path string) string {
	return "forward_auth " + address(adapterPort) + " {\n\t\turi " + path + "\n\t\tcopy_headers X-BWS-BCID\n\t}"
}

// jar is half of the cookies that a browser sends to a site which has been there for long.
func jar(prefix string) string {
	var b strings.Builder
	for i := range 10 {
		fmt.Fprintf(&b, "%s%d=%s; ", prefix, i, strings.Repeat("x", 96))
	}
	return b.String()
}

func inCookie(token string) http.Header { return withCookie("bws_token", token) }

func withCookie(name, value string) http.Header {
	return http.Header{"Cookie": {jar("a") + name + "=" + value + "; " + jar("b") + "lang=en"}}
}

func inHeader(token string) http.Header {
	return http.Header{"Cookie": {jar("a") + jar("b") + "lang=en"}, "X-Bws-Token": {token}}
}

func withPassword(token string) http.Header {
	h := inCookie(token)
	h.Set("Authorization", "Basic YWxpY2U6c2VjcmV0")
	return h
}

// apps are what stands behind the rows.
const (
	static = iota
	proxied
	apps
)

// table is a choice of rows, measured in turn.
type table struct {
	title string
	app   int
	rows  []int
	// delay is how long BWS takes.
	delay time.Duration
	// short is for differences that are seen at once.
	short bool
}

var tables = []table{
	{title: "A static answer", app: static, rows: []int{ungated, gate, gateHeader, gateSession, basicAuth, adapterCached, adapterUncached}},
	{title: "An app behind `reverse_proxy`", app: proxied, rows: []int{ungated, gate, gateSession, basicAuth, adapterCached, adapterUncached}},
	{
		title: "A static answer, with a BWS that takes 20 ms", app: static, rows: []int{ungated, gate, adapterUncached},
		delay: 20 * time.Millisecond, short: true,
	},
}

// Services beside the default one, each with a gate in front of a static answer. They are those of the herds, and some that get
// into trouble.
const (
	herdService = iota
	expiringService
	brokenService
	busyService
	exhaustedService
	floodedService
)

const unlimited = "client_rate 1000000 1s"

var services = []struct{ name, option string }{
	herdService:      {"herd", unlimited},
	expiringService:  {"expiring", unlimited + "\n\t\tcache_ttl 1s"},
	brokenService:    {"broken", unlimited},
	busyService:      {"busy", unlimited + "\n\t\tmax_inflight 1"},
	exhaustedService: {"exhausted", "client_rate 1 24h"},
	floodedService:   {"flooded", ""}, // as it is unless configured
}

const (
	adapterPort = 9498
	adminPort   = 9499
	firstPort   = 9500
)

// portOf is where a row listens, in front of one of the apps.
func portOf(row, app int) int { return firstPort + app*len(rows) + row }

func portOfService(service int) int { return firstPort + apps*len(rows) + service }

// caddyfile has a site for each row and app, and for each service.
func caddyfile(s *stubs) string {
	var b strings.Builder
	fmt.Fprintf(&b, "{\n\tadmin %s\n\tdefault_bind 127.0.0.1\n\tauto_https off\n\tpersist_config off\n\tlog {\n\t\tlevel ERROR\n\t}\n",
		address(adminPort))
	service := func(name, option string) {
		// The path makes it a service of its own, though BWS is the same.
		fmt.Fprintf(&b, "\tbws %s {\n\t\tendpoint http://%s/%s/extension\n\t\tapp_id %s\n\t\tapp_secret %s\n\t\t%s\n\t}\n",
			name, s.bws.addr, name, bwstest.AppID, bwstest.AppSecret, option)
	}
	service("default", unlimited+"\n\t\tcache_ttl 10m")
	for _, one := range services {
		service(one.name, one.option)
	}
	b.WriteString("}\n")

	site := func(port int, directives, app string) {
		fmt.Fprintf(&b, "http://%s {\n\t%s\n\t%s\n}\n", address(port), directives, app)
	}
	const hello = `respond "hello"`
	for i, r := range rows {
		site(portOf(i, static), r.directives, hello)
		site(portOf(i, proxied), r.directives, "reverse_proxy "+s.app.addr)
	}
	for i, one := range services {
		site(portOfService(i), gateOf(one.name), hello)
	}
	return b.String()
}
