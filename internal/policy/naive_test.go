package policy

import (
	"strconv"
	"strings"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

// naive is the contract written down a second time, by another hand and without any art: one row a reason, in the order of the
// contract, BCIDs and patterns as texts. The first row that applies is the answer, and if none does it is an allow.
type naive struct {
	policy   Policy
	patterns []string // in place of Policy.Persons
	evidence evidence.Evidence
	now      time.Time
}

func (n naive) judge(inSession bool) Decision {
	for _, row := range []struct {
		reason  Reason
		applies bool
	}{
		{ExpiredToken, !inSession && n.now.Sub(n.evidence.Expires).Seconds() >= 60},
		{NotYetValid, !inSession && n.evidence.NotBefore.Sub(n.now).Seconds() > 60},

		{Pending, n.evidence.Outcome == evidence.Pending},
		{RejectedToken, n.evidence.Outcome == evidence.Rejected},
		{ServiceUnavailable, n.evidence.Outcome == evidence.Unavailable},
		{ServiceTimeout, n.evidence.Outcome == evidence.TimedOut},
		{ServiceMisconfigured, n.evidence.Outcome == evidence.Misconfigured},
		{RateLimited, n.evidence.Outcome == evidence.RateLimited},
		{ServiceBusy, n.evidence.Outcome == evidence.Busy},
		{InternalError, n.evidence.Outcome == evidence.Crashed},
		{ServiceInvalid, n.evidence.Outcome != evidence.Answered},

		{NotRecognized, n.failed("")},
		{LiveDetectionFailed, n.failed("LiveDetectionFailed")},
		{ChallengeResponseFailed, n.failed("ChallengeResponseFailed")},
		{NoTemplate, n.failed("NoTemplateAvailable")},
		{NotEnoughSamples, n.failed("NotEnoughSamples")},
		{JobTimedOut, n.failed("ExecutionOfJobTimedOut")},
		{OperationFailed, !n.evidence.Success},

		{Contradiction, n.evidence.Contradictory},
		{TooOld, n.policy.MaxAge != 0 && n.now.Sub(n.evidence.NotBefore) > n.policy.MaxAge},
		{ActionNotAllowed, !n.allowsAction(string(n.evidence.Action))},
		{ActionNotAllowed, n.flag(0x1000) && !n.allowsAction("enrollment")},
		{BCIDNotAllowed, n.policy.Bound && !n.foundNobody() && !n.mayBe()},
		{ScoreTooLow, n.foundNobody()},
		{ScoreTooLow, n.identifies() && !(n.evidence.Score >= n.policy.MinScore)},
		{MarginTooSmall, n.identifies() && !(n.evidence.Score-n.evidence.RunnerUp >= n.policy.MinMargin)},
		{NotLive, n.policy.Require == "live_detection" && !n.flag(0x100) && n.evidence.Task&0xf0 != 0x80},
		{NoChallenge, n.policy.Require == "challenge" && !n.flag(0x200)},
		{NoChallenge, n.policy.Require != "live_detection" && n.policy.Require != "challenge" && n.policy.Require != "none"},
	} {
		if row.applies {
			return Decision{Reason: row.reason}
		}
	}
	return Decision{Allow: true}
}

func (n naive) failed(code string) bool {
	return !n.evidence.Success && string(n.evidence.Error) == code
}

func (n naive) flag(bit int) bool { return int(n.evidence.Task)/bit%2 == 1 }

func (n naive) identifies() bool { return n.evidence.Action == "identification" }

func (n naive) foundNobody() bool { return n.identifies() && !n.evidence.Matched }

func (n naive) allowsAction(action string) bool {
	for _, allowed := range n.policy.Allow {
		if string(allowed) == action {
			return true
		}
	}
	return false
}

// mayBe reports whether the act names a person whom a pattern names.
func (n naive) mayBe() bool {
	b := n.evidence.BCID
	if !n.identifies() && n.evidence.Action != "verification" || b.Storage == "" || b.Class == 0 {
		return false
	}
	parts := []string{b.Storage, strconv.Itoa(int(b.Partition)), strconv.Itoa(int(b.Class))}
	for _, pattern := range n.patterns {
		matches := true
		for i, wanted := range strings.Split(pattern, "/") {
			matches = matches && (wanted == "*" || wanted == parts[i])
		}
		if matches {
			return true
		}
	}
	return false
}

// naivelyJudgedClaims is the same for a token about which nobody has been asked.
func naivelyJudgedClaims(claims bws.UnverifiedClaims, appID string, now time.Time) Reason {
	switch {
	case now.Sub(claims.Expires).Seconds() >= 60:
		return ExpiredToken
	case claims.NotBefore.Sub(now).Seconds() > 60:
		return NotYetValid
	case claims.App == appID || claims.App == "":
		return ""
	}
	return ForeignToken
}
