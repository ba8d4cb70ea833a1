package policy

import (
	"testing"

	"github.com/caddy-bws/caddy-bws/bws"
)

// busy is a policy with as many patterns as anybody is likely to write, of which the last one matches.
func busy() Policy {
	p := demanding()
	p.Persons = nil
	for class := range int32(10) {
		p.Persons = append(p.Persons, bws.PatternFor(bws.BCID{Storage: "bioid", Partition: 9876, Class: class + 1}))
	}
	p.Persons = append(p.Persons, bws.PatternFor(alice))
	return p
}

func TestJudgeDoesNotAllocate(t *testing.T) {
	p, e := busy(), identified()
	if allocations := testing.AllocsPerRun(100, func() { p.Judge(&e, now) }); allocations != 0 {
		t.Errorf("%v allocations, want none", allocations)
	}
}

func BenchmarkJudge(b *testing.B) {
	p, e := busy(), identified()
	b.ReportAllocs()
	for b.Loop() {
		if !p.Judge(&e, now).Allow {
			b.Fatal("denied")
		}
	}
}
