package policy

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

// naivelyAllowed is the contract written down a second time, as one list of all that must hold, in no order.
func naivelyAllowed(p Policy, e evidence.Evidence, now time.Time) bool {
	age := now.Sub(e.NotBefore)
	identification := e.Action == bws.Identification
	named := slices.ContainsFunc(p.Persons, func(pattern bws.Pattern) bool { return pattern.Match(e.BCID) })
	namesSomebody := identification || e.Action == bws.Verification
	for _, holds := range []bool{
		e.Outcome == evidence.Answered,
		e.Success,
		!e.Contradictory,
		now.Sub(e.Expires) < time.Minute,
		age >= -time.Minute,
		p.MaxAge == 0 || age <= p.MaxAge,
		slices.Contains(p.Allow, e.Action),
		e.Task&bws.TaskAutoEnroll == 0 || slices.Contains(p.Allow, bws.Enrollment),
		!p.Bound || named && namesSomebody,
		!identification || e.Matched,
		!identification || e.Score >= p.MinScore,
		!identification || e.Score-e.RunnerUp >= p.MinMargin,
		slices.Contains([]Require{RequireNone, RequireLiveDetection, RequireChallenge}, p.Require),
		p.Require != RequireLiveDetection || e.Task&bws.TaskLiveDetect != 0 || e.Task&bws.TaskKindMask == bws.TaskLiveOnly,
		p.Require != RequireChallenge || e.Task&bws.TaskChallenge != 0,
	} {
		if !holds {
			return false
		}
	}
	return true
}

var (
	actions = []bws.Action{bws.Verification, bws.Identification, bws.Enrollment, bws.LiveDetection}
	scores  = []float64{0, 0.25, 0.5, 0.75, 1, math.NaN()}
	ages    = []time.Duration{0, 1, time.Second, Skew, 2 * time.Minute, 10 * time.Minute, 11 * time.Minute}
	persons = []bws.BCID{alice, bob, {}, {Storage: "bioid", Partition: 9876}}
)

// mostly draws good in most cases, so that there are enough allows among all the random denials.
func mostly[T any](t *rapid.T, label string, good T, others ...T) T {
	if rapid.IntRange(0, 9).Draw(t, label+" is odd") > 0 {
		return good
	}
	return rapid.SampledFrom(others).Draw(t, label)
}

func drawPolicy(t *rapid.T) Policy {
	p := Policy{
		Allow:     rapid.SliceOfNDistinct(rapid.SampledFrom(actions), 0, 4, rapid.ID).Draw(t, "allow"),
		Bound:     rapid.Bool().Draw(t, "bound"),
		MinScore:  rapid.SampledFrom(scores).Draw(t, "min_score"),
		MinMargin: rapid.SampledFrom(scores).Draw(t, "min_margin"),
		MaxAge:    rapid.SampledFrom(ages).Draw(t, "max_age"),
		Require:   rapid.SampledFrom([]Require{RequireNone, RequireLiveDetection, RequireChallenge, ""}).Draw(t, "require"),
	}
	for _, person := range rapid.SliceOfN(rapid.SampledFrom(persons), 0, 3).Draw(t, "persons") {
		p.Persons = append(p.Persons, bws.PatternFor(person))
	}
	return p
}

func drawEvidence(t *rapid.T) evidence.Evidence {
	action := rapid.SampledFrom(actions).Draw(t, "action")
	const live, challenge = bws.TaskLiveDetect, bws.TaskChallenge
	kinds := []bws.Task{bws.TaskVerify, bws.TaskIdentify, bws.TaskEnroll, bws.TaskLiveOnly}
	flags := rapid.SampledFrom([]bws.Task{0, live, challenge, live | challenge}).Draw(t, "flags")
	return evidence.Evidence{
		Outcome: mostly(t, "outcome", evidence.Answered, evidence.None, evidence.Pending, evidence.Rejected,
			evidence.Unavailable, evidence.TimedOut, evidence.Misconfigured, evidence.Invalid,
			evidence.RateLimited, evidence.Busy, evidence.Crashed),
		Task:          kinds[slices.Index(actions, action)] | flags | mostly(t, "autoenroll", 0, bws.TaskAutoEnroll),
		NotBefore:     now.Add(-rapid.SampledFrom(ages).Draw(t, "age") + mostly(t, "not before", 0, Skew, Skew+1)),
		Expires:       now.Add(mostly(t, "expires", time.Minute, 0, -Skew, -Skew+1)),
		Success:       mostly(t, "success", true, false),
		Action:        action,
		BCID:          rapid.SampledFrom(persons).Draw(t, "person"),
		Matched:       mostly(t, "matched", true, false),
		Score:         rapid.SampledFrom(scores).Draw(t, "score"),
		RunnerUp:      rapid.SampledFrom(scores).Draw(t, "runner-up"),
		Contradictory: mostly(t, "contradictory", false, true),
	}
}

// judgeAsContracted compares a decision with the naive one, and reports whether it allows.
func judgeAsContracted(t *rapid.T) bool {
	p, e := drawPolicy(t), drawEvidence(t)
	got := p.Judge(&e, now)
	if want := naivelyAllowed(p, e, now); got.Allow != want {
		t.Fatalf("got %+v, but the contract says %v", got, want)
	}
	if got.Allow == (got.Reason != "") {
		t.Fatalf("%+v: exactly a denial has a reason", got)
	}
	return got.Allow
}

func TestJudgeAsContracted(t *testing.T) {
	allowed, denied := 0, 0
	for allowed < 20 || denied < 20 {
		rapid.Check(t, func(t *rapid.T) {
			if judgeAsContracted(t) {
				allowed++
			} else {
				denied++
			}
		})
		if t.Failed() {
			return
		}
	}
}

func FuzzJudge(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { judgeAsContracted(t) }))
}
