package session

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
	"github.com/caddy-bws/caddy-bws/internal/sealed"
)

var (
	start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	here  = Place{Host: "app.example", Service: "service", Cookie: "__Host-bws_session"}
)

// newKeys returns the keys of a ledger that nobody else uses.
func newKeys(t testing.TB, now func() time.Time) sealed.Keys {
	t.Helper()
	l := ledger.New(ledger.Config{Storage: new(ledgertest.Memory), ServiceID: [32]byte{1}, Now: now})
	if err := l.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l.Keys(ledger.Sessions)
}

func hashOf(token string) [32]byte { return sha256.Sum256([]byte(token)) }

func clock() time.Time { return start }

func verified() *evidence.Evidence {
	e := &evidence.Evidence{
		Outcome: evidence.Answered, Source: evidence.FromService, Task: bws.TaskVerify | bws.TaskLiveDetect | 3,
		NotBefore: start.Add(-time.Minute), Expires: start.Add(9 * time.Minute), AnsweredAt: start,
		Success: true, Action: bws.Verification, BCID: bws.BCID{Storage: "bioid", Partition: 9876, Class: -12345},
	}
	e.Person = evidence.PersonOf(e.BCID)
	return e
}

func TestSealAndOpen(t *testing.T) {
	keys := newKeys(t, clock)
	longest := verified()
	longest.Action, longest.Matched, longest.Score, longest.RunnerUp = bws.Identification, true, 0.75, 0.5
	longest.Face = true
	longest.BCID = bws.BCID{Storage: strings.Repeat("x", 64), Partition: -1 << 31, Class: 1<<31 - 1}
	alive := verified()
	alive.Action, alive.BCID, alive.Face = bws.LiveDetection, bws.BCID{}, true
	for name, e := range map[string]*evidence.Evidence{"verification": verified(), "longest": longest, "names nobody": alive} {
		t.Run(name, func(t *testing.T) {
			want := Begin(hashOf("token"), e, start)
			value, err := Seal(keys, &here, want)
			if err != nil || len(value) > sealed.MaxLength {
				t.Fatalf("%d bytes, %v", len(value), err)
			}
			got, ok := Open(t.Context(), keys, &here, value)
			want.Evidence.Source = evidence.FromSession
			if !ok || *got != *want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if again, _ := Seal(keys, &here, want); again == value {
				t.Error("two cookies are the same")
			}
		})
	}
}

// Security case 59: a value opens where it was sealed for, as it is, and nowhere else.
func TestWhatDoesNotOpen(t *testing.T) {
	keys := newKeys(t, clock)
	value, err := Seal(keys, &here, Begin(hashOf("token"), verified(), start))
	if err != nil {
		t.Fatal(err)
	}
	for name, place := range map[string]Place{
		"another host":     {"other.example", here.Service, here.Cookie},
		"another service":  {here.Host, "other", here.Cookie},
		"another cookie":   {here.Host, here.Service, "__Host-bws_login"},
		"parts, moved":     {here.Host + here.Cookie[:1], here.Service, here.Cookie[1:]},
		"no place at all":  {},
		"upper case, host": {strings.ToUpper(here.Host), here.Service, here.Cookie},
	} {
		if s, ok := Open(t.Context(), keys, &place, value); ok {
			t.Errorf("%s: opens as %+v", name, s)
		}
	}
	for i := range value {
		changed := []byte(value)
		changed[i] ^= 1
		if s, ok := Open(t.Context(), keys, &here, string(changed)); ok {
			t.Errorf("opens as %+v with byte %d changed", s, i)
		}
		if s, ok := Open(t.Context(), keys, &here, value[:i]); ok {
			t.Errorf("opens as %+v after %d bytes", s, i)
		}
	}
	for name, text := range map[string]string{
		"empty": "", "padded": value + "=", "longer": value + "A", "a line break": value[:8] + "\n" + value[8:],
		"too long": strings.Repeat("A", sealed.MaxLength+1), "no base64": strings.Repeat("!", len(value)),
	} {
		if s, ok := Open(t.Context(), keys, &here, text); ok {
			t.Errorf("%s: opens as %+v", name, s)
		}
	}
	if s, ok := Open(t.Context(), newKeys(t, clock), &here, value); ok {
		t.Errorf("opens as %+v with another key", s)
	}
}

// noKeys are those of a node that has never reached the storage.
type noKeys struct{}

func (noKeys) Current() (*ledger.Key, error)                           { return nil, ledger.ErrNoKey }
func (noKeys) Find(context.Context, ledger.KeyID) (*ledger.Key, error) { return nil, ledger.ErrNoKey }

func TestWithoutKeys(t *testing.T) {
	if value, err := Seal(noKeys{}, &here, Begin(hashOf("token"), verified(), start)); !errors.Is(err, ledger.ErrNoKey) {
		t.Errorf("got %q, %v", value, err)
	}
	value, err := Seal(newKeys(t, clock), &here, Begin(hashOf("token"), verified(), start))
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := Open(t.Context(), noKeys{}, &here, value); ok {
		t.Errorf("got %+v", s)
	}
}

// One token, one session: what has been logged out cannot be begun again.
func TestID(t *testing.T) {
	first, again := Begin(hashOf("token"), verified(), start), Begin(hashOf("token"), verified(), start.Add(time.Minute))
	if first.ID != again.ID || first.ID == Begin(hashOf("other"), verified(), start).ID || first.ID == (ID{}) {
		t.Errorf("the ids are %x and %x", first.ID, again.ID)
	}
}

