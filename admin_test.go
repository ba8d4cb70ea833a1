package caddybws

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-bws/caddy-bws/internal/adminapi"
)

// adminAPI is the admin API of services, as Caddy calls it.
type adminAPI struct {
	*Admin
	logs *observer.ObservedLogs
}

func newAdminAPI(t testing.TB, services map[string]*Service) *adminAPI {
	core, logs := observer.New(zap.DebugLevel)
	use(t, services)
	return &adminAPI{&Admin{logger: zap.New(core)}, logs}
}

// admin is the admin API of a site whose service is the default one.
func (s *site) admin(t testing.TB) *adminAPI {
	return newAdminAPI(t, map[string]*Service{defaultService: s.service})
}

// adminAnswer is what came of a call.
type adminAnswer struct {
	*httptest.ResponseRecorder
	err error
}

func (a *adminAPI) call(t testing.TB, method, path, body string) *adminAnswer {
	t.Helper()
	r := httptest.NewRequest(method, "http://localhost:2019"+path, strings.NewReader(body))
	for _, route := range a.Routes() {
		if route.Pattern == path {
			answer := &adminAnswer{ResponseRecorder: httptest.NewRecorder()}
			answer.err = route.Handler.ServeHTTP(answer, r)
			return answer
		}
	}
	t.Fatalf("there is no %s", path)
	return nil
}

// status is the answer's: where it is an error, Caddy sends that.
func (a *adminAnswer) status() int {
	if failure, ok := errors.AsType[caddy.APIError](a.err); ok {
		return failure.HTTPStatus
	}
	if a.err != nil {
		return http.StatusInternalServerError
	}
	return a.Code
}

// text is all that the client or the log of Caddy's admin API gets to see.
func (a *adminAnswer) text() string {
	text := a.Body.String() + fmt.Sprint(a.Header())
	if failure, ok := errors.AsType[caddy.APIError](a.err); ok {
		text += failure.Message
	}
	if a.err != nil {
		text += a.err.Error()
	}
	return text
}

func (a *adminAnswer) check(t testing.TB, status int) {
	t.Helper()
	if got := a.status(); got != status {
		t.Errorf("got %d, error %v, %s; want %d", got, a.err, a.Body, status)
	}
	if a.err != nil && a.Body.Len() > 0 {
		t.Errorf("an error follows an answer that has begun: %v, %s", a.err, a.Body)
	}
}

// decode reads an answer.
func decode[T any](t testing.TB, a *adminAnswer) (body T) {
	t.Helper()
	if err := json.Unmarshal(a.Body.Bytes(), &body); err != nil {
		t.Fatalf("%v: %s", err, a.Body)
	}
	if a.Header().Get("Content-Type") != "application/json" || a.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("the client gets %q", a.Header())
	}
	return body
}

func TestAdminMethods(t *testing.T) {
	methods := []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, "post",
	}
	for path, want := range map[string]string{
		"/bws/services": http.MethodGet, "/bws/health": http.MethodGet, "/bws/revoke": http.MethodPost,
		"/bws/rotate": http.MethodPost, "/bws/cache": http.MethodDelete,
	} {
		for _, method := range methods {
			s := newStoredSite(t)
			a, token := s.admin(t), s.goodToken()
			send(t, get("X-BWS-Token: "+token), s.gate(t, Gate{})).checkAllowed(t)
			before, stored := len(s.memory.Keys()), s.faulty.Calls()
			got := a.call(t, method, path, `{"service":"default"}`)
			if method == want {
				if got.err != nil || got.Code >= http.StatusBadRequest {
					t.Errorf("%s %s: got %d, error %v", method, path, got.Code, got.err)
				}
				continue
			}
			if got.check(t, http.StatusMethodNotAllowed); got.Header().Get("Allow") != want {
				t.Errorf("%s %s: Allow: %q, want %q", method, path, got.Header().Get("Allow"), want)
			}
			if len(s.memory.Keys()) != before || s.faulty.Calls() != stored || s.service.verifier.Recall(keyOf(token)) == nil {
				t.Errorf("%s %s does something", method, path)
			}
		}
	}
	if got := len(new(Admin).Routes()); got != 5 {
		t.Errorf("there are %d endpoints", got)
	}
}

