package integration

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// startFault is how a service's storage fails from the start of Caddy on.
type startFault struct {
	id, word string
	// empty says that there is nothing in it, as before any node's first start.
	empty bool
	// session, out and spent are from before: a session, one that has been logged out of, and a token that has been spent.
	session, out, spent string
}

func startFaults() []*startFault {
	return []*startFault{
		{id: "failing", word: "failing"},
		{id: "hanging", word: "hanging"},
		{id: "read-only", word: "read-only"},
		{id: "empty-failing", word: "failing", empty: true},
		{id: "empty-hanging", word: "hanging", empty: true},
		{id: "empty-read-only", word: "read-only", empty: true},
	}
}

// faultyStart is a Caddy with a service, and gates of all kinds, for each fault.
type faultyStart struct {
	gatedSite
	folder string
	faults []*startFault
}

// A storage that fails before Caddy has read anything of it lets in nobody whom it would have to vouch for, begins nothing that could
// not go on, and keeps Caddy neither from starting nor from reloading. As soon as it works, so does all else.
func TestStorageThatFailsFromTheStart(t *testing.T) {
	covers(t, 107)
	t.Parallel()
	s := startFaultyStart(t)
	for _, f := range s.faults {
		s.prepare(t, f)
	}
	n := &node{s.caddyProcess}
	n.kill()
	for _, f := range s.faults {
		if f.empty {
			if err := os.RemoveAll(filepath.Join(s.folder, f.id)); err != nil {
				t.Fatal(err)
			}
		}
		tellStorage(t, filepath.Join(s.folder, f.id), f.word)
	}
	n.restart()
	for _, f := range s.faults {
		t.Run(f.id, func(t *testing.T) { s.suffer(t, f) })
	}
	// Services come and go meanwhile whose storage has never worked either.
	more := &startFault{id: "more", word: "hanging"}
	tellStorage(t, filepath.Join(s.folder, more.id), more.word)
	start := time.Now()
	s.reload(s.config(append(s.faults, more)))
	s.reload(s.config(s.faults))
	if took := time.Since(start); took > 2*lateness {
		t.Errorf("reloading twice took %s", took)
	}
	for _, f := range s.faults {
		s.check(t, f, "session", f.expected(passes, "401 `no_token`"), f.session)
		s.check(t, f, "plain", passes, good(s.service)[0])
	}
	for _, f := range s.faults {
		tellStorage(t, filepath.Join(s.folder, f.id), "")
	}
	over := time.Now()
	for _, f := range s.faults {
		t.Run(f.id+", over", func(t *testing.T) { s.recover(t, f, over) })
	}
}

func startFaultyStart(t *testing.T) *faultyStart {
	t.Helper()
	s := &faultyStart{
		gatedSite: gatedSite{newFaultyCaddy(t, nil), t, bwstest.NewServer(t, bwstest.Config{}), newApp(t)},
		folder:    t.TempDir(), faults: startFaults(),
	}
	s.run(s.config(s.faults))
	return s
}

func (s *faultyStart) config(faults []*startFault) string {
	var options, gates strings.Builder
	for _, f := range faults {
		options.WriteString(serviceOption(f.id, s.service.URL, "timeout 1s", "client_rate 100000 1m",
			"storage faulty "+filepath.Join(s.folder, f.id)))
		fmt.Fprintf(&gates, "\tbws_logout /%[1]s/logout %[1]s\n\tbws /%[1]s/plain %[1]s\n", f.id)
		for kind, option := range map[string]string{
			"session": "session", "once": "once", "login": "login {\n\t\t\tui " + captureURL + "\n\t\t}", "signed": "assertion",
		} {
			fmt.Fprintf(&gates, "\tbws /%s/%s %s {\n\t\tbcid %s\n\t\t%s\n\t}\n", f.id, kind, f.id, alice, option)
		}
	}
	return fmt.Sprintf("{\n\tadmin %s\n\tauto_https off\n\tlog {\n\t\tformat bws\n\t}\n%s}\nhttp://%s {\n%s\treverse_proxy %s\n}",
		s.Admin, &options, s.Addr, &gates, s.app.Listener.Addr())
}

