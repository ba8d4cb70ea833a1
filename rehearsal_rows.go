package caddybws

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/explain"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/policy"
	"github.com/caddy-bws/caddy-bws/internal/session"
)

// inSession reports whether it is a session that the gate has decided by.
func (x *examination) inSession() bool {
	e := x.visit.evidence
	return e != nil && e.Source == evidence.FromSession || slices.Contains(sessionReasons, x.visit.decision.Reason)
}

var sessionReasons = []policy.Reason{policy.SessionExpired}

// requestRows are about the request and its credentials.
func (x *examination) requestRows() []row {
	secure := isSecure(x.request)
	token, where, unambiguous := x.tokenFound(secure)
	return slices.Concat(x.earlyRows(), x.sessionRows(secure, token), x.tokenRows(secure, token, where, unambiguous))
}

// earlyRows are about a request that spends a token.
func (x *examination) earlyRows() []row {
	if !x.gate.spends(x.request) {
		return nil
	}
	found := "an ordinary request"
	if isTooEarly(x.request) {
		found = "made in advance, or in early data"
	}
	return []row{newRow("once", "a request that somebody waits for", found, true, policy.TooEarly)}
}

func (x *examination) sessionRows(secure bool, token string) []row {
	if x.gate.sessions == nil {
		return nil
	}
	reasons := []policy.Reason{policy.SessionExpired, policy.LedgerUnavailable}
	if token == "" {
		reasons = append(reasons, policy.NotYetValid)
	}
	found, present, ambiguous := x.sessionFound(secure)
	if ambiguous {
		reasons = append(reasons, policy.AmbiguousToken)
	}
	return []row{newRow("session", sessionWords(x.gate.Session), found, present, reasons...)}
}

func (x *examination) tokenRows(secure bool, token, where string, unambiguous bool) []row {
	sources := make([]string, 0, 3)
	for _, s := range x.sources(secure) {
		sources = append(sources, s.String())
	}
	claims, malformed := bws.ParseToken(token)
	found := cmp.Or(where, "none")
	switch {
	case !unambiguous:
		found += ", with two different values"
	case where != "" && malformed != nil:
		found += ", which is no token"
	}
	looked := token != "" && !x.inSession()
	rows := append(make([]row, 0, 3), newRow("token", strings.Join(sources, ", or "), found, looked,
		policy.NoToken, policy.AmbiguousToken, policy.MalformedToken))
	if malformed != nil {
		return rows
	}
	appID := x.gate.service.client.AppID()
	times := fmt.Sprintf("issued %s, ends %s", ago(x.Now.Sub(claims.NotBefore)), ago(x.Now.Sub(claims.Expires)))
	return append(rows,
		newRow("the token's times", "valid now, within a minute", times, looked, policy.ExpiredToken, policy.NotYetValid),
		newRow("app_id", appID, cmp.Or(claims.App, "no claim"), looked, policy.ForeignToken))
}

func newRow(name, demanded, found string, seen bool, reasons ...policy.Reason) row {
	return row{explain.Option{Name: name, Demanded: demanded, Found: found}, reasons, seen}
}

// sources are the places of the token in the order in which the gate looks at them.
func (x *examination) sources(secure bool) []TokenSource {
	sources := x.gate.sources(secure)
	if x.gate.Login != nil {
		return slices.Insert(slices.Clone(sources), 0, TokenSource{Cookie: newLoginCookies(secure).token.name})
	}
	return sources
}

// tokenFound returns the token that the gate looks at, and where it stands.
func (x *examination) tokenFound(secure bool) (token, where string, unambiguous bool) {
	for _, s := range x.sources(secure) {
		value, unambiguous := s.find(x.visit.header(x.request, s.headerName()))
		if value != "" || !unambiguous {
			return withoutProof(value), s.String(), unambiguous
		}
	}
	return "", "", true
}

func (x *examination) sessionFound(secure bool) (text string, present, ambiguous bool) {
	cookie := x.gate.sessions.cookie(secure)
	value, unambiguous := cookie.find(x.visit, x.request)
	switch {
	case !unambiguous:
		return "cookie " + cookie.name + ", with two different values", true, true
	case value == "":
		return "none", false, false
	}
	place := x.gate.service.placeOf(x.request, cookie)
	s, ok := session.Open(x.request.Context(), x.gate.service.ledger.Keys(ledger.Sessions), &place, value)
	switch {
	case x.Fault == policy.LedgerUnavailable:
		return "one that does not open while the storage fails", true, false
	case !ok:
		return "one that does not open, which counts as none", false, false
	}
	return fmt.Sprintf("begun %s, used %s", ago(x.Now.Sub(s.Begun)), ago(x.Now.Sub(s.Renewed))), true, false
}

func sessionWords(s *Session) string {
	words := "at most " + s.lifetime().String() + " old"
	if s.Idle != 0 {
		words += ", used within " + time.Duration(s.Idle).String()
	}
	return words
}

