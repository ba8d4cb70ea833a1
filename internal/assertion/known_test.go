package assertion

import (
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/caddy-bws/caddy-bws/bws"
)

// Whatever makes a difference to anybody has an assertion of its own; what is the same shares one for half of its life.
func TestReuse(t *testing.T) {
	n := newReadyNode(t)
	base := verification(n.Now())
	first := n.sign(t, base)
	texts := map[string]string{first: "the first"}
	for name, edit := range map[string]func(*Statement){
		"session":     func(s *Statement) { s.Session[15]++ },
		"issuer":      func(s *Statement) { s.Issuer = "https://b.example" },
		"audience":    func(s *Statement) { s.Audience = "b.example" },
		"person":      func(s *Statement) { s.Subject.Class++ },
		"partition":   func(s *Statement) { s.Subject.Partition++ },
		"storage":     func(s *Statement) { s.Subject.Storage += "x" },
		"action":      func(s *Statement) { s.Action = bws.Identification },
		"live":        func(s *Statement) { s.Live = false },
		"face":        func(s *Statement) { s.Face = false },
		"performed":   func(s *Statement) { s.Performed++ },
		"method":      func(s *Statement) { s.Method = "POST" },
		"path":        func(s *Statement) { s.Path = "/other" },
		"lifetime":    func(s *Statement) { s.Lifetime++ },
		"part, moved": func(s *Statement) { s.Method, s.Path = s.Method+"/", s.Path[1:] },
	} {
		s := base
		edit(&s)
		text := n.sign(t, s)
		if other, shared := texts[text]; shared {
			t.Errorf("another %s has the assertion of %s", name, other)
		}
		texts[text] = name
	}
	if reflect.TypeFor[Statement]().NumField() != 11 {
		t.Error("a statement has another number of parts; add the missing ones above")
	}
	n.Advance(30*time.Second - 1)
	if n.sign(t, base) != first {
		t.Error("it is not used again")
	}
	n.Advance(1)
	second := n.sign(t, base)
	if second == first {
		t.Error("it is used again though half of its life has passed")
	}
	n.Advance(-time.Minute)
	if again := n.sign(t, base); again == first || again == second {
		t.Error("it is used again though it begins in the future, since the clock was set back")
	}
}

func TestReuseIsBounded(t *testing.T) {
	n := newReadyNode(t)
	s := verification(n.Now())
	for i := range 60 {
		s.Path = strings.Repeat("x", 500_000) + string(rune('a'+i))
		n.sign(t, s)
	}
	n.known.cache.CleanUp()
	if weight := n.known.cache.WeightedSize(); weight > maxWeight {
		t.Errorf("%d bytes are remembered", weight)
	}
	var texts int
	for s, f := range n.known.cache.All() {
		texts += len(s.Path) + len(f.text)
	}
	if texts > maxWeight {
		t.Errorf("%d bytes of texts are remembered", texts)
	}
	line := "GET /page?" + strings.Repeat("x", 1<<20)
	s.Method, s.Path = line[:3], line[4:9]
	n.sign(t, s)
	for s := range n.known.cache.Keys() {
		if s.Path == "/page" && (unsafe.StringData(s.Path) == unsafe.StringData(line[4:]) || unsafe.StringData(s.Method) == unsafe.StringData(line)) {
			t.Error("the whole request line is remembered")
		}
	}
	n.Close()
	if left := n.known.cache.EstimatedSize(); left > 0 {
		t.Errorf("%d are left in the end", left)
	}
}
