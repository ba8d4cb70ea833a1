// Package policy decides: it holds a route's demands against evidence. It is pure: it knows nothing of HTTP, and it is told the time.
package policy

import (
	"slices"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

// Skew is how far the clocks of the service and of this machine may be apart when a token's own times are judged.
const Skew = 60 * time.Second

// Require is what a token's task must have demanded of the operation.
type Require string

// The requirements. A challenge is a stronger form of live detection.
const (
	RequireLiveDetection Require = "live_detection"
	RequireChallenge     Require = "challenge"
	RequireNone          Require = "none"
)

// Policy is what a route demands of evidence. The zero value allows nothing.
type Policy struct {
	// Allow lists the actions that may open the route.
	Allow []bws.Action
	// Bound says that only persons whom one of Persons matches may pass. It stands apart, because placeholders may leave Persons
	// empty, and then nobody may pass.
	Bound bool
	// Persons are patterns of BCIDs.
	Persons []bws.Pattern
	// MinScore is the least score of the best match of an identification.
	MinScore float64
	// MinMargin is the least difference between the best match and the second best.
	MinMargin float64
	// MaxAge is how old the biometric act may be; 0 sets no limit beyond the token's own.
	MaxAge time.Duration
	// Require is what the token must have demanded; anything but a known requirement is never satisfied.
	Require Require
}

// Decision is an allow, or a denial with its one reason. The zero value denies.
type Decision struct {
	Allow  bool
	Reason Reason
}

// Deny is the denial for a reason.
func Deny(reason Reason) Decision { return Decision{Reason: reason} }

// JudgeClaims looks at a token before the service is asked about it. Nobody has vouched for the claims yet, so they can only deny
// early: it returns the reason to deny, or "" if the service must be asked.
func JudgeClaims(claims *bws.UnverifiedClaims, appID string, now time.Time) Reason {
	if reason := judgeTimes(claims.NotBefore, claims.Expires, now); reason != "" {
		return reason
	}
	if claims.App != "" && claims.App != appID {
		return ForeignToken
	}
	return ""
}

// Judge holds evidence against the policy. The order of the steps is part of the contract: the first one that fails gives the
// reason.
func (p *Policy) Judge(e *evidence.Evidence, now time.Time) Decision {
	if reason := judgeTimes(e.NotBefore, e.Expires, now); reason != "" {
		return Deny(reason)
	}
	return p.JudgeInSession(e, now)
}

// JudgeInSession is Judge for evidence that a session has kept beyond the end of its token.
func (p *Policy) JudgeInSession(e *evidence.Evidence, now time.Time) Decision {
	if e.Outcome != evidence.Answered {
		return Deny(ofOutcome(e.Outcome))
	}
	if !e.Success {
		return Deny(ofFailure(e.Error))
	}
	if e.Contradictory {
		return Deny(Contradiction)
	}
	if p.MaxAge > 0 && e.Age(now) > p.MaxAge {
		return Deny(TooOld)
	}
	if reason := p.judgeAct(e); reason != "" {
		return Deny(reason)
	}
	return Decision{Allow: true}
}

// judgeTimes tolerates clocks that differ by [Skew].
func judgeTimes(notBefore, expires, now time.Time) Reason {
	switch {
	case !now.Before(expires.Add(Skew)):
		return ExpiredToken
	case now.Before(notBefore.Add(-Skew)):
		return NotYetValid
	}
	return ""
}

// judgeAct returns why the route does not accept this successful act, or "" if it does.
func (p *Policy) judgeAct(e *evidence.Evidence) Reason {
	switch {
	case !slices.Contains(p.Allow, e.Action), e.Task.AutoEnroll() && !slices.Contains(p.Allow, bws.Enrollment):
		return ActionNotAllowed
	case p.Bound && !p.covers(e):
		return BCIDNotAllowed
	case e.Action == bws.Identification && (!e.Matched || !(e.Score >= p.MinScore)): // so that NaN denies, too
		return ScoreTooLow
	case e.Action == bws.Identification && !(e.Score-e.RunnerUp >= p.MinMargin):
		return MarginTooSmall
	}
	switch p.Require {
	case RequireNone:
		return ""
	case RequireLiveDetection:
		if e.Task.LiveDetection() {
			return ""
		}
		return NotLive
	case RequireChallenge:
		if e.Task.Challenge() {
			return ""
		}
	}
	return NoChallenge // also for an unknown requirement
}

// covers reports whether one of the patterns matches the person. Where an identification found nobody, there is no person to
// compare: that is denied as a score that is too low.
func (p *Policy) covers(e *evidence.Evidence) bool {
	if e.Action == bws.Identification && !e.Matched {
		return true
	}
	user := e.User()
	for i := range p.Persons {
		if p.Persons[i].Match(user) {
			return true
		}
	}
	return false
}
