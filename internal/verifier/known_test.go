package verifier

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

// How long an answer may be reused, to the nanosecond. 0 is not at all, and never forever.
func TestReuse(t *testing.T) {
	const (
		successTTL = 10 * time.Second
		failureTTL = time.Second
	)
	liveDetectionFailed := reply{status: http.StatusOK, body: `{"Success":false,"Error":"LiveDetectionFailed"}`}
	unauthorized := reply{status: http.StatusUnauthorized}
	for name, test := range map[string]struct {
		reply               reply
		successTTL, failTTL time.Duration
		// lives is how long the token still lives.
		lives time.Duration
		want  time.Duration
	}{
		"success":                 {succeeded, successTTL, failureTTL, time.Hour, successTTL},
		"success, off":            {succeeded, 0, failureTTL, time.Hour, 0},
		"success, failures off":   {succeeded, successTTL, 0, time.Hour, successTTL},
		"success, until exp":      {succeeded, successTTL, failureTTL, 3 * time.Second, 3 * time.Second},
		"success, exp is now":     {succeeded, successTTL, failureTTL, 0, 0},
		"success, exp is past":    {succeeded, successTTL, failureTTL, -time.Second, 0},
		"success, exp in 7999 y":  {succeeded, successTTL, failureTTL, 0, successTTL},
		"not recognized":          {failed, successTTL, failureTTL, time.Hour, failureTTL},
		"not recognized, off":     {failed, successTTL, 0, time.Hour, 0},
		"failure":                 {liveDetectionFailed, successTTL, failureTTL, time.Hour, failureTTL},
		"failure, successes off":  {liveDetectionFailed, 0, failureTTL, time.Hour, failureTTL},
		"failure, until exp":      {failed, successTTL, failureTTL, time.Millisecond, time.Millisecond},
		"rejected":                {rejected, successTTL, failureTTL, time.Hour, failureTTL},
		"rejected, off":           {rejected, successTTL, 0, time.Hour, 0},
		"rejected, until exp":     {rejected, successTTL, failureTTL, time.Millisecond, time.Millisecond},
		"rejected, exp is past":   {rejected, successTTL, failureTTL, -time.Second, 0},
		"rejected, exp in 7999 y": {rejected, successTTL, failureTTL, 0, failureTTL},
		"204":                     {pending, successTTL, failureTTL, time.Hour, 0},
		"401":                     {unauthorized, successTTL, failureTTL, time.Hour, 0},
		"500":                     {outage, successTTL, failureTTL, time.Hour, 0},
		"invalid":                 {reply{status: http.StatusOK}, successTTL, failureTTL, time.Hour, 0},
		"silence":                 {silence, successTTL, failureTTL, time.Hour, 0},
		"panic":                   {reply{panics: "x"}, successTTL, failureTTL, time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSubject(t, func(c *Config) { c.SuccessTTL, c.FailureTTL = test.successTTL, test.failTTL })
				time.Sleep(time.Second) // so that the verifier's own time is not 0
				s.claims.Expires = time.Now().Add(test.lives)
				if test.lives == 0 && test.want > 0 {
					s.claims.Expires = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
				}
				s.service.will(test.reply)
				outcome := s.ask(token).Outcome
				if test.want > 0 {
					time.Sleep(test.want - 1)
					if e := s.recall(token); e == nil || e.Outcome != outcome {
						t.Fatalf("at its last moment the evidence is %+v", e)
					}
					s.checkAsked(t, 1)
					time.Sleep(time.Nanosecond)
				}
				if e := s.recall(token); e != nil {
					t.Errorf("there is evidence after its end: %+v", *e)
				}
				s.ask(token)
				time.Sleep(time.Hour)
				if e := s.recall(token); e != nil {
					t.Errorf("there is evidence an hour after its end: %+v", *e)
				}
			})
		})
	}
}

// machine is a computer's time, whose wall clock can be set. A bubble has no time with a monotonic part, so that this one comes
// from outside.
type machine struct {
	boot, bubble time.Time
	set          atomic.Int64
}

// newMachine is to be called outside a bubble, start inside.
func newMachine() *machine { return &machine{boot: time.Now()} }

func (m *machine) start() { m.bubble = time.Now() }

func (m *machine) setWall(by time.Duration) { m.set.Add(int64(by / time.Second)) }

func (m *machine) now() time.Time {
	t := m.boot.Add(time.Since(m.bubble))
	// No function of the time package makes a time whose two clocks have parted. The first field has a bit that says there are
	// two, 33 bits of seconds on the wall, and 30 bits of nanoseconds.
	*(*uint64)(unsafe.Pointer(&t)) += uint64(m.set.Load()) << 30
	return t
}

