package caddybws

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-bws/caddy-bws/internal/explain"
)

// walk takes a request through routes as Caddy does: the matchers are real, and so are the handlers that only change the request.
// Those that would answer or ask somebody are not run.
type walk struct {
	*rehearsal
	// blind says that gates are only noted.
	blind  bool
	groups map[string]bool
	steps  []explain.Step
	// denied says that a gate has answered, so that what follows is what would be.
	denied bool
	// answered is the handler that answers the request, empty as long as none does.
	answered  string
	userNamed bool
	invoked   []string
}

func newWalk(r *rehearsal, blind bool) *walk {
	r.gates = nil
	return &walk{rehearsal: r, blind: blind, groups: make(map[string]bool)}
}

// routes are compiled as [caddyhttp.RouteList.Compile] does it.
func (w *walk) routes(list caddyhttp.RouteList, path string, next caddyhttp.Handler) caddyhttp.Handler {
	for i := range slices.Backward(list) {
		next = w.route(&list[i], fmt.Sprintf("%s/%d", path, i), next)
	}
	return next
}

func (w *walk) route(route *caddyhttp.Route, path string, next caddyhttp.Handler) caddyhttp.Handler {
	return caddyhttp.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) error {
		if route.Group != "" && w.groups[route.Group] {
			w.pass(route, path, []string{"another route of its group, of which only one counts, has matched before"})
			return next.ServeHTTP(rw, r)
		}
		matches, err := route.MatcherSets.AnyMatchWithError(r)
		switch {
		case err != nil:
			return fmt.Errorf("%s: a matcher fails: %w", path, err)
		case !matches:
			w.pass(route, path, unmatched(route.MatcherSets, r))
			return next.ServeHTTP(rw, r)
		}
		if route.Group != "" {
			w.groups[route.Group] = true
		}
		after := next
		if route.Terminal {
			after = endOfRoutes
		}
		for i, handler := range slices.Backward(route.Handlers) {
			after = w.handler(handler, fmt.Sprintf("%s/handle/%d", path, i), after)
		}
		return after.ServeHTTP(rw, r)
	})
}

// pass notes the gates of a route that does not match.
func (w *walk) pass(route *caddyhttp.Route, path string, why []string) {
	look := routeInspection{named: w.server.NamedRoutes, found: func(_ *Gate, at place) {
		w.step(explain.Step{Path: at.path, Handler: "bws", NotMatched: why})
	}}
	look.route(route, place{path: path})
}

// unmatched describes the matchers that do not match.
func unmatched(sets caddyhttp.MatcherSets, r *http.Request) (texts []string) {
	for _, set := range sets {
		for _, matcher := range set {
			if ok, _ := (caddyhttp.MatcherSet{matcher}).MatchWithError(r); !ok {
				texts = append(texts, describe(matcher))
			}
		}
	}
	return texts
}

// describe is a module in one line: its name, and what it is configured with.
func describe(module any) string {
	name := caddy.GetModuleName(module)
	if not, ok := module.(*caddyhttp.MatchNot); ok {
		var texts []string
		for _, set := range not.MatcherSets {
			for _, matcher := range set {
				texts = append(texts, describe(matcher))
			}
		}
		return "not " + strings.Join(texts, ", ")
	}
	config, err := json.Marshal(module)
	if err != nil {
		return name
	}
	return name + " " + string(config)
}

// What handlers do with a request, by the names of their modules.
var (
	// changing ones are run.
	changing = []string{"rewrite", "vars", "map", "headers"}
	// passive ones are passed over.
	passive = []string{
		"encode", "templates", "request_body", "tracing", "log_append", "intercept", "push", "timeouts", "copy_response",
		"copy_response_headers",
	}
	// answering ones never call the next handler.
	answering = []string{"static_response", "error", "metrics", "bws_logout", "bws_jwks", "bws_emulator"}
	// factors ask who the request comes from, and name a user.
	factors = []string{"authentication"}
)

func (w *walk) handler(handler caddyhttp.MiddlewareHandler, path string, next caddyhttp.Handler) caddyhttp.Handler {
	name := caddy.GetModuleName(handler)
	switch h := handler.(type) {
	case *Gate:
		return w.gate(h, path, next)
	case *caddyhttp.Subroute:
		return w.routes(h.Routes, path+"/routes", next)
	case *caddyhttp.Invoke:
		return w.invoke(h.Name, next)
	}
	return caddyhttp.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) error {
		switch {
		case slices.Contains(changing, name):
			return handler.ServeHTTP(rw, r, next)
		case slices.Contains(passive, name):
			return next.ServeHTTP(rw, r)
		case w.answers(handler, name):
			w.answered = name
			remark := "answers"
			if w.denied {
				remark = "would answer"
			}
			w.step(explain.Step{Path: path, Handler: name, Remark: remark, NotReached: w.denied})
			return nil
		}
		w.mayAnswer(r, path, name)
		return next.ServeHTTP(rw, r)
	})
}

func (w *walk) invoke(name string, next caddyhttp.Handler) caddyhttp.Handler {
	return caddyhttp.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) error {
		route := w.server.NamedRoutes[name]
		if route == nil || slices.Contains(w.invoked, name) {
			return fmt.Errorf("the named route %q is missing, or invokes itself; correct it", name)
		}
		w.invoked = append(w.invoked, name)
		defer func() { w.invoked = w.invoked[:len(w.invoked)-1] }()
		return w.route(route, "named_routes/"+name, next).ServeHTTP(rw, r)
	})
}

// answers reports whether a handler answers whatever it gets. A proxy with handle_response may go on, as forward_auth does.
func (w *walk) answers(handler any, name string) bool {
	switch {
	case slices.Contains(answering, name):
		return true
	case name != "reverse_proxy" && name != "file_server":
		return false
	}
	config, _ := json.Marshal(handler)
	return !hasMember(config, "handle_response") && !hasMember(config, "pass_thru")
}

// mayAnswer notes a handler that is taken to let the request go on, and to name a user if it is the first.
func (w *walk) mayAnswer(r *http.Request, path, name string) {
	remark := "may answer itself; taken to let the request go on"
	if slices.Contains(factors, name) {
		remark = "may deny; taken to let the request go on, from nobody in particular: name a user to be sure"
	}
	if w.User != "" && !w.userNamed {
		w.userNamed = true
		r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer).Set("http.auth.user.id", w.User)
		remark = fmt.Sprintf("taken to let the request go on, from the user %q", w.User)
	}
	w.step(explain.Step{Path: path, Handler: name, Remark: remark, NotReached: w.denied})
}

func (w *walk) step(s explain.Step) { w.steps = append(w.steps, s) }

// addGatesNotMet adds the gates that the request did not come to.
func (w *walk) addGatesNotMet() {
	met := make(map[string]bool)
	for _, step := range w.steps {
		met[step.Path] = true
	}
	remark := ""
	if w.answered != "" {
		remark = w.answered + " answers before"
	}
	inspectRoutes(w.server, func(_ *Gate, at place) {
		if !met[at.path] {
			w.step(explain.Step{Path: at.path, Handler: "bws", NotReached: true, Remark: remark})
		}
	})
}