func (s *faultyStart) url(f *startFault, kind string) string {
	return "http://" + s.Addr + "/" + f.id + "/" + kind
}

// prepare does what there is from before.
func (s *faultyStart) prepare(t *testing.T, f *startFault) {
	f.session, f.out = begin(t, s.url(f, "session"), good(s.service)), begin(t, s.url(f, "session"), good(s.service))
	f.spent = good(s.service)[0]
	s.check(t, f, "once", passes, f.spent)
	do(t, http.MethodPost, s.url(f, "logout"), f.out, "Origin: http://"+s.Addr)
	s.check(t, f, "session", "401 `revoked`", f.out)
}

const unavailable = "503 `ledger_unavailable`"

// expected is what comes of something that needs to read the storage, and then a key that is in it.
func (f *startFault) expected(withKey, withoutKey string) string {
	switch {
	case f.word != "read-only":
		return unavailable
	case f.empty:
		return withoutKey
	}
	return withKey
}

// suffer checks what becomes of requests while the storage fails.
func (s *faultyStart) suffer(t *testing.T, f *startFault) {
	keyed := f.expected(passes, "") == passes
	s.check(t, f, "session", f.expected(passes, "401 `no_token`"), f.session)
	s.check(t, f, "session", f.expected("401 `revoked`", "401 `no_token`"), f.out)
	s.check(t, f, "plain", passes, good(s.service)[0])
	s.check(t, f, "once", unavailable, f.spent)
	s.check(t, f, "once", unavailable, good(s.service)[0])
	s.check(t, f, "signed", f.expected(passes, unavailable), good(s.service)[0])

	got := s.check(t, f, "session", passes, good(s.service)[0])
	if cookie := cookiesOf(got); (cookie != "") != keyed {
		t.Errorf("a session begins: %t", cookie != "")
	} else if keyed {
		s.check(t, f, "session", passes, cookie)
	}
	tokens := s.service.Calls("/token")
	s.check(t, f, "login", f.expected("303 See Other", unavailable), "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
	if ordered := s.service.Calls("/token") > tokens; ordered != keyed {
		t.Errorf("a token is requested for a login: %t", ordered)
	}
}

// recover checks that all works again, soon, and what has become of what was there before.
func (s *faultyStart) recover(t *testing.T, f *startFault, over time.Time) {
	var cookie string
	eventually(t, "a session begins", func() bool {
		cookie = cookiesOf(do(t, http.MethodGet, s.url(f, "session"), good(s.service)...))
		return cookie != ""
	})
	if took := time.Since(over); took > period+lateness {
		t.Errorf("it took %s until a session begins", took)
	}
	s.app.take()
	s.check(t, f, "session", passes, cookie)
	s.check(t, f, "signed", passes, good(s.service)[0])
	s.check(t, f, "login", "303 See Other", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
	token := good(s.service)[0]
	s.check(t, f, "once", passes, token)
	s.check(t, f, "once", spent, token)
	if f.empty { // what was there is gone
		s.check(t, f, "session", "401 `no_token`", f.session)
		s.check(t, f, "session", "401 `no_token`", f.out)
		return
	}
	s.check(t, f, "session", passes, f.session)
	s.check(t, f, "session", "401 `revoked`", f.out)
	s.check(t, f, "once", spent, f.spent)
}

// check checks what comes of a request, in time, and that it reaches the app only if it passes.
func (s *faultyStart) check(t *testing.T, f *startFault, kind, want string, headers ...string) *answer {
	t.Helper()
	start := time.Now()
	got := do(t, http.MethodGet, s.url(f, kind), headers...)
	if took := time.Since(start); took > lateness+2*time.Second { // where a token is spent, two operations may hang
		t.Errorf("%s: the answer took %s", kind, took)
	}
	if reached := len(s.app.take()) > 0; told(got) != want || reached != (want == passes) {
		t.Errorf("%s: got %s, want %s; the app is reached: %t", kind, told(got), want, reached)
	}
	return got
}
