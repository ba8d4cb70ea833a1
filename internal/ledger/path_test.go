package ledger

import (
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
)

func TestKeyRefusesOddSegments(t *testing.T) {
	area := rootOf(serviceID).child(spentArea)
	for _, segment := range []string{
		"", ".", "..", "/", "a/b", "a/", "/a", "a//b", "../../certificates", "A", "a b", "a_b", "a.json", "ä", "\x00", "-", "-1", "*",
		strings.Repeat("a", maxSegment+1),
	} {
		if k := area.child(segment); k != (location{}) {
			t.Errorf("%q leads to %q", segment, k.path)
		}
		if k := area.child(segment).child("a").child("b"); k != (location{}) {
			t.Errorf("%q and more leads to %q", segment, k.path)
		}
	}
	for _, segment := range []string{"a", "0", "a-b", "29000000", strings.Repeat("a", maxSegment)} {
		if k := area.child(segment); k.path != area.path+"/"+segment {
			t.Errorf("%q leads to %q", segment, k.path)
		}
	}
}

// Security case 124: deleting is recursive, and Caddy's certificates lie in the same storage.
func TestNothingElseIsEverDeleted(t *testing.T) {
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	const certificate = "certificates/example.com/example.com.crt"
	if err := storage.Store(t.Context(), certificate, []byte("x")); err != nil {
		t.Fatal(err)
	}
	s, root := newStore(newHosts(Host{Storage: storage}), new(Counters)), rootOf(serviceID)
	for _, k := range []location{
		{},
		root,
		root.child(""),
		root.child(spentArea),
		root.child(spentArea).child(""),
		root.child(spentArea).child(".."),
		root.child("").child("").child(""),
		root.child(keysArea).child("session").child("../../../../.."),
	} {
		if err := s.deleteAll(t.Context(), k); err != errOddLocation {
			t.Errorf("deleting %q: %v", k.path, err)
		}
		if err := s.store(t.Context(), k, nil); err != errOddLocation {
			t.Errorf("storing %q: %v", k.path, err)
		}
		if _, err := s.load(t.Context(), k); err != errOddLocation {
			t.Errorf("loading %q: %v", k.path, err)
		}
	}
	if _, err := s.list(t.Context(), location{}, true, callLimit); err != errOddLocation {
		t.Errorf("listing nothing: %v", err)
	}
	if !storage.Exists(t.Context(), certificate) {
		t.Fatal("the certificate is gone")
	}
}

// A purpose with an odd name has no keys, rather than keys at an odd place.
func TestOddPurpose(t *testing.T) {
	w := newWorld()
	odd := Purpose{Name: "..", Lifetime: time.Hour}
	l := New(Config{Storage: w.memory, ServiceID: serviceID, Now: w.Now, Purposes: []Purpose{odd}})
	if err := l.Sync(t.Context()); err == nil {
		t.Error("Sync succeeds")
	}
	if _, err := l.Keys(odd).Current(); err != ErrNoKey {
		t.Errorf("Current: %v", err)
	}
	if keys := w.memory.Keys(); len(keys) > 0 {
		t.Errorf("stored %q", keys)
	}
}

func TestRelative(t *testing.T) {
	area := rootOf(serviceID).child(spentArea)
	for listed, want := range map[string]string{
		area.path + "/1":              "1",
		area.path + "/1/":             "1",
		area.path + "/1/ab/cd":        "1 ab cd",
		area.path:                     "",
		area.path + "x/1":             "",
		"/" + area.path + "/1":        "",
		"certificates/x":              "",
		"":                            "",
		rootOf([32]byte{}).path + "1": "",
	} {
		if got := strings.Join(area.relative(listed), " "); got != want {
			t.Errorf("%q: got %q, want %q", listed, got, want)
		}
	}
}

func TestParseMinute(t *testing.T) {
	for s, want := range map[string]minute{"0": 0, "29000000": 29000000, "140737488355327": 1<<47 - 1} {
		if m, ok := parseMinute(s); !ok || m != want || m.String() != s {
			t.Errorf("%q: %v, %v", s, m, ok)
		}
	}
	for _, s := range []string{"", "-1", "+1", "01", "1 ", "1.0", "0x1", "1e3", "140737488355328", "99999999999999999999", "1234567890.tmp"} {
		if m, ok := parseMinute(s); ok {
			t.Errorf("%q is taken for %v", s, m)
		}
	}
}

func TestMinuteOf(t *testing.T) {
	for _, test := range []struct {
		at   time.Time
		want minute
	}{
		{time.Unix(0, 0), 0}, {time.Unix(59, 999), 0}, {time.Unix(60, 0), 1}, {time.Unix(-1, 0), -1}, {time.Time{}, -1},
	} {
		if got := minuteOf(test.at); got != test.want {
			t.Errorf("%v: got %d, want %d", test.at, got, test.want)
		}
	}
	if k := rootOf(serviceID).child(minute(-1).String()); k != (location{}) {
		t.Errorf("a minute before 1970 has the key %q", k.path)
	}
}
