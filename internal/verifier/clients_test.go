package verifier

import (
	"context"
	"encoding/binary"
	"net/netip"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

// limited is a subject that lets a client ask three questions a minute about unknown tokens.
func limited(t *testing.T) *subject {
	t.Helper()
	return newSubject(t, func(c *Config) { c.ClientCalls = 3 })
}

// exhaust uses the client's allowance up, with tokens that nobody else asks about.
func (s *subject) exhaust(t *testing.T, from netip.Addr) {
	t.Helper()
	for i := range s.ClientCalls + 1 {
		want := evidence.Answered
		if i == s.ClientCalls {
			want = evidence.RateLimited
		}
		checkOutcome(t, s.askFrom(from, "unknown "+strconv.Itoa(i)+" of "+from.String()), want)
	}
	s.checkAsked(t, s.ClientCalls)
}

func TestClientsThatShareALimit(t *testing.T) {
	for name, test := range map[string]struct {
		one, other string
		share      bool
	}{
		"the same":                       {"192.0.2.1", "192.0.2.1", true},
		"neighbors":                      {"192.0.2.1", "192.0.2.2", false},
		"IPv4 in IPv6":                   {"192.0.2.1", "::ffff:192.0.2.1", true},
		"neighbors, IPv4 in IPv6":        {"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		"one /64":                        {"2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true},
		"neighboring /64":                {"2001:db8:0:1::1", "2001:db8:0:2::1", false},
		"link-local, two zones":          {"fe80::1%eth0", "fe80::2%eth1", true},
		"IPv4 and IPv6":                  {"192.0.2.1", "2001:db8::1", false},
		"IPv4 and IPv6 of the same bits": {"192.0.2.1", "::192.0.2.1", false},
		"unknown":                        {"", "", true},
		"unknown, and known":             {"", "192.0.2.1", false},
		"unknown, and all zeros":         {"", "::", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := limited(t)
				one, _ := netip.ParseAddr(test.one)
				other, _ := netip.ParseAddr(test.other)
				s.exhaust(t, one)
				want := evidence.Answered
				if test.share {
					want = evidence.RateLimited
				}
				checkOutcome(t, s.askFrom(other, token), want)
				s.checkLog(t, quiet)
			})
		})
	}
}

// What the service has accepted once may be asked about without end, also by a client that may ask nothing else, and also
// when no answer may be reused any more.
func TestAcceptedTokensAreFree(t *testing.T) {
	for name, answer := range map[string]reply{"success": succeeded, "failure": failed, "204": pending} {
		for _, ttl := range []time.Duration{0, time.Second} {
			t.Run(name+", ttl "+ttl.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newSubject(t, func(c *Config) { c.ClientCalls, c.SuccessTTL, c.FailureTTL = 3, ttl, ttl })
					s.service.will(answer)
					want := s.ask(token).Outcome
					s.service.will(succeeded)
					for i := range 2 {
						s.ask(strconv.Itoa(i))
					}
					s.service.asked()
					s.service.will(outage, answer) // that the service is down changes nothing about the token
					checkOutcome(t, s.ask("unknown"), evidence.RateLimited)
					const times = 20
					time.Sleep(ttl)
					checkOutcome(t, s.ask(token), evidence.Unavailable)
					for range times {
						time.Sleep(ttl)
						checkOutcome(t, s.ask(token), want)
					}
					s.checkAsked(t, 1+times)
				})
			})
		}
	}
}

func TestRejectedTokensCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := limited(t)
		s.service.will(rejected)
		for range 3 {
			checkOutcome(t, s.ask(token), evidence.Rejected)
			checkOutcome(t, s.ask(token), evidence.Rejected) // which is remembered
			time.Sleep(s.FailureTTL)
		}
		checkOutcome(t, s.ask(token), evidence.RateLimited)
		s.checkAsked(t, 3)
	})
}

// A token that was accepted once, and is no longer, is like any that is not.
func TestTokensThatAreNoLongerAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := limited(t)
		s.service.will(pending, rejected)
		s.ask(token)
		for range 3 {
			checkOutcome(t, s.ask(token), evidence.Rejected)
			time.Sleep(s.FailureTTL)
		}
		checkOutcome(t, s.ask(token), evidence.RateLimited)
	})
}

// A question that is never put costs nothing: people are not locked out after an outage for having tried during it.
func TestOutagesAreFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := limited(t)
		s.breaker.Open()
		for range 100 {
			checkOutcome(t, s.ask(token), evidence.Unavailable)
		}
		time.Sleep(probeAfter)
		s.exhaust(t, client)
	})
}

func TestAllowanceComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := limited(t)
		ask := func(want evidence.Outcome) {
			t.Helper()
			checkOutcome(t, s.ask("at "+time.Now().String()), want)
			time.Sleep(time.Nanosecond)
		}
		s.exhaust(t, client)
		for range 5 {
			time.Sleep(s.ClientPer/3 - time.Millisecond)
			ask(evidence.RateLimited)
			time.Sleep(time.Millisecond)
			ask(evidence.Answered)
			ask(evidence.RateLimited)
		}
		// Nothing is saved up beyond the allowance, which takes its time to come back as a whole.
		for _, pause := range []time.Duration{s.ClientPer, time.Hour} {
			time.Sleep(pause)
			for range s.ClientCalls {
				ask(evidence.Answered)
			}
			ask(evidence.RateLimited)
		}
	})
}

// Who joins a question that is not put because of another client's limit puts it himself.
func TestLimitsAreNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := limited(t)
		s.exhaust(t, client)
		s.logs.TakeAll()

		// The limit is found out in no time, so that it takes a slow start for anybody to join.
		q := s.question(client, token)
		s.flights.DoChan(string(q.Key[:]), func() (any, error) {
			time.Sleep(time.Millisecond)
			return s.Verifier.ask(t.Context(), q), nil
		})
		checkOutcome(t, s.askFrom(stranger, token), evidence.Answered)
		s.checkAsked(t, 1)
	})
}

// Whoever meets other clients' limits again and again shares their fate before long.
func TestJoinsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := limited(t)
		q := s.question(stranger, token)
		key := string(q.Key[:])
		flights := 0
		// Each of these questions makes room for the next before those who wait for it get to know.
		var refuse func() (any, error)
		refuse = func() (any, error) {
			time.Sleep(time.Millisecond)
			if flights++; flights < 10*maxJoins {
				s.flights.Forget(key)
				s.flights.DoChan(key, refuse)
			}
			return answer{evidence.OfClaims(evidence.RateLimited, q.Claims), client}, nil
		}
		s.flights.DoChan(key, refuse)
		began := time.Now()
		checkOutcome(t, s.Verify(context.Background(), q), evidence.RateLimited)
		checkTook(t, began, maxJoins*time.Millisecond, maxJoins*time.Millisecond)
		time.Sleep(time.Second)
	})
}

func TestClientsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := limited(t)
		for i := range maxClients + maxClients/5 {
			var address [16]byte
			binary.BigEndian.PutUint64(address[:], uint64(i))
			s.clients.allow(netip.AddrFrom16(address))
		}
		s.clients.limiters.CleanUp()
		if n := s.clients.limiters.EstimatedSize(); n > maxClients {
			t.Errorf("%d clients are told apart, want at most %d", n, maxClients)
		}
		// Limits that are as good as new are forgotten.
		time.Sleep(2 * s.ClientPer)
		if n := s.clients.limiters.EstimatedSize(); n > 0 {
			t.Errorf("%d clients are remembered without need", n)
		}
	})
}
