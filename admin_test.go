package caddybws

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
	"github.com/caddy-bws/caddy-bws/internal/session"
)

// adminAPI is the admin API of services, as Caddy calls it.
type adminAPI struct {
	*Admin
	logs *observer.ObservedLogs
}

func newAdminAPI(t testing.TB, services map[string]*Service) *adminAPI {
	core, logs := observer.New(zap.DebugLevel)
	app := &App{Services: services}
	apps.add(app)
	t.Cleanup(func() { apps.remove(app) })
	return &adminAPI{&Admin{logger: zap.New(core)}, logs}
}

// admin is the admin API of a site whose service is the default one.
func (s *site) admin(t testing.TB) *adminAPI { return newAdminAPI(t, map[string]*Service{defaultService: s.service}) }

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
			if health := decode[healthStatus](t, got); health.Status != "ready" || len(health.Problems) != 0 {
				t.Errorf("got %+v", health)
			}
		})
	}
}

// The members and their types are a contract with whatever watches Caddy.
func TestAdminServices(t *testing.T) {
	s := newSite(t)
	send(t, get("X-BWS-Token: "+s.goodToken()), s.gate(t, Gate{})).checkAllowed(t)
	unread := newService(t, inProcess{s.Service}, s.service.now)
	unread.ledger = ledger.New(ledger.Config{Storage: new(ledgertest.Memory), ServiceID: unread.identity, Now: s.service.now})
	s.pass(time.Minute)
	key := s.service.ledger.Keys(ledger.Sessions).All()[0]
	a := newAdminAPI(t, map[string]*Service{"z": s.service, "a": unread})

	got := a.call(t, http.MethodGet, "/bws/services", "")
	got.check(t, http.StatusOK)
	limits := unread.limits()
	service := func(name string, remembered int, sync any, keys ...any) any {
		return map[string]any{
			"name": name, "endpoint": s.service.client.Endpoint(), "breaker": "closed", "remembered_tokens": float64(remembered),
			"cache_size": float64(limits.Size), "inflight": 0.0, "max_inflight": float64(limits.Inflight),
			"keys": append([]any{}, keys...), "last_storage_sync": sync,
		}
	}
	want := []any{
		service("a", 0, nil),
		service("z", 1, "2026-03-01T12:00:00Z", map[string]any{
			"id": key.ID.String(), "use_from": "2026-03-01T12:00:00Z", "open_until": key.OpenUntil.Format(time.RFC3339), "age": 60.0,
		}),
	}
	if body := decode[[]any](t, got); !reflect.DeepEqual(body, want) {
		t.Errorf("got %v\nwant %v", body, want)
	}
	secret := key.Secret()
	for _, hidden := range []string{bwstest.AppSecret, bwstest.AppID, alice.String(), hex.EncodeToString(secret[:])} {
		if strings.Contains(got.Body.String(), hidden) {
			t.Errorf("it shows %s: %s", hidden, got.Body)
		}
	}
}

