package policy

import (
	"bytes"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

var (
	actions = []bws.Action{bws.Verification, bws.Identification, bws.Enrollment, bws.LiveDetection}
	kinds   = []bws.Task{bws.TaskVerify, bws.TaskIdentify, bws.TaskEnroll, bws.TaskLiveOnly}
	scores  = []float64{0, 0.25, 0.5, 0.75, 1, math.NaN()}
	ages    = []time.Duration{0, 1, time.Second, Skew, 2 * time.Minute, 10 * time.Minute, 11 * time.Minute}
	persons = []bws.BCID{alice, bob, {}, {Storage: "bioid", Partition: 9876}, {Storage: "bio", Partition: -1, Class: -1}}
	codes   = []bws.ErrorCode{
		"", bws.LiveDetectionFailed, bws.ChallengeResponseFailed, bws.NoTemplateAvailable, bws.NotEnoughSamples,
		bws.ExecutionOfJobTimedOut, "SomethingNew", "notenoughsamples",
	}
	patterns = []string{
		"bioid/9876/12345", "bioid/9876/12346", "bioid/9876/*", "*/9876/12345", "bioid/*/12346", "*/*/*", "bio/*/*", "*/-1/-1", "bioid/9876/1",
	}
)

// mostly draws good in most cases, so that there are enough allows among all the random denials.
func mostly[T any](t *rapid.T, label string, good T, others ...T) T {
	if rapid.IntRange(0, 9).Draw(t, label+" is odd") > 0 {
		return good
	}
	return rapid.SampledFrom(others).Draw(t, label)
}

// drawPolicy returns a policy, and the patterns that it got its persons from.
func drawPolicy(t *rapid.T) (Policy, []string) {
	p := Policy{
		Allow:     rapid.SliceOfNDistinct(rapid.SampledFrom(actions), 0, 4, rapid.ID).Draw(t, "allow"),
		Bound:     rapid.Bool().Draw(t, "bound"),
		MinScore:  rapid.SampledFrom(scores).Draw(t, "min_score"),
		MinMargin: rapid.SampledFrom(scores).Draw(t, "min_margin"),
		MaxAge:    rapid.SampledFrom(ages).Draw(t, "max_age"),
		Require:   rapid.SampledFrom([]Require{RequireNone, RequireLiveDetection, RequireChallenge, "", "None"}).Draw(t, "require"),
	}
	texts := rapid.SliceOfN(rapid.SampledFrom(patterns), 0, 3).Draw(t, "persons")
	for _, text := range texts {
		pattern, err := bws.ParsePattern(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		p.Persons = append(p.Persons, pattern)
	}
	return p, texts
}

func drawEvidence(t *rapid.T) evidence.Evidence {
	const live, challenge = bws.TaskLiveDetect, bws.TaskChallenge
	flags := rapid.SampledFrom([]bws.Task{0, live, challenge, live | challenge}).Draw(t, "flags")
	e := evidence.Evidence{
		Outcome: mostly(t, "outcome", evidence.Answered, evidence.None, evidence.Pending, evidence.Rejected,
			evidence.Unavailable, evidence.TimedOut, evidence.Misconfigured, evidence.Invalid,
			evidence.RateLimited, evidence.Busy, evidence.Crashed, evidence.Crashed+1),
		Task: rapid.SampledFrom(kinds).Draw(t, "kind") | flags | mostly(t, "autoenroll", 0, bws.TaskAutoEnroll) |
			bws.Task(rapid.Int32Range(0, 15).Draw(t, "tries")),
		NotBefore:     now.Add(-rapid.SampledFrom(ages).Draw(t, "age") + mostly(t, "not before", 0, Skew, Skew+1)),
		Expires:       now.Add(mostly(t, "expires", time.Minute, 0, -Skew, -Skew+1)),
		Success:       mostly(t, "success", true, false),
		Action:        rapid.SampledFrom(actions).Draw(t, "action"),
		BCID:          rapid.SampledFrom(persons).Draw(t, "person"),
		Matched:       mostly(t, "matched", true, false),
		Score:         rapid.SampledFrom(scores).Draw(t, "score"),
		RunnerUp:      rapid.SampledFrom(scores).Draw(t, "runner-up"),
		Contradictory: mostly(t, "contradictory", false, true),
	}
	if !e.Success {
		e.Error = rapid.SampledFrom(codes).Draw(t, "error")
	}
	return e
}

// judgeAsContracted compares a decision with the naive one, and reports whether it allows.
func judgeAsContracted(t *rapid.T) bool {
	p, texts := drawPolicy(t)
	e := drawEvidence(t)
	n := naive{p, texts, e, now}
	got := p.Judge(&e, now)
	if want := n.judge(false); got != want {
		t.Fatalf("got %+v, but the contract says %+v", got, want)
	}
	if got, want := p.JudgeInSession(&e, now), n.judge(true); got != want {
		t.Fatalf("in a session: got %+v, but the contract says %+v", got, want)
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

func TestJudgeClaimsAsContracted(t *testing.T) {
	around := []time.Duration{-time.Hour, -Skew - 1, -Skew, -Skew + 1, 0, Skew - 1, Skew, Skew + 1, time.Hour}
	apps := rapid.SampledFrom([]string{"", "app", "App", "other"})
	rapid.Check(t, func(t *rapid.T) {
		claims := bws.UnverifiedClaims{
			App:       apps.Draw(t, "claim"),
			NotBefore: now.Add(rapid.SampledFrom(around).Draw(t, "nbf")),
			Expires:   now.Add(rapid.SampledFrom(around).Draw(t, "exp")),
		}
		if got, want := JudgeClaims(&claims, "app", now), naivelyJudgedClaims(claims, "app", now); got != want {
			t.Fatalf("got %q, but the contract says %q", got, want)
		}
	})
}

func FuzzJudge(f *testing.F) {
	for _, b := range []byte{0, 1, 99, 255} { // of others too few bits can be drawn, and the seed is skipped
		f.Add(bytes.Repeat([]byte{b}, 1024))
	}
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { judgeAsContracted(t) }))
}
