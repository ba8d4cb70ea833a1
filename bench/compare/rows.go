package main

import (
	"fmt"
	"strings"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// row is a way to protect a route.
type row struct {
	name string
	// directives stand before the app in the site.
	directives string
	// headers are those of a request with a token.
	headers func(token string) []string
	// control is the row to compare with: ungated, and with as much to read.
	control int
}

const (
	firstPort = 9500
	adminPort = 9499
	// basicHash is what caddy hash-password makes of "secret".
	basicHash = "$2a$14$xSlfl4gWsl52lMmdzvyW.ur1RcCv4VuOXTRaVKrD3TqoN3q0kHPJu"
)

const (
	ungated = iota
	ungatedJar
	gate // the row that a BWS in trouble is measured with
	gateJar
	gateHeader
	basicAuth
	adapterCached
	adapterUncached
)

var rows = []row{
	ungated:         {"ungated", "", cookie, ungated},
	ungatedJar:      {"ungated, 2 KB of other cookies", "", jar, ungatedJar},
	gate:            {"`bws`", "bws", cookie, ungated},
	gateJar:         {"`bws`, 2 KB of other cookies", "bws", jar, ungatedJar},
	gateHeader:      {"`bws`, token in a header", "bws", header, ungated},
	basicAuth:       {"`basic_auth`", "basic_auth {\n\t\talice " + basicHash + "\n\t}", password, ungated},
	adapterCached:   {"`forward_auth` to an adapter with a cache", forwardAuth("/cached"), cookie, ungated},
	adapterUncached: {"`forward_auth` to an adapter without", forwardAuth("/"), cookie, ungated},
}

func forwardAuth(path string) string {
	return "forward_auth {adapter} {\n\t\turi " + path + "\n\t\tcopy_headers X-BWS-BCID\n\t}"
}

func cookie(token string) []string {
	return []string{"Cookie: theme=dark; bws_token=" + token + "; lang=en"}
}

// jar is what a browser sends to a site that has been there for long.
func jar(token string) []string {
	return []string{"Cookie: a=" + strings.Repeat("x", 1000) + "; bws_token=" + token + "; b=" + strings.Repeat("y", 1000)}
}

func header(token string) []string { return []string{"X-BWS-Token: " + token} }

func password(token string) []string {
	return append(cookie(token), "Authorization: Basic YWxpY2U6c2VjcmV0")
}

// The gates of services that are in trouble, one site each.
var (
	herdSite     = site{"herd", "herd"}
	expiringSite = site{"expiring", "expiring"}
	outageSite   = site{"outage", "outage"}
	busySite     = site{"busy", "busy"}
	floodSite    = site{"flood", "flood"}
	specialSites = []site{herdSite, expiringSite, outageSite, busySite, floodSite}
)

// site is a gate of a service of its own.
type site struct{ name, service string }

// apps are what stands behind the rows.
var apps = []string{"static", "proxied"}

// port is where a row listens, in front of one of the apps.
func port(row, app int) int { return firstPort + app*len(rows) + row }

func (s site) port() int {
	for i, other := range specialSites {
		if other == s {
			return firstPort + len(apps)*len(rows) + i
		}
	}
	panic("no such site: " + s.name)
}

// caddyfile has a site for each row and app, and those in trouble.
func caddyfile(s *stubs) string {
	var b strings.Builder
	fmt.Fprintf(&b, "{\n\tadmin 127.0.0.1:%d\n\tauto_https off\n\tpersist_config off\n\tlog {\n\t\tlevel ERROR\n\t}\n", adminPort)
	service := func(name, endpoint, options string) {
		fmt.Fprintf(&b, "\tbws %s {\n\t\tendpoint http://%s/extension\n\t\tapp_id %s\n\t\tapp_secret %s\n%s\t}\n",
			name, endpoint, bwstest.AppID, bwstest.AppSecret, options)
	}
	const loose = "\t\tclient_rate 1000000 1s\n"
	service("default", s.bws.addr, "\t\tcache_ttl 10m\n"+loose)
	service("herd", s.bws.addr, loose)
	service("expiring", s.bws.addr, "\t\tcache_ttl 1s\n"+loose)
	service("outage", "127.0.0.1:1", loose)
	service("busy", s.bws.addr, "\t\tmax_inflight 1\n"+loose)
	service("flood", s.bws.addr, "")
	b.WriteString("}\n")

	behind := []string{"respond \"hello\"", "reverse_proxy " + s.app.addr}
	for a := range apps {
		for i, r := range rows {
			directives := strings.ReplaceAll(r.directives, "{adapter}", s.adapter.addr)
			fmt.Fprintf(&b, "http://127.0.0.1:%d {\n\t%s\n\t%s\n}\n", port(i, a), directives, behind[a])
		}
	}
	for _, special := range specialSites {
		fmt.Fprintf(&b, "http://127.0.0.1:%d {\n\tbws %s\n\t%s\n}\n", special.port(), special.service, behind[0])
	}
	return b.String()
}
