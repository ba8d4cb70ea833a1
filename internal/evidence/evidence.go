// Package evidence holds the value that flows through the gate: what is known about the biometric act behind a request.
package evidence

import (
	"crypto/sha256"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
)

// Outcome is what asking the service about a token came to.
type Outcome uint8

// The outcomes. Only Answered carries a result; the zero value carries nothing and allows nothing.
const (
	None          Outcome = iota
	Answered              // the service reported a result
	Pending               // nobody has performed the operation yet (204)
	Rejected              // the service does not accept the token (400)
	Unavailable           // no answer could be had: network, 5xx, 429
	TimedOut              // the deadline passed
	Misconfigured         // the service does not accept our credentials (401, 403)
	Invalid               // an answer that is not what the API documents
	RateLimited           // not asked: the client has caused too many questions about unknown tokens
	Busy                  // not asked: as many questions as allowed are under way
	Crashed               // asking panicked
)

// Source says where evidence came from.
type Source string

// The sources, spelled as the placeholder {http.bws.evidence} shows them.
const (
	FromService Source = "service"
	FromCache   Source = "cache"
	FromSession Source = "session"
)

// Evidence is what is known when a request is judged. It is immutable: gates and requests share it.
type Evidence struct {
	Outcome Outcome
	Source  Source

	// Of the token: mere hints unless Outcome is Answered, since only then has the service accepted the token.

	// NotBefore is when the token was issued; the biometric act is at most that old.
	NotBefore time.Time
	// Expires is when the token ends.
	Expires time.Time
	// Task is what the token demanded of the operation.
	Task bws.Task
	// Face says that the token had the operation compare faces.
	Face bool

	// Of the result; zero unless Outcome is Answered. What is small comes first, beside what is small above: verifiers keep many of these.

	// Success says that the operation succeeded.
	Success bool
	// Contradictory says that result and token disagree about the operation or the person.
	Contradictory bool
	// Matched says that an identification found anybody.
	Matched bool
	// Score and RunnerUp are the scores of the two best matches of an identification, 0 where there is none.
	Score, RunnerUp float64
	// Error is the service's reason for a failure; empty for a person who was not recognized.
	Error bws.ErrorCode
	// Action is the operation performed.
	Action bws.Action
	// BCID is the person verified, enrolled or best matched; zero for a liveness detection, which names nobody.
	BCID bws.BCID
	// Person is PersonOf(BCID), by which revocations are looked up. It is computed once, and not for every request.
	Person Person
	// AnsweredAt is when the service's answer arrived.
	AnsweredAt time.Time
}

// Person is a hash that stands for a BCID. The zero value stands for nobody.
type Person [16]byte

// PersonOf returns the hash that stands for a BCID.
func PersonOf(b bws.BCID) Person {
	if b.IsZero() {
		return Person{}
	}
	sum := sha256.Sum256(b.Append(make([]byte, 0, 64)))
	return Person(sum[:])
}

// User returns whom the evidence authenticates. An enrollment authenticates nobody, though it names somebody: it proves nothing
// about who enrolled.
func (e *Evidence) User() bws.BCID {
	if e.Action == bws.Verification || e.Action == bws.Identification {
		return e.BCID
	}
	return bws.BCID{}
}

// Age returns how old the biometric act can be at most.
func (e *Evidence) Age(now time.Time) time.Duration {
	return max(0, now.Sub(e.NotBefore))
}

// OfClaims returns the evidence when there is no result: the outcome, and what the token says of itself.
func OfClaims(outcome Outcome, claims *bws.UnverifiedClaims) *Evidence {
	return &Evidence{
		Outcome:   outcome,
		Source:    FromService,
		Task:      claims.Task,
		Face:      claims.Traits&bws.TraitFace != 0,
		NotBefore: claims.NotBefore,
		Expires:   claims.Expires,
	}
}

// OfResult returns the evidence when the service has reported a result. It keeps only what a policy can ask for.
func OfResult(result *bws.OperationResult, claims *bws.UnverifiedClaims, answeredAt time.Time) *Evidence {
	e := OfClaims(Answered, claims)
	e.Success = result.Success
	e.Error = result.Error
	e.Action = result.Action
	e.AnsweredAt = answeredAt
	e.Contradictory = contradicts(result, claims)
	switch result.Action {
	case bws.Verification, bws.Enrollment:
		e.BCID = result.BCID
	case bws.Identification:
		if len(result.Matches) > 0 {
			e.Matched, e.BCID, e.Score = true, result.Matches[0].BCID, result.Matches[0].Score
		}
		if len(result.Matches) > 1 {
			e.RunnerUp = result.Matches[1].Score
		}
	case bws.LiveDetection:
	}
	e.Person = PersonOf(e.BCID)
	return e
}

// contradicts reports whether a result cannot have come from the operation that the token permits.
func contradicts(result *bws.OperationResult, claims *bws.UnverifiedClaims) bool {
	if action, known := claims.Task.Action(); !known || action != result.Action {
		return true
	}
	if claims.BCID == "" {
		return false
	}
	asked, err := bws.ParseBCID(claims.BCID)
	if err != nil {
		return true
	}
	if result.Action != bws.Identification {
		return !result.BCID.IsZero() && result.BCID != asked
	}
	if !result.BCID.SamePartition(asked) {
		return true
	}
	for i := range result.Matches {
		if !result.Matches[i].BCID.SamePartition(asked) {
			return true
		}
	}
	return false
}