// Each row is what is wrong with one service of two, and what the endpoint says about it.
func TestAdminHealth(t *testing.T) {
	ask := func(status, times int) func(*testing.T, *storedSite) {
		return func(t *testing.T, s *storedSite) {
			s.ScriptAlways("/result", bwstest.Answer{Status: status})
			for range times {
				send(t, get("X-BWS-Token: "+s.goodToken()), s.gate(t, Gate{}))
			}
		}
	}
	restart := func(fault ledgertest.Fault) func(*testing.T, *storedSite) {
		return func(t *testing.T, s *storedSite) {
			s.memory.Wipe()
			s.faulty.Set(fault)
			s.service.ledger = ledger.New(ledger.Config{Storage: s.faulty, ServiceID: s.service.identity, Now: s.service.now})
			_ = s.service.ledger.Sync(t.Context())
		}
	}
	stale := func(d time.Duration) func(*testing.T, *storedSite) {
		return func(t *testing.T, s *storedSite) {
			s.faulty.Set(ledgertest.Failing())
			s.pass(d)
			_ = s.service.ledger.Sync(t.Context())
		}
	}
	for name, test := range map[string]struct {
		spoil func(*testing.T, *storedSite)
		want  []string
	}{
		"ready":               {func(*testing.T, *storedSite) {}, nil},
		"some faults":         {ask(http.StatusInternalServerError, 4), nil},
		"breaker open":        {ask(http.StatusInternalServerError, 5), []string{"service_unavailable"}},
		"credentials refused": {ask(http.StatusUnauthorized, 1), []string{"service_misconfigured"}},
		"forbidden":           {ask(http.StatusForbidden, 1), []string{"service_misconfigured"}},
		"credentials mended": {func(t *testing.T, s *storedSite) {
			ask(http.StatusUnauthorized, 1)(t, s)
			ask(http.StatusBadRequest, 1)(t, s)
		}, nil},
		"storage never read": {restart(ledgertest.Failing()), []string{"ledger_unavailable", "ledger_unavailable"}},
		"no key":             {restart(ledgertest.ReadOnly()), []string{"ledger_unavailable"}},
		"stale":              {stale(defaultStorageGrace), nil},
		"stale beyond grace": {stale(defaultStorageGrace + 1), []string{"ledger_unavailable"}},
		"all at once": {func(t *testing.T, s *storedSite) {
			ask(http.StatusUnauthorized, 1)(t, s)
			ask(http.StatusInternalServerError, 5)(t, s)
			stale(defaultStorageGrace+1)(t, s)
		}, []string{"service_unavailable", "service_misconfigured", "ledger_unavailable"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, well := newStoredSite(t), newSite(t)
			test.spoil(t, s)
			calls := s.Calls("/result")
			got := newAdminAPI(t, map[string]*Service{"ill": s.service, "well": well.service}).call(t, http.MethodGet, "/bws/health", "")
			if s.Calls("/result") != calls {
				t.Error("BWS is asked")
			}
			health := decode[healthStatus](t, got)
			if test.want == nil {
				got.check(t, http.StatusOK)
				if health.Status != "ready" || len(health.Problems) != 0 || strings.Contains(got.Body.String(), "problems") {
					t.Errorf("got %s", got.Body)
				}
				return
			}
			got.check(t, http.StatusServiceUnavailable)
			reasons := make([]string, 0, len(health.Problems))
			for _, problem := range health.Problems {
				if reasons = append(reasons, problem.Reason); problem.Service != "ill" || problem.Detail == "" {
					t.Errorf("got %+v", problem)
				}
			}
			if health.Status != "not ready" || !slices.Equal(reasons, test.want) {
				t.Errorf("got %s, want %q", got.Body, test.want)
			}
		})
	}
}

func sessionID(token string) string {
	id := session.IDOf(keyOf(token))
	return hex.EncodeToString(id[:])
}

