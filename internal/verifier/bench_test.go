package verifier

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

// keyOfNumber is the key of one of many tokens.
func keyOfNumber(i int) (key Key) {
	// Multiplied with an odd number, since keys are hashes and differ everywhere.
	binary.LittleEndian.PutUint64(key[:], uint64(i+1)*0x9e3779b97f4a7c15)
	return key
}

// What the service sends, as far as memory is concerned: a person, and a reason why not.
const (
	manySuccesses = `{"Action":"verification","BCID":"bioid/9876/%d","Success":true}`
	manyFailures  = `{"Action":"verification","BCID":"bioid/9876/%d","Success":false,"Error":"ChallengeResponseFailed"}`
)

// fill lets a verifier learn what the service has answered about n tokens, each decoded from what it sends.
func fill(b *testing.B, s *subject, n int, body string) {
	b.Helper()
	s.claims.Expires = time.Now().Add(time.Hour).UTC().Round(0)
	for i := range n {
		result, err := bws.DecodeResult(fmt.Appendf(nil, body, i+1))
		if err != nil {
			b.Fatal(err)
		}
		claims := s.claims
		s.known.learn(keyOfNumber(i), evidence.OfResult(&result, &claims, s.Now()))
	}
	s.known.cache.CleanUp()
}

// BenchmarkRecall looks up one of many tokens, in no order, as requests come.
func BenchmarkRecall(b *testing.B) {
	for _, size := range []int{1000, 1_000_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := newSubject(b, func(c *Config) { c.Size, c.SuccessTTL = size, time.Hour })
			fill(b, s, size, manySuccesses)
			found, n, i := 0, 0, 0
			b.ReportAllocs()
			for b.Loop() {
				if i += 7919; i >= size { // a prime, and further away than what a processor fetches in advance
					i %= size
				}
				if s.Recall(keyOfNumber(i)) != nil {
					found++
				}
				n++
			}
			// Some make room before the cache is quite full.
			if found < n*9/10 {
				b.Errorf("%d of %d were found", found, n)
			}
		})
	}
}

// BenchmarkKeyOf is what a request does before it can look a token up.
func BenchmarkKeyOf(b *testing.B) {
	token := strings.Repeat("x", 400)
	b.ReportAllocs()
	for b.Loop() {
		KeyOf(token)
	}
}

// BenchmarkMemory measures what a remembered result costs, with everything around it.
func BenchmarkMemory(b *testing.B) {
	for name, body := range map[string]string{"success": manySuccesses, "failure": manyFailures} {
		b.Run(name, func(b *testing.B) {
			const size = 1_000_000
			for b.Loop() {
				before := heap()
				s := newSubject(b, func(c *Config) { c.Size, c.SuccessTTL = size, time.Hour })
				fill(b, s, size, body)
				b.ReportMetric(float64(heap()-before)/float64(s.known.cache.EstimatedSize()), "B/result")
				s.Close()
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
