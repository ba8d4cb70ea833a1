package caddybws

import (
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
	loginUnderMatcher = "a gate with login is under a method or query matcher: browsers return from the capture page by a GET with another " +
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
		look := routeInspection{named: server.NamedRoutes, found: func(g *Gate, at place) {
			for _, message := range at.warnings(g) {
				warnings = append(warnings, routeWarning{name, message, g})
			}
		}}
		look.routes(server.Routes, place{})
	}
	return warnings
}

// place is what comes before a handler.
type place struct {
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

// routes looks at routes in the order in which requests meet them, and reports whether the path may be another after them.
func (i *routeInspection) routes(routes caddyhttp.RouteList, at place) (rewritten bool) {
	for _, route := range routes {
		here := at
		for _, set := range route.MatcherSets {
			here.narrow(set)
		}
		if hosts := hostsOf(&route); hosts != nil {
			here.hosts = hosts
		}
		for _, handler := range route.Handlers {
			switch h := handler.(type) {
			case *rewrite.Rewrite:
				here.rewritten = here.rewritten || changesPath(h)
			case *caddyhttp.Subroute:
				here.rewritten = i.routes(h.Routes, here)
			case *caddyhttp.Invoke:
				here.rewritten = i.invoke(h.Name, here)
			case *Gate:
				i.found(h, here)
			}
		}
		at.rewritten = here.rewritten
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
	return i.routes(caddyhttp.RouteList{*route}, at)
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
