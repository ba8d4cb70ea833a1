package caddybws

import (
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
	"go.uber.org/zap"
)

// What is legal, but hardly ever meant. A gate does not see it, since it knows nothing of the route it is on.
const (
	gateAfterRewrite = "a gate with a path matcher comes after a rewrite: it sees the rewritten path, so that a request for the path it " +
		"names can pass it by; put both into a route block with the gate first, or match what the path is rewritten to"
	loginUnderMatcher = "a gate with login is under a method or query matcher: browsers return from the camera page by a GET with another " +
		"query, which the gate has to see, too; match the path only"
)

// routeWarning is about a gate whose place on its route is hardly what is meant.
type routeWarning struct {
	server, message string
	gate            *Gate
}

// warnOfRoutes tells the operator of gates whose place on their route is hardly what is meant, or whose tokens come to a log.
func warnOfRoutes(ctx caddy.Context, app *caddyhttp.App, logger *zap.Logger) {
	for _, w := range routeWarnings(app) {
		logger.Warn(w.message, zap.String("server", w.server), zap.String("service", w.gate.serviceName()))
	}
	for name, server := range app.Servers {
		shown := inspectLogs(ctx, server, nil).shown
		for _, log := range slices.Sorted(maps.Keys(shown)) {
			logger.Warn(logShowsTokens, zap.String("server", name), zap.String("log", log), zap.Strings("shown", shown[log]))
		}
	}
}

func routeWarnings(app *caddyhttp.App) (warnings []routeWarning) {
	for name, server := range app.Servers {
		inspectRoutes(server, func(g *Gate, at place) {
			for _, message := range at.warnings(g) {
				warnings = append(warnings, routeWarning{name, message, g})
			}
		})
	}
	return warnings
}

// place is what comes before a handler.
type place struct {
	// path is where it is in the JSON of the server.
	path string
	// rewritten says that another handler may have changed the path, passable that a path was matched after that.
	rewritten, passable bool
	// narrowed says that a method or a query was matched.
	narrowed bool
	// hosts are those that were matched, nil for any.
	hosts []string
}

type routeInspection struct {
	named map[string]*caddyhttp.Route
	// found is called for each gate.
	found func(g *Gate, at place)
	// invoked are the named routes that are being looked at: one may invoke itself.
	invoked []string
}

// inspectRoutes calls found for each gate of a server.
func inspectRoutes(server *caddyhttp.Server, found func(g *Gate, at place)) {
	look := routeInspection{named: server.NamedRoutes, found: found}
	look.routes(server.Routes, place{path: "routes"})
}

// routes looks at routes in the order in which requests meet them, and reports whether the path may be another after them.
func (i *routeInspection) routes(routes caddyhttp.RouteList, at place) (rewritten bool) {
	for n := range routes {
		here := at
		here.path = fmt.Sprintf("%s/%d", at.path, n)
		at.rewritten = i.route(&routes[n], here)
	}
	return at.rewritten
}

func (i *routeInspection) route(route *caddyhttp.Route, at place) (rewritten bool) {
	for _, set := range route.MatcherSets {
		at.narrow(set)
	}
	if hosts := hostsOf(route); hosts != nil {
		at.hosts = hosts
	}
	for n, handler := range route.Handlers {
		here := at
		here.path = fmt.Sprintf("%s/handle/%d", at.path, n)
		switch h := handler.(type) {
		case *rewrite.Rewrite:
			at.rewritten = at.rewritten || changesPath(h)
		case *caddyhttp.Subroute:
			here.path += "/routes"
			at.rewritten = i.routes(h.Routes, here)
		case *caddyhttp.Invoke:
			at.rewritten = i.invoke(h.Name, here)
		case *Gate:
			i.found(h, here)
		}
	}
	return at.rewritten
}

func (i *routeInspection) invoke(name string, at place) (rewritten bool) {
	route := i.named[name]
	if route == nil || slices.Contains(i.invoked, name) {
		return at.rewritten
	}
	i.invoked = append(i.invoked, name)
	defer func() { i.invoked = i.invoked[:len(i.invoked)-1] }()
	at.path = "named_routes/" + name
	return i.route(route, at)
}

// warnings are about a gate at this place.
func (p place) warnings(g *Gate) (warnings []string) {
	if p.passable {
		warnings = append(warnings, gateAfterRewrite)
	}
	if g.Login != nil && p.narrowed {
		warnings = append(warnings, loginUnderMatcher)
	}
	return warnings
}

// narrow takes the matchers of a route into account.
func (p *place) narrow(matchers caddyhttp.MatcherSet) {
	for _, matcher := range matchers {
		switch m := matcher.(type) {
		case *caddyhttp.MatchPath, caddyhttp.MatchPath, *caddyhttp.MatchPathRE, caddyhttp.MatchPathRE:
			p.passable = p.passable || p.rewritten
		case *caddyhttp.MatchMethod, caddyhttp.MatchMethod, *caddyhttp.MatchQuery, caddyhttp.MatchQuery:
			p.narrowed = true
		case *caddyhttp.MatchNot:
			for _, set := range m.MatcherSets {
				p.narrow(set)
			}
		}
	}
}

// changesPath reports whether a rewrite makes another path of one. Without a prefix it is still the path that is meant.
func changesPath(r *rewrite.Rewrite) bool {
	return r.URI != "" || r.StripPathSuffix != "" || len(r.URISubstring) > 0 || len(r.PathRegexp) > 0
}
