package integration

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/session"
)

// sealer makes sessions as a node does that shares a storage: with the same keys, whatever its clock shows.
type sealer struct {
	keys    *ledger.Keys
	service string
}

// newSealer reads the keys in a folder, which has them as soon as a session has begun there.
func newSealer(t *testing.T, folder string) *sealer {
	t.Helper()
	found, _ := filepath.Glob(filepath.Join(folder, "bws", "*"))
	if len(found) != 1 {
		t.Fatalf("the storage is of %q, want one service", found)
	}
	id, err := hex.DecodeString(filepath.Base(found[0]))
	if err != nil {
		t.Fatal(err)
	}
	l := ledger.New(ledger.Config{Storage: &certmagic.FileStorage{Path: folder}, ServiceID: [32]byte(id)})
	if err := l.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &sealer{l.Keys(ledger.Sessions), string(id)}
}

// seal returns a session of Alice's, as a header.
func (s *sealer) seal(t *testing.T, begun, renewed time.Time) string {
	t.Helper()
	value, err := session.Seal(s.keys, &session.Place{Host: "127.0.0.1", Service: s.service, Cookie: "bws_session"}, &session.Session{
		ID: session.ID{1},
		Evidence: evidence.Evidence{
			Outcome: evidence.Answered, Success: true, Action: bws.Verification, Task: bwstest.DefaultTask,
			BCID: alice, Person: evidence.PersonOf(alice), NotBefore: begun, Expires: begun.Add(10 * time.Minute), AnsweredAt: begun,
		},
		Begun: begun, Renewed: renewed,
	})
	if err != nil {
		t.Fatal(err)
	}
	return "Cookie: bws_session=" + value
}

// storageFolder is where Caddy has its storage.
func (c *caddyProcess) storageFolder() string { return filepath.Join(c.Home, "caddy") }

// Each route grants a session its own time, from when it began, and no node's clock gives it more.
func TestTimesOfSessions(t *testing.T) {
	covers(t, 61, 62, 120)
	t.Parallel()
	s := startSite(t, "", `	bws /long* {
		session 720h
	}
	bws /short* {
		session 1m
	}
	bws /idle* {
		session 1h {
			idle 10s
		}
	}
	bws /aged* {
		max_age 30s
		session 1h
	}`)
	begin(t, "http://"+s.Addr+"/long", good(s.service))
	s.app.take()
	sealer := newSealer(t, s.storageFolder())
	for name, test := range map[string]struct {
		begun, renewed time.Duration
		want           map[string]string // reasons by path, "" for an allow
	}{
		"of now":                   {0, 0, map[string]string{"/long": "", "/short": "", "/idle": "", "/aged": ""}},
		"of a minute ago":          {-61 * time.Second, 0, map[string]string{"/long": "", "/short": "session_expired", "/idle": "", "/aged": "too_old"}},
		"of an hour ago, renewed":  {-time.Hour, 0, map[string]string{"/long": "", "/short": "session_expired", "/idle": "session_expired"}},
		"idle":                     {-11 * time.Second, -11 * time.Second, map[string]string{"/long": "", "/short": "", "/idle": "session_expired"}},
		"of 29 days ago":           {-29 * 24 * time.Hour, 0, map[string]string{"/long": "", "/short": "session_expired"}},
		"of 31 days ago":           {-31 * 24 * time.Hour, 0, map[string]string{"/long": "session_expired"}},
		"of a clock slightly fast": {40 * time.Second, 40 * time.Second, map[string]string{"/long": "", "/short": "", "/idle": "", "/aged": ""}},
		"of a clock too fast":      {90 * time.Second, 90 * time.Second, map[string]string{"/long": "not_yet_valid", "/idle": "not_yet_valid"}},
		"of an hour ahead":         {time.Hour, time.Hour, map[string]string{"/long": "not_yet_valid"}},
		"renewed in the future":    {0, 2 * time.Hour, map[string]string{"/long": "not_yet_valid", "/idle": "not_yet_valid"}},
	} {
		t.Run(name, func(t *testing.T) {
			for path, reason := range test.want {
				now := time.Now()
				got := s.raw(t, "GET "+path+" HTTP/1.1", sealer.seal(t, now.Add(test.begun), now.Add(test.renewed)))
				if reason != "" {
					s.checkKeptOut(t, got, reason)
				} else if requests := s.app.take(); len(requests) != 1 || requests[0].Header.Get("Cookie") != "" {
					t.Errorf("%s: got %d %s, the app %v", path, got.StatusCode, got.Body, requests)
				}
			}
		})
	}
	t.Run("asked for again and again", func(t *testing.T) {
		cookie := sealer.seal(t, time.Now().Add(-time.Hour+3*time.Second), time.Now().Add(-6*time.Second))
		began := time.Now()
		renewed := 0
		eventually(t, "it ends", func() bool {
			got := do(t, http.MethodGet, "http://"+s.Addr+"/idle", cookie)
			for _, set := range got.Cookies() {
				renewed++
				cookie = "Cookie: " + set.Name + "=" + set.Value
				if set.MaxAge > 3 {
					t.Errorf("the cookie lasts %d s", set.MaxAge)
				}
			}
			return got.reason() == "session_expired"
		})
		if took := time.Since(began); took < time.Second || took > 20*time.Second || renewed == 0 {
			t.Errorf("it took %s, with %d cookies", took, renewed)
		}
	})
}

