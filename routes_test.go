package caddybws

import (
	"slices"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

func TestWarnOfRoutes(t *testing.T) {
	plain, login := &Gate{}, &Gate{Login: new(Login)}
	admin, post := caddyhttp.MatchPath{"/admin*"}, caddyhttp.MatchMethod{"POST"}
	query := caddyhttp.MatchQuery{"x": {"1"}}
	route := func(handler caddyhttp.MiddlewareHandler, matchers ...any) caddyhttp.Route {
		r := caddyhttp.Route{Handlers: []caddyhttp.MiddlewareHandler{handler}}
		if len(matchers) > 0 {
			r.MatcherSets = caddyhttp.MatcherSets{matchers}
		}
		return r
	}
	invoke := &caddyhttp.Invoke{Name: "named"}
	named := route(login, &post)
	named.Handlers = append(named.Handlers, invoke)
	sub := func(routes ...caddyhttp.Route) *caddyhttp.Subroute { return &caddyhttp.Subroute{Routes: routes} }
	front, prefix := &rewrite.Rewrite{URI: "/index.php"}, &rewrite.Rewrite{StripPathPrefix: "/app"}
	for name, test := range map[string]struct {
		routes caddyhttp.RouteList
		want   []string
	}{
		"gate first":                   {caddyhttp.RouteList{route(plain, &admin), route(front)}, nil},
		"rewrite, gate without a path": {caddyhttp.RouteList{route(front), route(plain)}, nil},
		"rewrite, gate at a path":      {caddyhttp.RouteList{route(front), route(plain, &admin)}, []string{gateAfterRewrite}},
		"path, then rewrite and gate":  {caddyhttp.RouteList{route(sub(route(front), route(plain)), &admin)}, nil},
		"rewrite in a block before":    {caddyhttp.RouteList{route(sub(route(front))), route(plain, &admin)}, []string{gateAfterRewrite}},
		"rewrite before a block":       {caddyhttp.RouteList{route(front), route(sub(route(plain)), &admin)}, []string{gateAfterRewrite}},
		"without a prefix":             {caddyhttp.RouteList{route(prefix), route(plain, &admin)}, nil},
		"login at a path":              {caddyhttp.RouteList{route(login, &admin)}, nil},
		"login for a method":           {caddyhttp.RouteList{route(login, &admin, &post)}, []string{loginUnderMatcher}},
		"login in a block for a query": {caddyhttp.RouteList{route(sub(route(login)), &query)}, []string{loginUnderMatcher}},
		"login but for a method": {
			caddyhttp.RouteList{route(login, &caddyhttp.MatchNot{MatcherSets: []caddyhttp.MatcherSet{{&post}}})},
			[]string{loginUnderMatcher},
		},
		"login in a named route": {caddyhttp.RouteList{route(invoke)}, []string{loginUnderMatcher}},
		"no such named route":    {caddyhttp.RouteList{route(&caddyhttp.Invoke{Name: "other"})}, nil},
		"no login for a method":  {caddyhttp.RouteList{route(plain, &post)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			look := routeInspection{
				named: map[string]*caddyhttp.Route{"named": &named},
				found: func(g *Gate, at place) { got = append(got, at.warnings(g)...) },
			}
			look.routes(test.routes, place{})
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