// A wall clock that is set changes nothing about how long evidence lives.
func TestWallClockIsSet(t *testing.T) {
	for _, by := range []time.Duration{-time.Hour, -time.Second, time.Second, time.Minute} {
		m := newMachine()
		synctest.Test(t, func(t *testing.T) {
			m.start()
			s := newSubject(t, func(c *Config) { c.Now = m.now })
			s.claims.Expires = m.now().Add(10 * time.Minute).UTC().Round(0)
			before := m.now()
			s.ask(token)
			m.setWall(by)
			if after := m.now(); after.Sub(before) != 0 || after.Unix()-before.Unix() != int64(by/time.Second) {
				t.Fatal("the clocks have not parted")
			}
			s.ask("another token")
			time.Sleep(s.SuccessTTL - 1)
			if s.recall(token) == nil || s.recall("another token") == nil {
				t.Errorf("set by %s, evidence ends too early", by)
			}
			time.Sleep(time.Nanosecond)
			if s.recall(token) != nil || s.recall("another token") != nil {
				t.Errorf("set by %s, evidence lives too long", by)
			}
		})
	}
}

// What is no answer says nothing about an older one, and nothing survives an answer that is newer.
func TestNewerAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(t)
		key := KeyOf(token)
		learn := func(outcome evidence.Outcome, success bool) {
			e := evidence.OfClaims(outcome, &s.claims)
			e.Success = success
			s.known.learn(key, e)
		}
		learn(evidence.Answered, true)
		for _, outcome := range []evidence.Outcome{
			evidence.Unavailable, evidence.TimedOut, evidence.Misconfigured, evidence.Invalid,
			evidence.RateLimited, evidence.Busy, evidence.Crashed, evidence.None,
		} {
			learn(outcome, false)
			if e := s.known.fresh(key); e == nil || !e.Success || !s.known.accepted(key) {
				t.Errorf("outcome %d replaces an answer", outcome)
			}
		}
		learn(evidence.Answered, false)
		if e := s.known.fresh(key); e == nil || e.Success {
			t.Errorf("after a failure there is %+v", e)
		}
		learn(evidence.Answered, true)
		learn(evidence.Pending, false)
		if e := s.known.fresh(key); e != nil || !s.known.accepted(key) {
			t.Errorf("after a 204 there is %+v", e)
		}
		learn(evidence.Answered, true)
		learn(evidence.Rejected, false)
		if e := s.known.fresh(key); e == nil || e.Outcome != evidence.Rejected || s.known.accepted(key) {
			t.Errorf("after a rejection there is %+v", e)
		}
		learn(evidence.Answered, true)
		s.known.failureTTL = 0
		learn(evidence.Answered, false)
		if e := s.known.fresh(key); e != nil {
			t.Errorf("after a failure that may not be reused there is %+v", e)
		}
		s.known.successTTL = time.Second
		learn(evidence.Answered, true)
		learn(evidence.Rejected, false)
		if e := s.known.fresh(key); e != nil || s.known.accepted(key) {
			t.Errorf("after a rejection that may not be reused there is %+v", e)
		}
	})
}

// Of an identification with many matches, as much is remembered as of one with two.
func TestRemembersWhatPolicyNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(t)
		s.claims.Task = bws.TaskIdentify
		s.service.will(reply{status: http.StatusOK, body: `{"Action":"identification","BCID":"bioid/9876/0","Success":true,"Matches":[` +
			`{"BCID":"bioid/9876/1","Score":0.75},{"BCID":"bioid/9876/2","Score":0.5},{"BCID":"bioid/9876/3","Score":0.25}]}`})
		want := *s.ask(token)
		want.Source = evidence.FromCache
		if got := s.recall(token); got == nil || *got != want || got.Score != 0.75 || got.RunnerUp != 0.5 || got.BCID.Class != 1 {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
}

func TestRemembersNoMoreThanItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 100
		s := newSubject(t, func(c *Config) { c.Size, c.ClientCalls = size, 100*size })
		for i := range 10 * size {
			s.service.will([]reply{succeeded, failed, rejected, pending}[i%4])
			s.ask(strconv.Itoa(i))
		}
		s.known.cache.CleanUp()
		if n := s.known.cache.EstimatedSize(); n > size {
			t.Errorf("%d tokens are remembered, want at most %d", n, size)
		}
		// Anybody can invent tokens, with any end.
		s.known.cache.InvalidateAll()
		s.service.will(rejected)
		s.ask(token)
		time.Sleep(s.FailureTTL + 5*time.Second) // they are cleared away every now and then
		if n := s.known.cache.EstimatedSize(); n > 0 {
			t.Error("a rejected token is remembered longer than its rejection")
		}
		// What has ended leaves, also if nobody asks.
		s.service.will(succeeded)
		s.ask(token)
		time.Sleep(time.Hour)
		if n := s.known.cache.EstimatedSize(); n > 0 {
			t.Errorf("%d tokens are remembered after their end", n)
		}
	})
}

func TestRecallDoesNotAllocate(t *testing.T) {
	s := newSubject(t)
	s.ask(token)
	if allocations := testing.AllocsPerRun(1000, func() {
		if s.recall(token) == nil {
			t.Fatal("nothing is remembered")
		}
	}); allocations != 0 {
		t.Errorf("%v allocations, want none", allocations)
	}
}
