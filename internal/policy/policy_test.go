package policy

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

var (
	now   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	alice = bws.BCID{Storage: "bioid", Partition: 9876, Class: 12345}
	bob   = bws.BCID{Storage: "bioid", Partition: 9876, Class: 12346}
)

// demanding is a policy that uses all options.
func demanding() Policy {
	return Policy{
		Allow:     []bws.Action{bws.Verification, bws.Identification},
		Bound:     true,
		Persons:   []bws.Pattern{bws.PatternFor(alice)},
		MinScore:  0.5,
		MinMargin: 0.25,
		MaxAge:    2 * time.Minute,
		Require:   RequireChallenge,
	}
}

// identified is evidence that satisfies the demanding policy.
func identified() evidence.Evidence {
	return evidence.Evidence{
		Outcome:    evidence.Answered,
		Task:       bws.TaskIdentify | bws.TaskLiveDetect | bws.TaskChallenge,
		NotBefore:  now.Add(-time.Minute),
		Expires:    now.Add(9 * time.Minute),
		Success:    true,
		Action:     bws.Identification,
		BCID:       alice,
		Matched:    true,
		Score:      0.75,
		RunnerUp:   0.25,
		AnsweredAt: now,
	}
}

// verified is the same for a verification.
func verified() evidence.Evidence {
	e := identified()
	e.Task = bws.TaskVerify | bws.TaskLiveDetect | bws.TaskChallenge
	e.Action, e.Matched, e.Score, e.RunnerUp = bws.Verification, false, 0, 0
	return e
}

// fault is one thing wrong with a policy and evidence that otherwise allow.
type fault struct {
	reason Reason
	apply  func(*Policy, *evidence.Evidence)
}

func outcome(o evidence.Outcome) func(*Policy, *evidence.Evidence) {
	return func(_ *Policy, e *evidence.Evidence) { e.Outcome = o }
}

func failure(code bws.ErrorCode) func(*Policy, *evidence.Evidence) {
	return func(_ *Policy, e *evidence.Evidence) { e.Success, e.Error = false, code }
}

// faults are in the order of judgment. Of those that exclude each other, any may come first.
var faults = []fault{
	{ExpiredToken, func(_ *Policy, e *evidence.Evidence) { e.Expires = now.Add(-Skew) }},
	{NotYetValid, func(_ *Policy, e *evidence.Evidence) { e.NotBefore = now.Add(Skew + 1) }},

	{Pending, outcome(evidence.Pending)},
	{RejectedToken, outcome(evidence.Rejected)},
	{ServiceUnavailable, outcome(evidence.Unavailable)},
	{ServiceTimeout, outcome(evidence.TimedOut)},
	{ServiceMisconfigured, outcome(evidence.Misconfigured)},
	{ServiceInvalid, outcome(evidence.Invalid)},
	{RateLimited, outcome(evidence.RateLimited)},
	{ServiceBusy, outcome(evidence.Busy)},
	{InternalError, outcome(evidence.Crashed)},
	{ServiceInvalid, outcome(evidence.None)},
	{ServiceInvalid, outcome(math.MaxUint8)},

	{NotRecognized, failure("")},
	{LiveDetectionFailed, failure(bws.LiveDetectionFailed)},
	{ChallengeResponseFailed, failure(bws.ChallengeResponseFailed)},
	{NoTemplate, failure(bws.NoTemplateAvailable)},
	{NotEnoughSamples, failure(bws.NotEnoughSamples)},
	{JobTimedOut, failure(bws.ExecutionOfJobTimedOut)},
	{OperationFailed, failure("SomethingNew")},
	{OperationFailed, failure("livedetectionfailed")},

	{Contradiction, func(_ *Policy, e *evidence.Evidence) { e.Contradictory = true }},
	{TooOld, func(_ *Policy, e *evidence.Evidence) { e.NotBefore = now.Add(-2*time.Minute - 1) }},
	{ActionNotAllowed, func(p *Policy, _ *evidence.Evidence) { p.Allow = []bws.Action{bws.Verification, bws.LiveDetection} }},
	{ActionNotAllowed, func(_ *Policy, e *evidence.Evidence) { e.Task |= bws.TaskAutoEnroll }},
	{BCIDNotAllowed, func(p *Policy, _ *evidence.Evidence) { p.Persons = []bws.Pattern{bws.PatternFor(bob)} }},
	{BCIDNotAllowed, func(p *Policy, _ *evidence.Evidence) { p.Persons = nil }},
	{ScoreTooLow, func(_ *Policy, e *evidence.Evidence) { e.Score, e.RunnerUp = 0.4375, 0.125 }},
	{MarginTooSmall, func(_ *Policy, e *evidence.Evidence) { e.RunnerUp = e.Score - 0.125 }},
	{NotLive, func(p *Policy, e *evidence.Evidence) {
		p.Require, e.Task = RequireLiveDetection, bws.TaskIdentify|bws.TaskChallenge
	}},
	{NoChallenge, func(_ *Policy, e *evidence.Evidence) { e.Task = bws.TaskIdentify | bws.TaskLiveDetect }},
	{NoChallenge, func(p *Policy, _ *evidence.Evidence) { p.Require = "" }},
	{NoChallenge, func(p *Policy, _ *evidence.Evidence) { p.Require = "Live_Detection" }},
}