// Security case 57, for the operator: of each kind, what it keeps out, and whom it leaves alone. At hand are a token of Alice's with
// the session it has begun, another one of hers, and one of Bob's.
func TestAdminRevoke(t *testing.T) {
	upper := func(token string) string { return strings.ToUpper(sessionID(token)) }
	for name, test := range map[string]struct {
		body                 func(token string) string
		kind                 string
		otherToken, otherOne bool // whether the other token of hers, and Bob, still pass
	}{
		"session":             {func(token string) string { return `{"session":"` + sessionID(token) + `"}` }, "session", true, true},
		"session in capitals": {func(token string) string { return `{"session":"` + upper(token) + `"}` }, "session", true, true},
		"token":               {func(token string) string { return `{"token":"` + token + `"}` }, "token", true, true},
		"token with blanks":   {func(token string) string { return `{"token":" ` + token + `\n"}` }, "token", true, true},
		"bcid":                {func(string) string { return `{"bcid":"bioid/9876/12345"}` }, "bcid", false, true},
		"bcid with dots":      {func(string) string { return `{"bcid":"bioid.9876.12345"}` }, "bcid", false, true},
		"service":             {func(string) string { return `{"service":"default"}` }, "service", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStoredSite(t)
			g, plain, a := s.gate(t, keeping), s.gate(t, Gate{}), s.admin(t)
			begin := func(token string) []string {
				return []string{send(t, get("X-BWS-Token: "+token), g).session(t), "X-BWS-Token: " + token}
			}
			token := s.goodToken()
			revoked, other, bobs := begin(token), begin(s.goodToken()), begin(s.tokenOfBob())
			node := provision(t, keeping, s.anotherNode(t))

			got := a.call(t, http.MethodPost, "/bws/revoke", test.body(token))
			got.check(t, http.StatusOK)
			body := decode[map[string]any](t, got)
			if !reflect.DeepEqual(body, map[string]any{"revoked": test.kind, "services": []any{"default"}}) {
				t.Errorf("got %v", body)
			}
			if logs := a.logs.FilterMessage("revoked").All(); len(logs) != 1 || logs[0].Level != zap.InfoLevel {
				t.Errorf("the log says %+v", a.logs.All())
			}
			if test.kind == "token" && s.service.verifier.Recall(keyOf(token)) != nil {
				t.Error("the token is still remembered")
			}
			secrets := []string{token, sessionID(token), upper(token), revoked[0], "12345"}
			checkLogKeeps(t, a.logs.All(), secrets)
			for _, secret := range secrets {
				if strings.Contains(got.text(), secret) {
					t.Errorf("the answer shows %s: %s", secret, got.text())
				}
			}

			s.checkRevocations(t, 1)
			if err := node.service.ledger.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			check := func(with []string, passes bool) {
				t.Helper()
				for _, credential := range with {
					for _, gate := range []*Gate{g, node} {
						o := send(t, get(credential), gate)
						if passes {
							o.checkAllowed(t)
							continue
						}
						o.checkDenied(t, http.StatusUnauthorized, "revoked")
					}
				}
				if o := send(t, get(with[1]), plain); (o.app != nil) != passes {
					t.Errorf("a gate without sessions: got %d %s", o.Code, o.Body)
				}
			}
			check(revoked, false)
			check(other, test.otherToken)
			check(bobs, test.otherOne)
			// Whoever verifies anew is welcome.
			s.pass(time.Second)
			s.sync(t)
			send(t, get("X-BWS-Token: "+s.goodToken()), g).checkAllowed(t)
			send(t, get("X-BWS-Token: "+s.tokenOfBob()), g).checkAllowed(t)
			check(revoked, false)
		})
	}
}

// A token that the node has never seen can be revoked before anybody presents it. Nobody is asked about it.
func TestAdminRevokesAnUnseenToken(t *testing.T) {
	s := newStoredSite(t)
	token := s.goodToken()
	s.admin(t).call(t, http.MethodPost, "/bws/revoke", `{"token":"`+token+`"}`).check(t, http.StatusOK)
	if calls := s.Calls("/result"); calls != 0 {
		t.Errorf("BWS was asked %d times", calls)
	}
	send(t, get("X-BWS-Token: "+token), s.gate(t, keeping)).checkDenied(t, http.StatusUnauthorized, "revoked")
}

