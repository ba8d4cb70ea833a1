package caddybws

import (
	"slices"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/explain"
	"github.com/caddy-bws/caddy-bws/internal/policy"
)

// row is an option with the reasons for which it denies.
type row struct {
	explain.Option
	reasons []policy.Reason
	// seen says that there is something to look at.
	seen bool
}

// options are what a gate looks at, in the order in which it judges.
func (x *examination) options() []explain.Option {
	e := x.evidence()
	rows := slices.Concat(x.requestRows(), x.serviceRows(e), x.policyRows(e), x.onceRows())
	failed := slices.IndexFunc(rows, func(r row) bool { return slices.Contains(r.reasons, x.visit.decision.Reason) })
	fails := x.failures(e)
	options := make([]explain.Option, len(rows))
	for i, r := range rows {
		r.Verdict = explain.OK
		switch {
		case i == failed:
			r.Verdict = explain.Failed
		case !r.seen, !x.visit.decision.Allow && failed < 0:
			r.Verdict = explain.Skipped
		case slices.ContainsFunc(r.reasons, func(reason policy.Reason) bool { return fails[reason] }):
			r.Verdict = explain.AlsoFails
		}
		options[i] = r.Option
	}
	return options
}

// evidence is what the gate has decided by, or what it would have been had the gate asked.
func (x *examination) evidence() *evidence.Evidence {
	e := x.visit.evidence
	if e == nil && (x.PresentsToken() || x.SessionAge != nil) {
		e = x.props.presumed
	}
	return e
}

// failures are all reasons for which the policy would deny. After each it is asked again without what has failed.
func (x *examination) failures(e *evidence.Evidence) map[policy.Reason]bool {
	fails := make(map[policy.Reason]bool)
	x.addClaims(fails)
	if e == nil {
		return fails
	}
	p := x.gate.policy
	p.Persons = x.persons
	for {
		d := p.JudgeInSession(e, x.Now)
		if d.Allow || fails[d.Reason] {
			return fails
		}
		fails[d.Reason] = true
		switch d.Reason {
		case policy.TooOld:
			p.MaxAge = 0
		case policy.ActionNotAllowed:
			p.Allow = []bws.Action{bws.Verification, bws.Identification, bws.Enrollment, bws.LiveDetection}
		case policy.BCIDNotAllowed:
			p.Bound = false
		case policy.ScoreTooLow:
			p.MinScore = 0
		case policy.MarginTooSmall:
			p.MinMargin = -1
		case policy.NotLive, policy.NoChallenge:
			p.Require = policy.RequireNone
		default: // what no option mends ends the loop
		}
	}
}

// addClaims adds the reasons for which the claims of the token would deny.
func (x *examination) addClaims(fails map[policy.Reason]bool) {
	token, _, _ := x.tokenFound(isSecure(x.request))
	claims, err := bws.ParseToken(token)
	if err != nil {
		return
	}
	appID := x.gate.service.client.AppID()
	fails[policy.ForeignToken] = claims.App != "" && claims.App != appID
	claims.App = ""
	if reason := policy.JudgeClaims(&claims, appID, x.Now); reason != "" {
		fails[reason] = true
	}
}