func TestJudgeAllows(t *testing.T) {
	for _, e := range []evidence.Evidence{identified(), verified()} {
		p := demanding()
		if got := p.Judge(&e, now); got != (Decision{Allow: true}) {
			t.Errorf("%s: got %+v, want an allow without a reason", e.Action, got)
		}
	}
}

func TestJudgeNamesEachFault(t *testing.T) {
	for i, fault := range faults {
		p, e := demanding(), identified()
		fault.apply(&p, &e)
		if got := p.Judge(&e, now); got != Deny(fault.reason) {
			t.Errorf("fault %d: got %+v, want %s", i, got, fault.reason)
		}
	}
}

// A fault names the reason whatever else is wrong that is judged later.
func TestJudgeInOrder(t *testing.T) {
	for i, first := range faults {
		for _, second := range faults[i+1:] {
			p, e := demanding(), identified()
			second.apply(&p, &e)
			first.apply(&p, &e)
			if got := p.Judge(&e, now); got != Deny(first.reason) {
				t.Errorf("%s and %s: got %+v, want the former", first.reason, second.reason, got)
			}
		}
	}
}

func TestJudgeBoundaries(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*Policy, *evidence.Evidence)
		want Reason
	}{
		"exactly as old as allowed": {func(_ *Policy, e *evidence.Evidence) { e.NotBefore = now.Add(-2 * time.Minute) }, ""},
		"no slack for the age":      {func(_ *Policy, e *evidence.Evidence) { e.NotBefore = now.Add(-2*time.Minute - 1) }, TooOld},
		"any age without a limit": {func(p *Policy, e *evidence.Evidence) {
			p.MaxAge, e.NotBefore = 0, now.Add(-1000*time.Hour)
		}, ""},
		"an age beyond what a duration holds": {func(_ *Policy, e *evidence.Evidence) { e.NotBefore = now.AddDate(-500, 0, 0) }, TooOld},
		"last moment before the end":          {func(_ *Policy, e *evidence.Evidence) { e.Expires = now.Add(-Skew + 1) }, ""},
		"at the end":                          {func(_ *Policy, e *evidence.Evidence) { e.Expires = now.Add(-Skew) }, ExpiredToken},
		"first valid moment":                  {func(_ *Policy, e *evidence.Evidence) { e.NotBefore = now.Add(Skew) }, ""},
		"a moment too early":                  {func(_ *Policy, e *evidence.Evidence) { e.NotBefore = now.Add(Skew + 1) }, NotYetValid},

		"score equal to the least": {func(_ *Policy, e *evidence.Evidence) { e.Score, e.RunnerUp = 0.5, 0.25 }, ""},
		"score just below":         {func(_ *Policy, e *evidence.Evidence) { e.Score, e.RunnerUp = math.Nextafter(0.5, 0), 0 }, ScoreTooLow},
		"margin equal to the least": {func(_ *Policy, e *evidence.Evidence) {
			e.Score, e.RunnerUp = 0.75, 0.5
		}, ""},
		"margin just below": {func(_ *Policy, e *evidence.Evidence) {
			e.Score, e.RunnerUp = 0.75, math.Nextafter(0.5, 1)
		}, MarginTooSmall},
		"the only match has no runner-up": {func(_ *Policy, e *evidence.Evidence) { e.Score, e.RunnerUp = 0.5, 0 }, ""},
		"score is not a number":           {func(_ *Policy, e *evidence.Evidence) { e.Score = math.NaN() }, ScoreTooLow},
		"runner-up is not a number":       {func(_ *Policy, e *evidence.Evidence) { e.RunnerUp = math.NaN() }, MarginTooSmall},
		"least score is not a number":     {func(p *Policy, _ *evidence.Evidence) { p.MinScore = math.NaN() }, ScoreTooLow},
		"least margin is not a number":    {func(p *Policy, _ *evidence.Evidence) { p.MinMargin = math.NaN() }, MarginTooSmall},

		// Nobody was found, so that the person cannot be the wrong one.
		"no match on a bound route": {noMatch, ScoreTooLow},
		"no match where any score suffices": {func(p *Policy, e *evidence.Evidence) {
			noMatch(p, e)
			p.MinScore, p.MinMargin = 0, 0
		}, ScoreTooLow},
	} {
		t.Run(name, func(t *testing.T) {
			p, e := demanding(), identified()
			test.edit(&p, &e)
			if got, want := p.Judge(&e, now), (Decision{test.want == "", test.want}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func noMatch(_ *Policy, e *evidence.Evidence) {
	e.Matched, e.BCID, e.Score, e.RunnerUp = false, bws.BCID{}, 0, 0
}

func TestJudgeRequirements(t *testing.T) {
	const live, challenge = bws.TaskLiveDetect, bws.TaskChallenge
	for _, test := range []struct {
		require Require
		task    bws.Task
		want    Reason
	}{
		{RequireNone, 0, ""},
		{RequireLiveDetection, live, ""},
		{RequireLiveDetection, live | challenge, ""},
		{RequireLiveDetection, 0, NotLive},
		{RequireLiveDetection, challenge, NotLive},
		{RequireChallenge, challenge, ""},
		{RequireChallenge, live, NoChallenge},
		{RequireChallenge, 0, NoChallenge},
	} {
		p, e := demanding(), verified()
		p.Require, e.Task = test.require, test.task
		if got := p.Judge(&e, now); got.Reason != test.want || got.Allow != (test.want == "") {
			t.Errorf("require %s of task %#x: got %+v, want %q", test.require, int32(test.task), got, test.want)
		}
	}
}

func TestJudgeActions(t *testing.T) {
	all := []bws.Action{bws.Verification, bws.Identification, bws.Enrollment, bws.LiveDetection}
	for _, action := range all {
		e := verified()
		e.Action, e.Matched = action, action == bws.Identification
		for _, allowed := range all {
			p := Policy{Allow: []bws.Action{allowed}, Require: RequireNone}
			if got := p.Judge(&e, now); got.Allow != (allowed == action) {
				t.Errorf("%s where %s is allowed: got %+v", action, allowed, got)
			}
		}
		// Whoever enrolls or is merely alive is nobody in particular.
		p := Policy{Allow: all, Bound: true, Persons: []bws.Pattern{bws.PatternFor(alice)}, Require: RequireNone}
		names := slices.Contains(all[:2], action)
		if got := p.Judge(&e, now); got.Allow != names {
			t.Errorf("%s on a bound route: got %+v", action, got)
		}
	}
	p, e := demanding(), verified()
	e.Task |= bws.TaskAutoEnroll
	p.Allow = append(p.Allow, bws.Enrollment)
	if got := p.Judge(&e, now); !got.Allow {
		t.Errorf("automatic enrollment where enrollment is allowed: got %+v", got)
	}
}

func TestZeroValuesDeny(t *testing.T) {
	var p Policy
	e := verified()
	if got := p.Judge(&e, now); got.Allow || got.Reason == "" {
		t.Errorf("the zero policy: got %+v", got)
	}
	p = demanding()
	if got := p.Judge(new(evidence.Evidence), now); got.Allow || got.Reason == "" {
		t.Errorf("the zero evidence: got %+v", got)
	}
	if (Decision{}).Allow {
		t.Error("the zero decision allows")
	}
}