// serviceRows are about what BWS has said, and whether it is still good.
func (x *examination) serviceRows(e *evidence.Evidence) []row {
	outcome, success, agreement := "not asked", "none", "nothing to compare"
	asked := x.visit.evidence != nil || x.asked()
	answered := e != nil && e.Outcome == evidence.Answered
	if asked && e != nil {
		outcome = outcomes[e.Outcome]
		if _, err := bws.DecodeResult(x.Result); e.Outcome == evidence.Invalid && x.Fault == "" && err != nil {
			outcome += ": " + err.Error()
		}
	}
	if answered {
		success = "Success"
		if !e.Success {
			success = strings.TrimSpace("Success false " + string(e.Error))
		}
		agreement = "they agree"
		if e.Contradictory {
			agreement = "the token is for another operation or person"
		} else if x.visit.decision.Reason == policy.Contradiction {
			agreement = "session and token name different persons"
		}
	}
	revoked := "not revoked"
	if x.visit.decision.Reason == policy.Revoked {
		revoked = "the session, the token or the person is revoked"
	}
	rows := []row{
		newRow("service "+x.gate.serviceName(), "an answer of BWS", outcome, asked, policy.RejectedToken, policy.Pending,
			policy.ServiceUnavailable, policy.ServiceTimeout, policy.ServiceMisconfigured, policy.ServiceInvalid, policy.RateLimited,
			policy.ServiceBusy, policy.InternalError),
		newRow("result", "Success", success, answered, policy.NotRecognized, policy.LiveDetectionFailed,
			policy.ChallengeResponseFailed, policy.NoTemplate, policy.NotEnoughSamples, policy.JobTimedOut, policy.OperationFailed),
		newRow("result and token", "the same operation and person", agreement, answered && e.Success, policy.Contradiction),
		newRow("revocations", "none", revoked, answered && e.Success, policy.Revoked),
	}
	if x.inSession() {
		return rows[2:]
	}
	return rows
}

// asked reports whether a decision without evidence is one about an answer.
func (x *examination) asked() bool {
	return slices.Contains([]policy.Reason{policy.Revoked, policy.Contradiction}, x.visit.decision.Reason)
}

var outcomes = map[evidence.Outcome]string{
	evidence.Answered:      "a result",
	evidence.Pending:       "nothing yet (204)",
	evidence.Rejected:      "the token is rejected (400)",
	evidence.Unavailable:   "none: BWS is out of reach",
	evidence.TimedOut:      "none in time",
	evidence.Misconfigured: "the credentials are refused (401, 403)",
	evidence.Invalid:       "none that the API documents",
	evidence.RateLimited:   "not asked: the client has asked too often",
	evidence.Busy:          "not asked: too many calls are under way",
	evidence.Crashed:       "a panic",
}

// policyRows are about the options of the policy that are in force.
func (x *examination) policyRows(e *evidence.Evidence) (rows []row) {
	p := &x.gate.policy
	seen := e != nil && e.Outcome == evidence.Answered && e.Success
	if !seen {
		e = &nothing
	}
	if p.MaxAge > 0 {
		rows = append(rows, newRow("max_age", p.MaxAge.String(), orNothing(seen, rounded(e.Age(x.Now)).String()), seen, policy.TooOld))
	}
	action := string(e.Action)
	if e.Task.AutoEnroll() {
		action += " that also enrolls"
	}
	allowed := make([]string, len(p.Allow))
	for i, a := range p.Allow {
		allowed[i] = string(a)
	}
	rows = append(rows,
		newRow("allow", strings.Join(allowed, ", "), orNothing(seen, action), seen, policy.ActionNotAllowed),
		newRow("bcid", x.personsWords(), orNothing(seen, cmp.Or(e.User().String(), "nobody")), seen, policy.BCIDNotAllowed))
	if slices.Contains(p.Allow, bws.Identification) {
		score, margin := "no match", "no match"
		if e.Matched {
			score, margin = formatScore(e.Score), formatScore(e.Score-e.RunnerUp)
		}
		identified := seen && e.Action == bws.Identification
		rows = append(rows,
			newRow("min_score", formatScore(p.MinScore), orNothing(identified, score), identified, policy.ScoreTooLow),
			newRow("min_margin", formatScore(p.MinMargin), orNothing(identified, margin), identified, policy.MarginTooSmall))
	}
	return append(rows, newRow("require", string(p.Require), orNothing(seen, taskWords(e.Task)), seen, policy.NotLive, policy.NoChallenge))
}

func orNothing(seen bool, text string) string {
	if !seen {
		return "nothing to look at"
	}
	return text
}

// personsWords are the patterns of bcid as they are written, and what they come to for this request.
func (x *examination) personsWords() string {
	if len(x.gate.BCID) == 0 {
		return "anyone enrolled"
	}
	words := strings.Join(x.gate.BCID, " or ")
	if len(x.gate.persons.templates) == 0 {
		return words
	}
	resolved := make([]string, len(x.persons))
	for i, pattern := range x.persons {
		resolved[i] = pattern.String()
	}
	return words + ", here " + cmp.Or(strings.Join(resolved, " or "), "nobody")
}

func taskWords(t bws.Task) string {
	switch {
	case t.Challenge():
		return "challenge"
	case t.LiveDetection():
		return "live_detection"
	}
	return "neither live_detection nor challenge"
}

// onceRows are about spending the token.
func (x *examination) onceRows() []row {
	if x.gate.Once == nil {
		return nil
	}
	reasons := []policy.Reason{policy.Spent}
	if x.gate.sessions == nil {
		reasons = append(reasons, policy.LedgerUnavailable)
	}
	demanded := "a token that has not been used; " + x.request.Method
	if x.gate.spends(x.request) {
		demanded += " uses it"
	} else {
		demanded += " leaves it so"
	}
	state := "not used"
	switch x.visit.decision.Reason {
	case policy.Spent:
		state = "used by another request"
	case policy.LedgerUnavailable:
		state = "the storage does not say"
	default:
	}
	return []row{newRow("once", demanded, state, x.visit.decision.Allow || state != "not used", reasons...)}
}

func rounded(d time.Duration) time.Duration { return d.Round(time.Second) }

// ago is a time before or after now, in words.
func ago(d time.Duration) string {
	switch d = rounded(d); {
	case d == 0:
		return "now"
	case d < 0:
		return "in " + (-d).String()
	}
	return d.String() + " ago"
}
