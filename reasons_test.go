package caddybws

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/policy"
)

var partition = bws.BCID{Storage: "bioid", Partition: 9876}

// identified returns a token with which an identification has been performed.
func (s *site) identified(scores ...float64) string {
	token := s.Token(bwstest.TokenSpec{BCID: partition, Task: bws.TaskIdentify | bws.TaskLiveDetect})
	matches := []bws.Match{}
	for i, score := range scores {
		matches = append(matches, bws.Match{BCID: bws.BCID{Storage: "bioid", Partition: 9876, Class: int32(i + 1)}, Score: score})
	}
	s.Perform(token, bwstest.Outcome{Success: true, Matches: matches})
	return token
}

// verified returns a token of this kind with which Alice has been verified.
func (s *site) verified(spec bwstest.TokenSpec) string {
	token := s.Token(spec)
	s.Perform(token, bwstest.Outcome{Success: true, BCID: alice})
	return token
}

func (s *site) scripted(answer bwstest.Answer) string {
	s.Script("/result", answer)
	return s.Token(bwstest.TokenSpec{BCID: alice})
}

// Each row is a request that would be allowed but for one thing. A reason is given together with the number of questions that
// BWS was asked about the token.
func TestReasons(t *testing.T) {
	const score, margin = 0.5, 0.25
	minScore := score
	identification := Gate{Allow: []bws.Action{bws.Identification}, MinScore: &minScore, MinMargin: margin}
	failed := func(code bws.ErrorCode) func(*site) string {
		return func(s *site) string { return s.token(bwstest.Outcome{Error: code}) }
	}
	for name, test := range map[string]struct {
		gate   Gate
		token  func(*site) string
		calls  int
		reason policy.Reason
	}{
		"no token":         {Gate{}, func(*site) string { return "" }, 0, policy.NoToken},
		"nonsense":         {Gate{}, func(*site) string { return "nonsense" }, 0, policy.MalformedToken},
		"security case 33": {Gate{}, func(s *site) string { return s.goodToken() + "." }, 0, policy.MalformedToken},
		"too long":         {Gate{}, func(s *site) string { return s.Mint(map[string]any{"x": make([]int, 3000)}) }, 0, policy.MalformedToken},
		"no end":           {Gate{}, func(s *site) string { return s.Mint(map[string]any{"nbf": start.Unix()}) }, 0, policy.MalformedToken},
		"security case 42": {Gate{}, func(*site) string {
			return bwstest.New(bwstest.Config{AppID: "other", Now: clockAt(start)}).Token(bwstest.TokenSpec{})
		}, 0, policy.ForeignToken},
		"another service's":    {Gate{}, func(*site) string { return bwstest.New(bwstest.Config{Now: clockAt(start)}).Token(bwstest.TokenSpec{}) }, 1, policy.RejectedToken},
		"expired":              {Gate{}, func(s *site) string { defer s.wait(11 * time.Minute); return s.goodToken() }, 0, policy.ExpiredToken},
		"expired for BWS only": {Gate{}, func(s *site) string { defer s.wait(10 * time.Minute); return s.goodToken() }, 1, policy.RejectedToken},
		"not valid yet": {Gate{}, func(s *site) string {
			return s.verified(bwstest.TokenSpec{BCID: alice, NotBefore: start.Add(61 * time.Second)})
		}, 0, policy.NotYetValid},
		"security case 46":  {Gate{}, func(s *site) string { return s.Token(bwstest.TokenSpec{BCID: alice}) }, 1, policy.Pending},
		"too old":           {Gate{MaxAge: caddy.Duration(time.Minute)}, func(s *site) string { defer s.wait(61 * time.Second); return s.goodToken() }, 1, policy.TooOld},
		"not recognized":    {Gate{}, failed(""), 1, policy.NotRecognized},
		"not live":          {Gate{}, failed(bws.LiveDetectionFailed), 1, policy.LiveDetectionFailed},
		"challenge failed":  {Gate{}, failed(bws.ChallengeResponseFailed), 1, policy.ChallengeResponseFailed},
		"not enrolled":      {Gate{}, failed(bws.NoTemplateAvailable), 1, policy.NoTemplate},
		"too few samples":   {Gate{}, failed(bws.NotEnoughSamples), 1, policy.NotEnoughSamples},
		"too busy":          {Gate{}, failed(bws.ExecutionOfJobTimedOut), 1, policy.JobTimedOut},
		"another failure":   {Gate{}, failed("SomethingElse"), 1, policy.OperationFailed},
		"another action":    {Gate{Allow: []bws.Action{bws.LiveDetection}}, (*site).goodToken, 1, policy.ActionNotAllowed},
		"security case 113": {Gate{}, func(s *site) string { return s.verified(bwstest.TokenSpec{BCID: alice, Task: 3}) }, 1, policy.NotLive},
		"automatic enrollment": {Gate{}, func(s *site) string {
			return s.verified(bwstest.TokenSpec{BCID: alice, Task: bwstest.DefaultTask | bws.TaskAutoEnroll})
		}, 1, policy.ActionNotAllowed},
		"no challenge":        {Gate{Require: "challenge"}, (*site).goodToken, 1, policy.NoChallenge},
		"another person":      {Gate{BCID: []string{bob.String()}}, (*site).goodToken, 1, policy.BCIDNotAllowed},
		"security case 111":   {Gate{}, func(s *site) string { return s.verified(bwstest.TokenSpec{BCID: bob}) }, 1, policy.Contradiction},
		"nobody found":        {identification, func(s *site) string { return s.identified() }, 1, policy.ScoreTooLow},
		"poor match":          {identification, func(s *site) string { return s.identified(0.49) }, 1, policy.ScoreTooLow},
		"two similar":         {identification, func(s *site) string { return s.identified(0.75, 0.625) }, 1, policy.MarginTooSmall},
		"refused credentials": {Gate{}, func(s *site) string { return s.scripted(bwstest.Answer{Status: http.StatusUnauthorized}) }, 1, policy.ServiceMisconfigured},
		"service down":        {Gate{}, func(s *site) string { return s.scripted(bwstest.Answer{Status: http.StatusServiceUnavailable}) }, 1, policy.ServiceUnavailable},
		"service redirects":   {Gate{}, func(s *site) string { return s.scripted(bwstest.Answer{Status: http.StatusFound}) }, 1, policy.ServiceInvalid},
		"security case 79": {Gate{}, func(s *site) string {
			return s.scripted(bwstest.Answer{Body: []byte(`{"Success":false,"Success":true}`)})
		}, 1, policy.ServiceInvalid},
		"enough of everything":   {identification, func(s *site) string { return s.identified(0.75, 0.5) }, 1, ""},
		"the only match":         {identification, func(s *site) string { return s.identified(0.5) }, 1, ""},
		"the person":             {Gate{BCID: []string{alice.String()}}, (*site).goodToken, 1, ""},
		"live, where not needed": {Gate{Require: "none"}, (*site).goodToken, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			r := get("X-BWS-Token: " + test.token(s))
			o := send(t, r, s.gate(t, test.gate))
			if calls := s.Calls("/result"); calls != test.calls {
				t.Errorf("BWS was asked %d times, want %d", calls, test.calls)
			}
			if test.reason == "" {
				o.checkAllowed(t)
				return
			}
			o.checkDenied(t, statuses[test.reason], string(test.reason))
			o.checkPlaceholders(t, map[string]string{"http.bws.reason": string(test.reason), "http.bws.decision": "deny", "http.auth.user.id": ""})
		})
	}
}

func clockAt(t time.Time) func() time.Time { return func() time.Time { return t } }

func (s *site) wait(d time.Duration) { s.now = s.now.Add(d) }