// What a token and BWS's answer say is over when it is over, also where the answer is remembered. A minute is for clocks that differ.
func TestTimesOfTokens(t *testing.T) {
	covers(t, 61, 114)
	t.Parallel()
	s := cacheSite(t)
	spec := func(begins time.Duration) string {
		return "X-BWS-Token: " + s.service.Token(bwstest.TokenSpec{BCID: alice, NotBefore: time.Now().Add(begins)})
	}
	get := func(token string) *answer {
		s.service.Script("/result", bwstest.Answer{Body: []byte(verified)})
		defer s.service.Reset()
		return do(t, http.MethodGet, "http://"+s.Addr+"/long", token)
	}
	for begins, reason := range map[time.Duration]string{
		30 * time.Second: "", 90 * time.Second: "not_yet_valid", time.Hour: "not_yet_valid",
		-10*time.Minute - 30*time.Second: "", -12 * time.Minute: "expired_token", -time.Hour: "expired_token",
	} {
		if got := get(spec(begins)); got.reason() != reason {
			t.Errorf("a token from %s: got %d %s, want %q", begins, got.StatusCode, got.Body, reason)
		}
	}
	ending := spec(-10*time.Minute + 4*time.Second)
	if got := get(ending); got.StatusCode != http.StatusOK {
		t.Fatalf("got %d %s", got.StatusCode, got.Body)
	}
	eventually(t, "what is remembered ends with the token", func() bool {
		return do(t, http.MethodGet, "http://"+s.Addr+"/long", ending).reason() == "rejected_token"
	})
}

// A session opens where it was sealed for, as it is, and nowhere else. Whatever else it is, the answer is that to no session at all.
func TestMovedSessions(t *testing.T) {
	service, app := bwstest.NewServer(t, bwstest.Config{}), newApp(t)
	_, port, _ := net.SplitHostPort(freeAddr(t))
	c := startCaddy(t, serviceOption("", service.URL), fmt.Sprintf(`http://:%s {
	bws /cookie* {
		session {
			cookie other
		}
	}
	bws /none*
	bws {
		session
	}
	reverse_proxy %s
}`, port, app.Listener.Addr()))
	c.Addr = "127.0.0.1:" + port
	s := &gatedSite{c, t, service, app}
	value := strings.TrimPrefix(begin(t, "http://"+s.Addr, good(service)), "Cookie: bws_session=")
	s.app.take()
	get := func(host, path, header string) *answer {
		return sendRaw(t, s.Addr, "GET "+path+" HTTP/1.1\nHost: "+host+"\nConnection: close\n"+header+"\n\n")
	}
	if got := get("127.0.0.1:1", "/", "Cookie: a=1; bws_session="+value); got.StatusCode != http.StatusOK {
		t.Fatalf("got %d %s", got.StatusCode, got.Body)
	}
	s.app.take()
	flipped := func(at int) string {
		other := byte('A')
		if value[at] == other {
			other = 'B'
		}
		return value[:at] + string(other) + value[at+1:]
	}
	nothing := get("127.0.0.1", "/", "A: b")
	for name, test := range map[string]struct{ host, path, cookie string }{
		"security case 42: another site":             {"other.example", "/", "bws_session=" + value},
		"security case 59: another cookie":           {"127.0.0.1", "/cookie", "other=" + value},
		"security case 59: the secure cookie":        {"127.0.0.1", "/", "__Host-bws_session=" + value},
		"security case 59: a token's cookie":         {"127.0.0.1", "/", "bws_login_token=" + value},
		"security case 59: no sessions":              {"127.0.0.1", "/none", "bws_session=" + value},
		"security case 59: cut":                      {"127.0.0.1", "/", "bws_session=" + value[:len(value)-4]},
		"security case 59: half":                     {"127.0.0.1", "/", "bws_session=" + value[:len(value)/2]},
		"security case 59: longer":                   {"127.0.0.1", "/", "bws_session=" + value + "AAAA"},
		"security case 59: the version":              {"127.0.0.1", "/", "bws_session=" + flipped(0)},
		"security case 59: the key":                  {"127.0.0.1", "/", "bws_session=" + flipped(4)},
		"security case 59: the nonce":                {"127.0.0.1", "/", "bws_session=" + flipped(20)},
		"security case 59: the content":              {"127.0.0.1", "/", "bws_session=" + flipped(60)},
		"security case 59: the end":                  {"127.0.0.1", "/", "bws_session=" + flipped(len(value)-2)},
		"security case 59: quoted":                   {"127.0.0.1", "/", `bws_session="` + value + `"`},
		"security case 59: far too long":             {"127.0.0.1", "/", "bws_session=" + strings.Repeat("A", 16<<10)},
		"security case 37: one of two":               {"127.0.0.1", "/", "bws_session_1=" + value[:100] + "; bws_session_2=" + value[100:]},
		"security case 37: one of two billion":       {"127.0.0.1", "/", "bws_session_1of2000000000=" + value},
		"security case 37: the first of none":        {"127.0.0.1", "/", "bws_session_0of1=" + value},
		"security case 37: a piece beyond the count": {"127.0.0.1", "/", "bws_session_9of2=" + value},
	} {
		t.Run(name, func(t *testing.T) {
			covers(t)
			calls := service.Calls("/result")
			got := get(test.host, test.path, "Cookie: "+test.cookie)
			s.checkKeptOut(t, got, "no_token")
			if test.host == "127.0.0.1" && got.Body != nothing.Body || got.StatusCode != nothing.StatusCode || len(got.Header) != len(nothing.Header) {
				t.Errorf("got %d %q %s, without any session %d %q %s", got.StatusCode, got.Header, got.Body, nothing.StatusCode, nothing.Header, nothing.Body)
			}
			if service.Calls("/result") > calls {
				t.Error("BWS was asked")
			}
		})
	}
	t.Run("security case 34: two sessions", func(t *testing.T) {
		covers(t)
		other := strings.TrimPrefix(begin(t, "http://"+s.Addr, good(service)), "Cookie: ")
		s.app.take()
		s.checkKeptOut(t, get("127.0.0.1", "/", "Cookie: bws_session="+value+"; "+other), "ambiguous_token")
	})
}

