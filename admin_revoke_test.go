package caddybws

import (
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
	"github.com/caddy-bws/caddy-bws/internal/session"
)

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
			if len(rotated) != 2 || rotated[0].Purpose != "session" || rotated[1].Purpose != "assertion" {
				t.Fatalf("got %s", got.Body)
			}
			for _, key := range rotated {
				if key.Service != "default" || key.ID == old.ID.String() || !key.UseFrom.Equal(start.Add(ledger.KeyPropagation)) {
					t.Fatalf("got %s", got.Body)
				}
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
	if got := names(""); !slices.Equal(got, []string{"other", "other", "this", "this"}) {
		t.Errorf("rotated are the keys of %q", got)
	}
	if got := names(`{"service":"this"}`); !slices.Equal(got, []string{"this", "this"}) {
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

// Any bytes may come as the body. What is understood concerns something, and what is not is answered without quoting it.
func FuzzRevocation(f *testing.F) {
	for _, body := range []string{
		`{"session":"00112233445566778899AABBCCDDEEFF"}`, `{"token":" a.b.c\n"}`, `{"bcid":"bioid.9876.12345"}`, `{"service":"default"}`,
		`{"bcid":"bioid/9876/0"}`, `{"session":"0","token":"x"}`, `{"service":"","Service":"default"}`, `{"token":"x"}{}`, `null`, ``,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest(http.MethodPost, "/bws/revoke", strings.NewReader(body))
		var asked revocation
		err := readBody(httptest.NewRecorder(), r, &asked)
		subject := ledger.Subject{}
		if err == nil {
			_, subject, err = asked.subject()
		}
		if err == nil && subject == (ledger.Subject{}) {
			t.Fatalf("%q revokes nothing", body)
		}
		if err != nil && (subject != (ledger.Subject{}) || len(body) > 100 && strings.Contains(err.Error(), body)) {
			t.Fatalf("%q: %v, %v", body, subject, err)
		}
		if failure, ok := errors.AsType[caddy.APIError](err); err != nil && (!ok || failure.HTTPStatus/100 != 4) {
			t.Fatalf("%q is answered with %v", body, err)
		}
	})
}
