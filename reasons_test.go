package caddybws

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/policy"
)

// What follows makes tokens for the rows of a table.

// tokenVerified is a token of this kind with which Alice has been verified.
func tokenVerified(spec bwstest.TokenSpec) func(*site) string {
	return func(s *site) string {
		token := s.Token(spec)
		s.Perform(token, bwstest.Outcome{Success: true, BCID: alice})
		return token
	}
}

// tokenFailed is a token for a verification of Alice that has failed.
func tokenFailed(code bws.ErrorCode) func(*site) string {
	return func(s *site) string { return s.token(bwstest.Outcome{Error: code}) }
}

// tokenFound is a token for an identification that has found as many people as there are scores.
func tokenFound(scores ...float64) func(*site) string {
	return func(s *site) string {
		partition := bws.BCID{Storage: "bioid", Partition: 9876}
		matches := make([]bws.Match, len(scores))
		for i, score := range scores {
			matches[i] = bws.Match{BCID: bws.BCID{Storage: "bioid", Partition: 9876, Class: int32(i + 1)}, Score: score}
		}
		token := s.Token(bwstest.TokenSpec{BCID: partition, Task: bws.TaskIdentify | bws.TaskLiveDetect})
		s.Perform(token, bwstest.Outcome{Success: true, Matches: matches})
		return token
	}
}

// tokenAnswered is a good token about which BWS gives a bad answer.
func tokenAnswered(answer bwstest.Answer) func(*site) string {
	return func(s *site) string {
		s.Script("/result", answer)
		return s.goodToken()
	}
}

// tokenAfter is a good token that is presented some time later.
func tokenAfter(d time.Duration) func(*site) string {
	return func(s *site) string {
		token := s.goodToken()
		s.pass(d)
		return token
	}
}

// tokenForeign is a token of another installation of BWS.
func tokenForeign(appID string) func(*site) string {
	return func(*site) string {
		other := bwstest.New(bwstest.Config{AppID: appID, Now: func() time.Time { return start }})
		return other.Token(bwstest.TokenSpec{BCID: alice})
	}
}

func tokenText(token string) func(*site) string { return func(*site) string { return token } }

// reasonRow is a request that would be allowed but for one thing, and how often BWS is asked about its token.
type reasonRow struct {
	gate   Gate
	token  func(*site) string
	calls  int
	reason policy.Reason
}

func reasonRows() map[string]reasonRow {
	minScore := 0.5
	identification := Gate{Allow: []bws.Action{bws.Identification}, MinScore: &minScore, MinMargin: 0.25}
	minute := Gate{MaxAge: caddy.Duration(time.Minute)}
	liveness := Gate{Allow: []bws.Action{bws.LiveDetection}}
	early := bwstest.TokenSpec{BCID: alice, NotBefore: start.Add(61 * time.Second)}
	notLive := bwstest.TokenSpec{BCID: alice, Task: bws.TaskVerify | 3}
	enrolling := bwstest.TokenSpec{BCID: alice, Task: bwstest.DefaultTask | bws.TaskAutoEnroll}
	twice := []byte(`{"Success":false,"Success":true,"Action":"verification","BCID":"bioid/9876/12345"}`)

	return map[string]reasonRow{
		"no token":         {Gate{}, tokenText(""), 0, policy.NoToken},
		"nonsense":         {Gate{}, tokenText("nonsense"), 0, policy.MalformedToken},
		"security case 38": {Gate{}, tokenText(strings.Repeat("e30.", 2000)), 0, policy.MalformedToken},
		"security case 42": {Gate{}, tokenForeign("another"), 0, policy.ForeignToken},
		"security case 33": {Gate{}, tokenForeign(bwstest.AppID), 1, policy.RejectedToken},
		"expired":          {Gate{}, tokenAfter(11 * time.Minute), 0, policy.ExpiredToken},
		"expired for BWS":  {Gate{}, tokenAfter(10 * time.Minute), 1, policy.RejectedToken},
		"too early":        {Gate{}, tokenVerified(early), 0, policy.NotYetValid},
		"security case 46": {Gate{}, func(s *site) string { return s.Token(bwstest.TokenSpec{}) }, 1, policy.Pending},
		"almost too old":   {minute, tokenAfter(time.Minute), 1, ""},
		"too old":          {minute, tokenAfter(time.Minute + time.Second), 1, policy.TooOld},

		"not recognized":   {Gate{}, tokenFailed(""), 1, policy.NotRecognized},
		"not alive":        {Gate{}, tokenFailed(bws.LiveDetectionFailed), 1, policy.LiveDetectionFailed},
		"challenge failed": {Gate{}, tokenFailed(bws.ChallengeResponseFailed), 1, policy.ChallengeResponseFailed},
		"not enrolled":     {Gate{}, tokenFailed(bws.NoTemplateAvailable), 1, policy.NoTemplate},
		"too few samples":  {Gate{}, tokenFailed(bws.NotEnoughSamples), 1, policy.NotEnoughSamples},
		"too busy":         {Gate{}, tokenFailed(bws.ExecutionOfJobTimedOut), 1, policy.JobTimedOut},
		"another failure":  {Gate{}, tokenFailed("SomethingElse"), 1, policy.OperationFailed},

		"security case 111":    {Gate{}, tokenVerified(bwstest.TokenSpec{BCID: bob}), 1, policy.Contradiction},
		"another action":       {liveness, (*site).goodToken, 1, policy.ActionNotAllowed},
		"automatic enrollment": {Gate{}, tokenVerified(enrolling), 1, policy.ActionNotAllowed},
		"another person":       {Gate{BCID: []string{bob.String()}}, (*site).goodToken, 1, policy.BCIDNotAllowed},
		"the person":           {Gate{BCID: []string{alice.String()}}, (*site).goodToken, 1, ""},
		"security case 113":    {Gate{}, tokenVerified(notLive), 1, policy.NotLive},
		"liveness not needed":  {Gate{Require: "none"}, tokenVerified(notLive), 1, ""},
		"no challenge":         {Gate{Require: "challenge"}, (*site).goodToken, 1, policy.NoChallenge},

		"nobody found": {identification, tokenFound(), 1, policy.ScoreTooLow},
		"poor match":   {identification, tokenFound(0.4375), 1, policy.ScoreTooLow},
		"two alike":    {identification, tokenFound(0.75, 0.625), 1, policy.MarginTooSmall},
		"good match":   {identification, tokenFound(0.75, 0.5), 1, ""},
		"only match":   {identification, tokenFound(0.5), 1, ""},

		"security case 88": {Gate{}, tokenAnswered(bwstest.Answer{Status: http.StatusUnauthorized}), 1, policy.ServiceMisconfigured},
		"service fault":    {Gate{}, tokenAnswered(bwstest.Answer{Status: http.StatusInternalServerError}), 1, policy.ServiceUnavailable},
		"passing fault":    {Gate{}, tokenAnswered(bwstest.Answer{Status: http.StatusServiceUnavailable}), 2, ""},
		"security case 74": {Gate{}, tokenAnswered(bwstest.Answer{Status: http.StatusFound}), 1, policy.ServiceInvalid},
		"security case 79": {Gate{}, tokenAnswered(bwstest.Answer{Body: twice}), 1, policy.ServiceInvalid},
	}
}