// A session outlives a restart of the node, but not the end of its key.
func TestSessionsWithoutTheirKey(t *testing.T) {
	covers(t, 32, 60)
	t.Parallel()
	s := startSite(t, "", "\tbws {\n\t\tsession\n\t}")
	cookie := begin(t, "http://"+s.Addr, good(s.service))
	n := &node{s.caddyProcess}
	n.kill()
	n.restart()
	s.app.take()
	if got := do(t, http.MethodGet, "http://"+s.Addr, cookie); got.StatusCode != http.StatusOK || s.reached(t).Header.Get("X-BWS-BCID") != alice.String() {
		t.Errorf("after a restart: got %d %s", got.StatusCode, got.Body)
	}
	n.kill()
	for _, key := range ledgerIn(t, s.storageFolder()) {
		if err := os.Remove(key); err != nil {
			t.Fatal(err)
		}
	}
	n.restart()
	s.checkKeptOut(t, do(t, http.MethodGet, "http://"+s.Addr, cookie), "no_token")
	again := begin(t, "http://"+s.Addr, good(s.service))
	s.app.take()
	s.checkKeptOut(t, do(t, http.MethodGet, "http://"+s.Addr, cookie), "no_token")
	if got := do(t, http.MethodGet, "http://"+s.Addr, again); got.StatusCode != http.StatusOK {
		t.Errorf("with a new session: got %d %s", got.StatusCode, got.Body)
	}
}

// A cookie that opens something is for this host, over TLS, and no script sees it, under whatever name.
func TestCookieAttributes(t *testing.T) {
	covers(t, 58)
	t.Parallel()
	s := startSecureSite(t, "", `	bws_logout /logout
	bws /own* {
		session 10m {
			cookie mine
			same_site strict
		}
	}
	bws /login* {
		bcid bioid/9876/12345
		login {
			ui {ui}
		}
	}
	bws /page* {
		session
	}`)
	for version, c := range s.versions(t) {
		t.Run(version, func(t *testing.T) {
			for path, want := range map[string]string{
				"/page": "__Host-bws_session=*; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=900",
				"/own":  "mine=*; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=600",
			} {
				got := over(t, c, http.MethodGet, s.url+path, nil, "X-BWS-Token: "+s.goodToken())
				lines := got.Header["Set-Cookie"]
				before, rest, _ := strings.Cut(strings.Join(lines, "\n"), "=")
				value, attributes, _ := strings.Cut(rest, ";")
				if len(lines) != 1 || value == "" || before+"=*;"+attributes != want {
					t.Errorf("%s sets %q, want %s", path, lines, want)
				}
			}
			began := over(t, c, http.MethodGet, s.url+"/login", nil, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
			ended := over(t, c, http.MethodPost, s.url+"/logout", nil, "Origin: "+s.url)
			if began.StatusCode != http.StatusSeeOther || ended.StatusCode != http.StatusNoContent {
				t.Errorf("got %d %s and %d %s", began.StatusCode, began.Body, ended.StatusCode, ended.Body)
			}
			lines := slices.Concat(began.Header["Set-Cookie"], ended.Header["Set-Cookie"])
			for _, line := range lines {
				if !strings.HasPrefix(line, "__Host-bws_") || !strings.Contains(line, "; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=") {
					t.Errorf("a cookie is set with %s", line)
				}
			}
			if len(lines) < 4 {
				t.Errorf("only %q are set", lines)
			}
		})
	}
}
