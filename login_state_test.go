package caddybws

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/sealed"
)

// fixedLength is where the person begins.
var fixedLength = binary.Size(fixedState{})

// A state says the same when it is opened, in its place and nowhere else.
func TestLoginState(t *testing.T) {
	s := newSite(t)
	keys := s.service.loginKeys()
	longest := bws.BCID{Storage: strings.Repeat("s", 64), Partition: -1 << 31, Class: -1 << 31}
	for name, state := range map[string]loginState{
		"nothing": {begun: time.Unix(0, 0)},
		"all": {
			start, bindingOf("x"), keyOf("y"), goalHash{1, 2}, alice.String(),
			"x=1&y=%2F&z=\xff",
		},
		"longest": {begun: start, person: longest.String(), query: strings.Repeat("q", sealed.MaxContent-fixedLength-len(longest.String()))},
	} {
		text, err := state.seal(keys, "app.example", "service")
		if err != nil || len(text) > sealed.MaxLength {
			t.Fatalf("%s: %q, %v", name, text, err)
		}
		got, ok := openLoginState(t.Context(), keys, text, "app.example", "service")
		if !ok || !got.begun.Equal(state.begun) {
			t.Fatalf("%s: got %+v, %v", name, got, ok)
		}
		if got.begun = state.begun; *got != state {
			t.Errorf("%s: got %+v, want %+v", name, *got, state)
		}
		for _, where := range [][2]string{{"other.example", "service"}, {"app.example", "other"}, {"app.examples", "ervice"}, {"", ""}} {
			if _, ok := openLoginState(t.Context(), keys, text, where[0], where[1]); ok {
				t.Errorf("%s: opens for %q", name, where)
			}
		}
		if again, _ := state.seal(keys, "app.example", "service"); again == text {
			t.Errorf("%s: sealed twice, it is the same", name)
		}
	}
	long := loginState{begun: start, person: alice.String(), query: strings.Repeat("q", sealed.MaxContent)}
	text, err := long.seal(keys, "h", "s")
	if got, ok := openLoginState(t.Context(), keys, text, "h", "s"); err != nil || !ok || got.query != "" || got.person != long.person {
		t.Errorf("a long query becomes %+v, %v", got, err)
	}
}

// keyless is a node without keys.
type keyless struct{}

func (keyless) Current() (*ledger.Key, error) { return nil, errors.New("none") }
func (keyless) Find(context.Context, ledger.KeyID) (*ledger.Key, error) {
	return nil, errors.New("none")
}

func TestLoginStateWithoutKeys(t *testing.T) {
	state := loginState{begun: start}
	if text, err := state.seal(keyless{}, "h", "s"); err == nil {
		t.Errorf("sealed as %q", text)
	}
	text, err := state.seal(newSite(t).service.loginKeys(), "h", "s")
	if _, ok := openLoginState(t.Context(), keyless{}, text, "h", "s"); ok || err != nil {
		t.Errorf("opens without a key, %v", err)
	}
}

// Nothing opens but what was sealed, and what was sealed by mistake does no harm.
func FuzzLoginState(f *testing.F) {
	s := newSite(f)
	keys := s.service.loginKeys()
	state := loginState{begun: start, person: alice.String(), query: "x=1"}
	good, err := state.seal(keys, "h", "s")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, []byte{})
	f.Add(good[1:], make([]byte, fixedLength-1))
	f.Add("", bytes.Repeat([]byte{0xff}, fixedLength))
	f.Add(strings.Repeat("A", 512), append(bytes.Repeat([]byte{1}, fixedLength), "xy"...))
	f.Fuzz(func(t *testing.T, text string, content []byte) {
		if got, ok := openLoginState(t.Context(), keys, text, "h", "s"); ok && text != good {
			t.Fatalf("%q opens: %+v", text, got)
		}
		rubbish, err := sealed.Seal(keys, content, forLoginState, "h", "s")
		if err != nil {
			return
		}
		got, ok := openLoginState(t.Context(), keys, rubbish, "h", "s")
		if !ok {
			if len(content) >= fixedLength && int(content[fixedLength-1]) <= len(content)-fixedLength {
				t.Fatalf("%q does not open", content)
			}
			return
		}
		again, err := got.seal(keys, "h", "s")
		if err != nil {
			t.Fatal(err)
		}
		if back, ok := openLoginState(t.Context(), keys, again, "h", "s"); !ok || *back != *got {
			t.Fatalf("%+v became %+v", got, back)
		}
	})
}

// Any query may come back. None makes the gate panic, none gets in, and none leads anywhere but to the path it came for.
func FuzzReturned(f *testing.F) {
	s := newSite(f)
	s.service = newService(f, inProcess{s.Service}, s.clock.Now, unlimited)
	g := s.gate(f, loginGate(withSession))
	ui := send(f, navigation("/page?x=1"), g).sentTo(f)
	token, state := ui.Get("access_token"), ui.Get("state")
	f.Add("access_token=" + token + "&state=" + state)
	f.Add("state=" + state)
	f.Add("state=" + state + "&state=")
	f.Add("state&access_token&error=user_abort&&=&;")
	f.Add("access_token=" + token + "&error=user_skip&state=" + state + "&%zz\x00")
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, "/page", nil)
		r.Host, r.URL.RawQuery = "app.example", query
		o := send(t, r, g)
		states := 0
		for pair := range strings.SplitSeq(query, "&") {
			if name, value, _ := strings.Cut(pair, "="); name == "state" {
				states++
				if value != state {
					states += 2
				}
			}
		}
		if isReturn := states == 1; isReturn != (o.Code == http.StatusSeeOther) || o.app != nil || o.err != nil {
			t.Fatalf("%q: got %d, %v", query, o.Code, o.err)
		}
		if location := o.Header().Get("Location"); location != "" && location != "/page?x=1" {
			t.Fatalf("%q leads to %q", query, location)
		}
	})
}
