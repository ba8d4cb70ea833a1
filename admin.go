package caddybws

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"go.uber.org/zap"
)

// maxAdminBody is more than any request to the admin endpoints needs.
const maxAdminBody = 8 << 10

// Admin is the part of Caddy's admin API that watches and controls the services:
//
// Endpoint | Description
// ---------|------------
// `GET /bws/services` | The services: endpoint, breaker, remembered tokens, calls under way, keys, last look at the storage
// `GET /bws/health` | 200 if all services are ready, 503 with the reasons if not
// `POST /bws/revoke` | Revokes one of `{"session":"<id>"}`, `{"token":"<token>"}`, `{"bcid":"<bcid>"}`, `{"service":"<name>"}`
// `POST /bws/rotate` | Creates new keys for sessions and assertions, of all services or of `{"service":"<name>"}`
// `DELETE /bws/cache` | Forgets what is remembered of tokens
type Admin struct {
	logger *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.bws",
		New: func() caddy.Module { return new(Admin) },
	}
}

// Provision does nothing that a refused configuration would have to undo: Caddy replaces the admin API before it knows.
func (a *Admin) Provision(ctx caddy.Context) error {
	a.logger = ctx.Logger()
	return nil
}

// Routes returns the endpoints.
func (a *Admin) Routes() []caddy.AdminRoute {
	route := func(pattern, method string, handle caddy.AdminHandlerFunc) caddy.AdminRoute {
		return caddy.AdminRoute{Pattern: pattern, Handler: caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
			if r.Method != method {
				w.Header().Set("Allow", method)
				return apiError(http.StatusMethodNotAllowed, "%s: use %s", pattern, method)
			}
			return handle(w, r)
		})}
	}
	return []caddy.AdminRoute{
		route("/bws/services", http.MethodGet, a.services),
		route("/bws/health", http.MethodGet, a.health),
		route("/bws/revoke", http.MethodPost, a.revoke),
		route("/bws/rotate", http.MethodPost, a.rotate),
		route("/bws/cache", http.MethodDelete, a.forget),
	}
}

// apiError is an answer to whoever asked. What is in it is logged, too.
func apiError(status int, format string, args ...any) error {
	return caddy.APIError{HTTPStatus: status, Err: fmt.Errorf(format, args...)}
}

// readBody reads a strict JSON object. It never quotes what was sent, which may be a token.
func readBody(w http.ResponseWriter, r *http.Request, into any) error {
	err := json.UnmarshalRead(http.MaxBytesReader(w, r.Body, maxAdminBody), into, json.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return apiError(http.StatusRequestEntityTooLarge, "the body is longer than %d bytes", maxAdminBody)
	}
	return apiError(http.StatusBadRequest, "the body is not a JSON object with the members of this endpoint, each at most once")
}

func writeBody(w http.ResponseWriter, status int, body any) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	text, err := json.Marshal(body, jsontext.WithIndent("\t"))
	if err != nil {
		return err
	}
	w.WriteHeader(status)
	_, err = w.Write(append(text, '\n'))
	return err
}

// namedService is a service with its name.
type namedService struct {
	name string
	*Service
}

// running returns the services of the configuration that is in use, in the order of their names.
func running() []namedService {
	app := apps.latest()
	services := make([]namedService, 0, len(app.Services))
	for _, name := range slices.Sorted(maps.Keys(app.Services)) {
		services = append(services, namedService{name, app.Services[name]})
	}
	return services
}

// selected returns all services that are in use, or the one of this name.
func selected(name string) ([]namedService, error) {
	services := running()
	if len(services) == 0 {
		return nil, apiError(http.StatusNotFound, "no service is configured")
	}
	if name == "" {
		return services, nil
	}
	i := slices.IndexFunc(services, func(s namedService) bool { return s.name == name })
	if i < 0 {
		return nil, apiError(http.StatusNotFound, "no service of that name is configured")
	}
	return services[i : i+1], nil
}

// Interface guards
var (
	_ caddy.Provisioner = (*Admin)(nil)
	_ caddy.AdminRouter = (*Admin)(nil)
)
