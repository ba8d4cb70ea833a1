package sealed

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
)

func newKeys(t testing.TB) Keys {
	t.Helper()
	l := ledger.New(ledger.Config{Storage: new(ledgertest.Memory), Now: ledgertest.NewClock().Now})
	if err := l.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l.Keys(ledger.Sessions)
}

// What is sealed opens in its own context, and in no other, however the parts are cut.
func TestContexts(t *testing.T) {
	keys := newKeys(t)
	parts := rapid.SliceOfN(rapid.StringMatching(`[ab]{0,3}`), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		content := rapid.SliceOfN(rapid.Byte(), 0, MaxContent).Draw(t, "content")
		here, there := parts.Draw(t, "here"), parts.Draw(t, "there")
		text, err := Seal(keys, content, here...)
		if err != nil || len(text) > MaxLength {
			t.Fatalf("%d bytes, %v", len(text), err)
		}
		if got, ok := Open(context.Background(), keys, text, here...); !ok || !bytes.Equal(got, content) {
			t.Fatalf("got %x, %v", got, ok)
		}
		same := len(here) == len(there) && strings.Join(here, ",") == strings.Join(there, ",")
		if _, ok := Open(context.Background(), keys, text, there...); ok != same {
			t.Fatalf("sealed for %q, opens for %q: %v", here, there, ok)
		}
	})
}

func TestTooLong(t *testing.T) {
	if text, err := Seal(newKeys(t), make([]byte, MaxContent+1)); !errors.Is(err, errTooLong) {
		t.Errorf("got %q, %v", text, err)
	}
}

// Nothing but what was sealed opens.
func FuzzOpen(f *testing.F) {
	keys := newKeys(f)
	text, err := Seal(keys, []byte("content"), "here")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(text + "A")
	f.Add(text[:10] + "\n" + text[10:])
	f.Fuzz(func(t *testing.T, other string) {
		if content, ok := Open(t.Context(), keys, other, "here"); ok != (other == text) {
			t.Errorf("%q opens: %v, %q", other, ok, content)
		}
	})
}
