package cli

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

func TestResult(t *testing.T) {
	person, identify := bwstest.TokenSpec{BCID: alice}, bwstest.TokenSpec{BCID: partition, Task: bws.TaskIdentify | 3}
	failing := func(code bws.ErrorCode) *bwstest.Outcome { return &bwstest.Outcome{Error: code} }
	for name, test := range map[string]struct {
		spec    bwstest.TokenSpec
		outcome *bwstest.Outcome
		age     time.Duration
		code    int
		want    string
		reason  string
	}{
		"verified": {person, &bwstest.Outcome{Success: true}, 0, 0, "bws/1/42 has been verified.", ""},
		"pending":  {person, nil, 0, 3, "Nobody has performed the operation with this token yet.", "pending"},
		"found": {identify, &bwstest.Outcome{Success: true, Matches: []bws.Match{{BCID: bob, Score: 0.75}, {BCID: alice, Score: 0.5}}},
			0, 0, "The best match is bws/1/43, with a score of 0.750.", ""},
		"found nobody": {identify, &bwstest.Outcome{Success: true, Matches: []bws.Match{}}, 0, 3, "found nobody", "score_too_low"},
		"enrolled": {bwstest.TokenSpec{BCID: alice, Task: bws.TaskEnroll}, &bwstest.Outcome{Success: true}, 0, 0,
			"bws/1/42 has been enrolled, which proves nobody's identity.", ""},
		"alive":               {bwstest.TokenSpec{Task: bws.TaskLiveOnly}, &bwstest.Outcome{Success: true}, 0, 0, "Somebody alive was there", ""},
		"not recognized":      {person, failing(""), 0, 3, "The person was not recognized.", "not_recognized"},
		"a picture":           {person, failing(bws.LiveDetectionFailed), 0, 3, "nobody alive was seen", "live_detection_failed"},
		"no challenge":        {person, failing(bws.ChallengeResponseFailed), 0, 3, "challenges were not followed", "challenge_response_failed"},
		"not enrolled":        {person, failing(bws.NoTemplateAvailable), 0, 3, "is not enrolled", "no_template"},
		"few samples":         {person, failing(bws.NotEnoughSamples), 0, 3, "too few usable images", "not_enough_samples"},
		"busy":                {person, failing(bws.ExecutionOfJobTimedOut), 0, 3, "too busy: try again", "job_timed_out"},
		"anything else":       {person, failing("SomethingElse"), 0, 3, "BWS says SomethingElse.", "operation_failed"},
		"another person":      {person, &bwstest.Outcome{Success: true, BCID: bob}, 0, 3, "contradicts the token", "contradiction"},
		"another operation":   {person, &bwstest.Outcome{Success: true, Action: bws.Enrollment}, 0, 3, "contradicts the token", "contradiction"},
		"within tolerance":    {bwstest.TokenSpec{BCID: alice, NotBefore: start.Add(30 * time.Second)}, nil, 0, 3, "BWS rejects the token", "rejected_token"},
		"too late":            {person, &bwstest.Outcome{Success: true}, time.Hour, 3, "The token has expired.", "expired_token"},
		"too early":           {bwstest.TokenSpec{BCID: alice, NotBefore: start.Add(time.Hour)}, nil, 0, 3, "compare the clock", "not_yet_valid"},
		"a policy's business": {bwstest.TokenSpec{BCID: alice, Task: bws.TaskAutoEnroll}, &bwstest.Outcome{Success: true}, 0, 0, "verified", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			token := d.token(test.spec, test.outcome)
			d.now = start.Add(test.age)
			r := d.runConfigured(token, "result")
			r.check(test.code, test.want)
			if test.reason == "" && strings.Contains(r.out, "deny") || test.reason != "" && !strings.Contains(r.out, "\nGates deny it: "+test.reason+"\n") {
				t.Errorf("want the reason %q:\n%s", test.reason, r.out)
			}
		})
	}
}

// The tokens that gates refuse without a question.
func TestResultOfRubbish(t *testing.T) {
	d := newDesk(t)
	r := d.runConfigured("rubbish", "result")
	r.check(exitNegative, "not a well-formed token", "malformed_token")
	if d.service.Calls("/result") != 0 {
		t.Error("BWS was asked about rubbish")
	}
	foreign := bwstest.New(bwstest.Config{AppID: "other", Now: func() time.Time { return d.now }})
	r = d.runConfigured(foreign.Token(bwstest.TokenSpec{BCID: alice}), "result")
	r.check(exitNegative, "belongs to another App-ID", "foreign_token")
}

func TestResultWithoutAnAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		break_ func(*desk)
		code   int
		want   string
	}{
		"refused": {func(d *desk) { d.secret = "wrong" }, exitNegative, "compare app_id, app_secret and endpoint"},
		"down":    {func(d *desk) { d.service.Close() }, exitFault, "connection refused: see whether this machine reaches"},
		"5xx":     {func(d *desk) { d.service.ScriptAlways("/result", bwstest.Answer{Status: 503}) }, exitFault, "status 503"},
		"hanging": {func(d *desk) { d.service.ScriptAlways("/result", bwstest.Answer{Hang: true}) }, exitFault, "did not answer in time"},
		"a page": {func(d *desk) {
			d.service.ScriptAlways("/result", bwstest.Answer{Header: http.Header{"Content-Type": {"text/html"}}})
		}, exitFault, "see whether endpoint is the Web API of BWS"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			token := d.token(bwstest.TokenSpec{BCID: alice}, &bwstest.Outcome{Success: true})
			test.break_(d)
			r := d.runConfigured(token, "result")
			r.check(test.code, "bws result: ", test.want)
			r.silent()
		})
	}
}

func TestResultJSON(t *testing.T) {
	d := newDesk(t)
	result := func(spec bwstest.TokenSpec, outcome *bwstest.Outcome) *ran {
		return d.runConfigured(d.token(spec, outcome), "result", "--json")
	}
	result(bwstest.TokenSpec{BCID: alice}, &bwstest.Outcome{Success: true}).golden("result_verified.json")
	result(bwstest.TokenSpec{BCID: alice}, nil).golden("result_pending.json")
	result(bwstest.TokenSpec{BCID: alice}, &bwstest.Outcome{Error: bws.LiveDetectionFailed}).golden("result_failed.json")
	result(bwstest.TokenSpec{BCID: partition, Task: bws.TaskIdentify}, &bwstest.Outcome{
		Success: true, Matches: []bws.Match{{BCID: bob, Score: 0.75}, {BCID: alice, Score: 0.5}},
	}).golden("result_identified.json")
	d.runConfigured("rubbish", "result", "--json").golden("result_malformed.json")
}
