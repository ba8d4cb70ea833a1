package caddybws

import (
	"encoding/hex"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/adminapi"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
)

// The members and their types are a contract with whatever watches Caddy.
func TestAdminServices(t *testing.T) {
	s := newSite(t)
	send(t, get("X-BWS-Token: "+s.goodToken()), s.gate(t, Gate{})).checkAllowed(t)
	unread := newService(t, inProcess{s.Service}, s.service.now)
	unread.ledger = ledger.New(ledger.Config{Storage: new(ledgertest.Memory), ServiceID: unread.identity, Now: s.service.now})
	s.pass(time.Minute)
	session, assertion := s.service.ledger.Keys(ledger.Sessions).All()[0], s.service.ledger.Keys(ledger.Assertions).All()[0]
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
			"id": session.ID.String(), "purpose": "session", "use_from": "2026-03-01T12:00:00Z",
			"open_until": "2026-04-01T12:01:00Z", "age": 60.0,
		}, map[string]any{
			"id": assertion.ID.String(), "purpose": "assertion", "use_from": "2026-03-01T12:00:00Z",
			"open_until": "2026-03-02T12:11:00Z", "age": 60.0,
		}),
	}
	if body := decode[[]any](t, got); !reflect.DeepEqual(body, want) {
		t.Errorf("got %v\nwant %v", body, want)
	}
	secret, seed := session.Secret(), assertion.Secret()
	for _, hidden := range []string{
		bwstest.AppSecret, bwstest.AppID, alice.String(), hex.EncodeToString(secret[:]), hex.EncodeToString(seed[:]),
	} {
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
		"storage never read": {restart(ledgertest.Failing()), []string{"ledger_unavailable", "ledger_unavailable", "ledger_unavailable"}},
		"no key":             {restart(ledgertest.ReadOnly()), []string{"ledger_unavailable", "ledger_unavailable"}},
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
			health := decode[adminapi.Health](t, got)
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