// Each row is a body that is not exactly what an endpoint takes. Nothing is revoked or created, and nothing is repeated of what was
// sent: somebody may have pasted a token into the wrong place.
func TestAdminBodies(t *testing.T) {
	const (
		mark    = "s3cret-mark"
		refused = http.StatusBadRequest
		unknown = http.StatusNotFound
		tooLong = http.StatusRequestEntityTooLarge
		id      = "000102030405060708090a0b0c0d0e0f"
	)
	both := []string{"/bws/revoke", "/bws/rotate"}
	revoke := both[:1]
	for name, test := range map[string]struct {
		paths []string
		body  string
		want  int
	}{
		"unknown member":           {both, `{"` + mark + `":"` + mark + `"}`, refused},
		"unknown member besides":   {both, `{"service":"default","` + mark + `":1}`, refused},
		"duplicate member":         {both, `{"service":"` + mark + `","service":"default"}`, refused},
		"duplicate, escaped":       {both, `{"service":"` + mark + `","\u0073ervice":"default"}`, refused},
		"wrong case":               {both, `{"Service":"` + mark + `"}`, refused},
		"wrong case besides":       {both, `{"service":"default","SERVICE":"` + mark + `"}`, refused},
		"array":                    {both, `["` + mark + `"]`, refused},
		"array of objects":         {both, `[{"service":"default"}]`, refused},
		"string":                   {both, `"` + mark + `"`, refused},
		"number":                   {both, `1`, refused},
		"not JSON":                 {both, mark, refused},
		"form":                     {both, "token=" + mark, refused},
		"cut":                      {both, `{"service":"` + mark, refused},
		"trailing data":            {both, `{"service":"default"}` + mark, refused},
		"trailing object":          {both, `{"service":"default"}{"service":"` + mark + `"}`, refused},
		"comment":                  {both, `{"service":"default"/*` + mark + `*/}`, refused},
		"bad UTF-8":                {both, "{\"service\":\"" + mark + "\xff\"}", refused},
		"blank":                    {both, " ", refused},
		"number for a string":      {both, `{"service":1}`, refused},
		"array for a string":       {both, `{"service":["` + mark + `"]}`, refused},
		"object for a string":      {both, `{"service":{"` + mark + `":1}}`, refused},
		"too long":                 {both, `{"service":"` + mark + strings.Repeat("x", maxAdminBody) + `"}`, tooLong},
		"too long at the end":      {both, `{"service":"default"}` + strings.Repeat(" ", maxAdminBody), tooLong},
		"unknown service":          {both, `{"service":"` + mark + `"}`, unknown},
		"service in another case":  {both, `{"service":"Default"}`, unknown},
		"service with a blank":     {both, `{"service":" default"}`, unknown},
		"member of another kind":   {both[1:], `{"token":"` + mark + `"}`, refused},
		"nothing":                  {revoke, ``, refused},
		"null":                     {revoke, `null`, refused},
		"none":                     {revoke, `{}`, refused},
		"all null":                 {revoke, `{"session":null,"token":null,"bcid":null,"service":null}`, refused},
		"all empty":                {revoke, `{"session":"","token":"","bcid":"","service":""}`, refused},
		"empty":                    {revoke, `{"service":""}`, refused},
		"session and token":        {revoke, `{"session":"` + id + `","token":"` + mark + `"}`, refused},
		"token and bcid":           {revoke, `{"token":"` + mark + `","bcid":"bioid/9876/12345"}`, refused},
		"bcid and service":         {revoke, `{"bcid":"bioid/9876/12345","service":"default"}`, refused},
		"session, token, and more": {revoke, `{"session":"` + id + `","token":"` + mark + `","bcid":"bioid/9876/12345"}`, refused},
		"boolean for a token":      {revoke, `{"token":true}`, refused},
		"session: no hex":          {revoke, `{"session":"` + mark + `"}`, refused},
		"session: too short":       {revoke, `{"session":"` + id[2:] + `"}`, refused},
		"session: too long":        {revoke, `{"session":"` + id + `00"}`, refused},
		"session: odd":             {revoke, `{"session":"` + id + `0"}`, refused},
		"session: with a prefix":   {revoke, `{"session":"0x` + id[2:] + `"}`, refused},
		"bcid: nonsense":           {revoke, `{"bcid":"` + mark + `"}`, refused},
		"bcid: partition":          {revoke, `{"bcid":"bioid/9876/0"}`, refused},
		"bcid: pattern":            {revoke, `{"bcid":"bioid/9876/*"}`, refused},
		"bcid: leading zero":       {revoke, `{"bcid":"bioid/9876/012345"}`, refused},
		"bcid: beyond 32 bits":     {revoke, `{"bcid":"bioid/9876/99999999999"}`, refused},
	} {
		for _, path := range test.paths {
			t.Run(name+" "+path, func(t *testing.T) {
				s := newStoredSite(t)
				a, before := s.admin(t), len(s.memory.Keys())
				got := a.call(t, http.MethodPost, path, test.body)
				got.check(t, test.want)
				if strings.Contains(got.text(), mark) || strings.Contains(got.text(), id) {
					t.Errorf("the answer repeats what was sent: %s", got.text())
				}
				checkLogKeeps(t, a.logs.All(), []string{mark, id})
				if after := len(s.memory.Keys()); after != before {
					t.Errorf("%d more entries are stored", after-before)
				}
			})
		}
	}
}

// What fits is read, up to the last byte.
func TestAdminBodyOfTheGreatestLength(t *testing.T) {
	const object = `{"service":"default"}`
	for _, path := range []string{"/bws/revoke", "/bws/rotate"} {
		body := object + strings.Repeat(" ", maxAdminBody-len(object))
		newSite(t).admin(t).call(t, http.MethodPost, path, body).check(t, http.StatusOK)
	}
}

// Without a service there is nothing to watch and nothing to revoke.
func TestAdminWithoutServices(t *testing.T) {
	for name, services := range map[string]map[string]*Service{"no app": nil, "no service": {}} {
		t.Run(name, func(t *testing.T) {
			a := newAdminAPI(t, services)
			for path, body := range map[string]string{"/bws/revoke": `{"bcid":"bioid/9876/12345"}`, "/bws/rotate": ""} {
				a.call(t, http.MethodPost, path, body).check(t, http.StatusNotFound)
			}
			a.call(t, http.MethodPost, "/bws/revoke", `{"service":"default"}`).check(t, http.StatusNotFound)
			a.call(t, http.MethodDelete, "/bws/cache", "").check(t, http.StatusNoContent)
			if got := a.call(t, http.MethodGet, "/bws/services", ""); strings.TrimSpace(got.Body.String()) != "[]" || got.Code != http.StatusOK {
				t.Errorf("got %d %s", got.Code, got.Body)
			}
			got := a.call(t, http.MethodGet, "/bws/health", "")
			got.check(t, http.StatusOK)
			if health := decode[adminapi.Health](t, got); health.Status != "ready" || len(health.Problems) != 0 {
				t.Errorf("got %+v", health)
			}
		})
	}
}

type rotatedKey struct {
	Service, ID, Purpose string
	UseFrom              time.Time `json:"use_from"`
}