// Persons, sessions and tokens are revoked for all services, everything for the one that is named.
func TestAdminRevokeOfTwoServices(t *testing.T) {
	for body, want := range map[string][]any{
		`{"bcid":"bioid/9876/12345"}`: {"other", "this"},
		`{"service":"this"}`:          {"this"},
	} {
		this, other := newStoredSite(t), newStoredSite(t)
		a := newAdminAPI(t, map[string]*Service{"this": this.service, "other": other.service})
		kept := other.begin(t, other.gate(t, keeping))
		got := a.call(t, http.MethodPost, "/bws/revoke", body)
		got.check(t, http.StatusOK)
		if services := decode[map[string]any](t, got)["services"]; !reflect.DeepEqual(services, want) {
			t.Errorf("%s: revoked for %v, want %v", body, services, want)
		}
		this.checkRevocations(t, 1)
		other.checkRevocations(t, len(want)-1)
		if o := send(t, get(kept), other.gate(t, keeping)); (o.app != nil) != (len(want) == 1) {
			t.Errorf("%s: with the other service: %d %s", body, o.Code, o.Body)
		}
	}
}

// Security case 107: what could not be stored is an error to whoever asked for it, and refused here nevertheless.
func TestAdminRevokeWithoutStorage(t *testing.T) {
	for name, fault := range map[string]ledgertest.Fault{"down": ledgertest.Failing(), "read-only": ledgertest.ReadOnly()} {
		t.Run(name, func(t *testing.T) {
			s, well := newStoredSite(t), newStoredSite(t)
			a := newAdminAPI(t, map[string]*Service{"a-broken": s.service, "well": well.service})
			g, token := s.gate(t, keeping), s.goodToken()
			cookie := send(t, get("X-BWS-Token: "+token), g).session(t)
			s.faulty.Set(fault)
			got := a.call(t, http.MethodPost, "/bws/revoke", `{"token":"`+token+`"}`)
			got.check(t, http.StatusServiceUnavailable)
			if !strings.Contains(got.text(), "a-broken") || strings.Contains(got.text(), "well") {
				t.Errorf("the answer does not say which service: %s", got.text())
			}
			if strings.Contains(got.text(), token) || strings.Contains(got.text(), sessionID(token)) {
				t.Errorf("the answer shows the token: %s", got.text())
			}
			checkLogKeeps(t, a.logs.All(), []string{token, sessionID(token)})
			if a.logs.FilterLevelExact(zap.WarnLevel).Len() != 1 || a.logs.FilterMessage("revoked").Len() != 0 {
				t.Errorf("the log says %+v", a.logs.All())
			}
			send(t, get(cookie), g).checkDenied(t, http.StatusUnauthorized, "revoked")
			send(t, get("X-BWS-Token: "+token), g).checkDenied(t, http.StatusUnauthorized, "revoked")
			// A service that fails does not keep the next one from storing it.
			s.checkRevocations(t, 0)
			well.checkRevocations(t, 1)
			s.faulty.Set(ledgertest.Fault{})
			a.call(t, http.MethodPost, "/bws/revoke", `{"token":"`+token+`"}`).check(t, http.StatusOK)
			s.checkRevocations(t, 1)
		})
	}
}

type rotatedKey struct {
	Service, ID string
	UseFrom     time.Time `json:"use_from"`
}

// A new key seals as soon as every node can have read it, and what is sealed opens on.
func TestAdminRotate(t *testing.T) {
	for name, body := range map[string]string{"all": "", "empty object": "{}", "by name": `{"service":"default"}`} {
		t.Run(name, func(t *testing.T) {
			s := newStoredSite(t)
			g, keys := s.gate(t, Gate{Session: &Session{Lifetime: caddy.Duration(time.Hour)}}), s.service.ledger.Keys(ledger.Sessions)
			cookie := s.begin(t, g)
			old, err := keys.Current()
			if err != nil {
				t.Fatal(err)
			}
			got := s.admin(t).call(t, http.MethodPost, "/bws/rotate", body)
			got.check(t, http.StatusOK)
			rotated := decode[[]rotatedKey](t, got)
			if len(rotated) != 1 || rotated[0].Service != "default" || rotated[0].ID == old.ID.String() ||
				!rotated[0].UseFrom.Equal(start.Add(ledger.KeyPropagation)) {
				t.Fatalf("got %s", got.Body)
			}
			uses := func(id string) {
				t.Helper()
				if current, err := keys.Current(); err != nil || current.ID.String() != id {
					t.Errorf("%s after the start, the key is %v, %v; want %s", s.clock.Now().Sub(start), current, err, id)
				}
			}
			uses(old.ID.String())
			s.pass(ledger.KeyPropagation - time.Second)
			uses(old.ID.String())
			s.pass(time.Second)
			uses(rotated[0].ID)
			s.sync(t)
			send(t, get(cookie), g).checkAllowed(t)
			// A node that has only what is stored opens what either has sealed.
			node := provision(t, *g, s.anotherNode(t))
			send(t, get(cookie), node).checkAllowed(t)
			send(t, get(s.begin(t, g)), node).checkAllowed(t)
		})
	}
}