// Security cases 61, 62 and 120: each route grants its own time, counted from the first sight of the token or its end, and
// activity renews only the idle time.
func TestJudge(t *testing.T) {
	const lifetime, idle, skew = time.Hour, 10 * time.Minute, time.Minute
	for name, test := range map[string]struct {
		begun, renewed time.Duration
		idle           time.Duration
		want           End
	}{
		"new":                        {0, 0, idle, NotEnded},
		"just before the end":        {-lifetime + time.Second, 0, idle, NotEnded},
		"at the end":                 {-lifetime, 0, idle, Lifetime},
		"just before idle":           {-30 * time.Minute, -idle + time.Second, idle, NotEnded},
		"idle":                       {-30 * time.Minute, -idle, idle, Idle},
		"idle where that is off":     {-30 * time.Minute, -30 * time.Minute, 0, NotEnded},
		"a clock a little ahead":     {skew, skew, idle, NotEnded},
		"a clock too far ahead":      {skew + time.Second, skew + time.Second, idle, Early},
		"renewed in the far future":  {0, time.Hour, idle, Early},
		"both ends, lifetime counts": {-lifetime, -lifetime, idle, Lifetime},
	} {
		s := &Session{Begun: start.Add(test.begun), Renewed: start.Add(test.renewed)}
		if got := s.Judge(lifetime, test.idle, skew, start); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
	late := Begin(hashOf("token"), verified(), start.Add(time.Hour))
	if want := verified().Expires; !late.Begun.Equal(want) {
		t.Errorf("a session begun after the end of its token begins at %s, want %s", late.Begun, want)
	}
}

func TestNeedsRenewal(t *testing.T) {
	s := &Session{Renewed: start}
	for after, want := range map[time.Duration]bool{0: false, 5*time.Minute - 1: false, 5 * time.Minute: true, time.Hour: true} {
		if got := s.NeedsRenewal(10*time.Minute, start.Add(after)); got != want {
			t.Errorf("after %s: got %v", after, got)
		}
	}
	if s.NeedsRenewal(0, start.Add(time.Hour)) {
		t.Error("a cookie is renewed though there is no idle time")
	}
}

func TestEncode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		second := func(label string) time.Time { return time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, label), 0).UTC() }
		e := *verified()
		e.Source = evidence.FromSession
		e.Action = rapid.SampledFrom(actions).Draw(t, "action")
		e.Task = bws.Task(rapid.Int32Range(0, 1<<30).Draw(t, "task"))
		e.BCID = bws.BCID{
			Storage:   rapid.StringMatching(`\w{0,64}`).Draw(t, "storage"),
			Partition: rapid.Int32().Draw(t, "partition"), Class: rapid.Int32().Draw(t, "class"),
		}
		e.Person = evidence.PersonOf(e.BCID)
		e.Matched = rapid.Bool().Draw(t, "matched")
		e.Score, e.RunnerUp = rapid.Float64().Draw(t, "score"), rapid.Float64().Draw(t, "runner-up")
		e.NotBefore, e.Expires, e.AnsweredAt = second("nbf"), second("exp"), second("answered")
		want := Session{ID: IDOf(hashOf(rapid.String().Draw(t, "token"))), Evidence: e, Begun: second("begun"), Renewed: second("renewed")}
		if got, ok := decode(want.encode(nil)); !ok || *got != want {
			t.Fatalf("got  %+v\nwant %+v", got, want)
		}
	})
}

// What cannot have been written is not read, though it was sealed.
func TestDecodeRefuses(t *testing.T) {
	good := Begin(hashOf("token"), verified(), start)
	odd := *good
	odd.Evidence.Action = "deletion"
	action := len(ID{}) + len(evidence.Person{}) + 5*8 + 4
	for name, content := range map[string][]byte{
		"an action nobody knows": odd.encode(nil),
		"one action too many":    slices.Replace(good.encode(nil), action, action+1, byte(len(actions))),
		"a flag nobody knows":    slices.Replace(good.encode(nil), action+1, action+2, faceFlag<<1),
		"too short":              good.encode(nil)[:fixedLength-1],
	} {
		if s, ok := decode(content); ok {
			t.Errorf("%s: got %+v", name, s)
		}
	}
	if _, ok := decode(good.encode(nil)[:fixedLength]); !ok {
		t.Error("nobody is not read")
	}
}

// What opens is in good form, and nothing makes opening panic.
func FuzzOpen(f *testing.F) {
	keys := newKeys(f, clock)
	value, err := Seal(keys, &here, Begin(hashOf("token"), verified(), start))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(value)
	f.Add("")
	f.Add(base64.RawURLEncoding.EncodeToString(make([]byte, 100)))
	f.Fuzz(func(t *testing.T, text string) {
		if s, ok := Open(t.Context(), keys, &here, text); ok && text != value {
			t.Errorf("%q opens as %+v", text, s)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(Begin(hashOf("token"), verified(), start).encode(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, ok := decode(data); ok && !s.Evidence.Action.Known() {
			t.Errorf("got %+v", s)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	keys := newKeys(b, clock)
	value, err := Seal(keys, &here, Begin(hashOf("token"), verified(), start))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := Open(b.Context(), keys, &here, value); !ok {
			b.Fatal("it does not open")
		}
	}
}