func TestReasons(t *testing.T) {
	for name, test := range reasonRows() {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			o := send(t, get("X-BWS-Token: "+test.token(s)), s.gate(t, test.gate))
			if calls := s.Calls("/result"); calls != test.calls {
				t.Errorf("BWS was asked %d times, want %d", calls, test.calls)
			}
			if test.reason == "" {
				o.checkAllowed(t)
				return
			}
			o.checkDenied(t, statuses[test.reason], string(test.reason))
			o.checkPlaceholders(t, map[string]string{
				"http.bws.reason": string(test.reason), "http.bws.decision": "deny", "http.bws.bcid": "", "http.auth.user.id": "",
			})
		})
	}
}

// security case 8: never the one that happens to be good
func TestAmbiguousToken(t *testing.T) {
	s := newSite(t)
	good := "X-BWS-Token: " + s.goodToken()
	for _, headers := range [][]string{{good, "X-BWS-Token: x"}, {"X-BWS-Token: x", good}} {
		send(t, get(headers...), s.gate(t, Gate{})).checkDenied(t, http.StatusBadRequest, "ambiguous_token")
	}
	if calls := s.Calls("/result"); calls != 0 {
		t.Errorf("BWS was asked %d times", calls)
	}
}

// wire is a way to BWS that comes to a bad end.
type wire func(*http.Request) (*http.Response, error)

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) { return w(r) }

// badEnds are ways to BWS by the reasons that they lead to.
var badEnds = map[policy.Reason]wire{
	policy.ServiceUnavailable: func(*http.Request) (*http.Response, error) { return nil, errors.New("no route") },
	policy.ServiceTimeout:     func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() },
	policy.InternalError:      func(*http.Request) (*http.Response, error) { panic("no transport is that bad") },
}

func TestServiceOutOfReach(t *testing.T) {
	for reason, end := range badEnds {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t)
			gate := provision(t, Gate{}, newService(t, end, s.service.now))
			send(t, get("X-BWS-Token: "+s.goodToken()), gate).checkDenied(t, statuses[reason], string(reason))
		})
	}
}

// A client that asks about too many unknown tokens is not heard any more, and whoever is known already still is.
func TestRateLimited(t *testing.T) {
	s := newSite(t)
	gate, known := s.gate(t, Gate{}), s.goodToken()
	send(t, get("X-BWS-Token: "+known), gate).checkAllowed(t)
	for range defaultRateCalls - 1 {
		send(t, get("X-BWS-Token: "+tokenForeign(bwstest.AppID)(s)), gate).checkDenied(t, http.StatusUnauthorized, "rejected_token")
	}
	o := send(t, get("X-BWS-Token: "+tokenForeign(bwstest.AppID)(s)), gate)
	o.checkDenied(t, http.StatusTooManyRequests, "rate_limited")
	if o.Header().Get("Retry-After") == "" {
		t.Error("the client is not told when to come again")
	}
	calls := s.Calls("/result")
	s.pass(defaultCacheTTL)
	send(t, get("X-BWS-Token: "+known), gate).checkAllowed(t)
	if got := s.Calls("/result") - calls; got != 1 {
		t.Errorf("BWS was asked %d times about a known token, want 1", got)
	}
}