func TestAdminRotateOfTwoServices(t *testing.T) {
	this, other := newSite(t), newSite(t)
	a := newAdminAPI(t, map[string]*Service{"this": this.service, "other": other.service})
	names := func(body string) (names []string) {
		for _, key := range decode[[]rotatedKey](t, a.call(t, http.MethodPost, "/bws/rotate", body)) {
			names = append(names, key.Service)
		}
		return names
	}
	if got := names(""); !slices.Equal(got, []string{"other", "this"}) {
		t.Errorf("rotated are the keys of %q", got)
	}
	if got := names(`{"service":"this"}`); !slices.Equal(got, []string{"this"}) {
		t.Errorf("rotated are the keys of %q", got)
	}
	if keys := len(other.service.ledger.Keys(ledger.Sessions).All()); keys != 2 {
		t.Errorf("the other service has %d keys", keys)
	}
}

func TestAdminRotateFails(t *testing.T) {
	s := newStoredSite(t)
	a := s.admin(t)
	s.faulty.Set(ledgertest.ReadOnly())
	got := a.call(t, http.MethodPost, "/bws/rotate", "")
	if got.check(t, http.StatusServiceUnavailable); !strings.Contains(got.text(), "default") {
		t.Errorf("the answer does not say which service: %s", got.text())
	}
	s.faulty.Set(ledgertest.Fault{})
	// However often it is asked for, keys stay few.
	for status := http.StatusOK; status == http.StatusOK; {
		got = a.call(t, http.MethodPost, "/bws/rotate", "")
		status = got.status()
	}
	got.check(t, http.StatusConflict)
	if keys := len(s.service.ledger.Keys(ledger.Sessions).All()); keys > 200 {
		t.Errorf("there are %d keys", keys)
	}
}

// Security case 57: whoever suspects what is remembered can have BWS asked again. It revokes nothing.
func TestAdminForgets(t *testing.T) {
	s, other := newSite(t), newSite(t)
	a := newAdminAPI(t, map[string]*Service{"this": s.service, "other": other.service})
	g, token := s.gate(t, keeping), s.goodToken()
	cookie := send(t, get("X-BWS-Token: "+token), g).session(t)
	s.Perform(token, bwstest.Outcome{Error: bws.LiveDetectionFailed})
	send(t, get("X-BWS-Token: "+token), g).checkAllowed(t)
	elsewhere := other.goodToken()
	send(t, get("X-BWS-Token: "+elsewhere), other.gate(t, Gate{})).checkAllowed(t)

	got := a.call(t, http.MethodDelete, "/bws/cache", "")
	if got.check(t, http.StatusNoContent); got.Body.Len() > 0 {
		t.Errorf("got %s", got.Body)
	}
	asked := s.Calls("/result")
	send(t, get("X-BWS-Token: "+token), g).checkDenied(t, http.StatusForbidden, "live_detection_failed")
	if calls := s.Calls("/result") - asked; calls != 1 {
		t.Errorf("BWS was asked %d times, want once", calls)
	}
	if other.service.verifier.Recall(keyOf(elsewhere)) != nil {
		t.Error("the other service still remembers")
	}
	send(t, get(cookie), g).checkAllowed(t)
}
