package bwstest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// How operations end by themselves, on the task API and on /result.
func TestOutcomes(t *testing.T) {
	const none = `,"Error":"NoTemplateAvailable"}`
	tests := []struct {
		name, path   string
		person       bws.BCID
		task         bws.Task
		body, result string
	}{
		{
			"verification of an enrolled person", "/verify", alice, bws.TaskVerify,
			`{"Success":true}`, `{"Action":"verification","BCID":"bws/1/42","Success":true}`,
		},
		{
			"verification of anybody else", "/verify", bws.BCID{Storage: "bws", Partition: 1, Class: 43}, bws.TaskVerify,
			`{"Success":false` + none, `{"Action":"verification","BCID":"bws/1/43","Success":false` + none,
		},
		{
			"enrollment", "/enroll", eve, bws.TaskEnroll,
			`{"Success":true}`, `{"Action":"enrollment","BCID":"bws/2/42","Success":true}`,
		},
		{
			"identification", "/identify", all, bws.TaskIdentify,
			`{"Success":true,"Matches":[{"Score":0.9,"Storage":"bws","Partition":1,"ClassID":42},` +
				`{"Score":0.45,"Storage":"bws","Partition":1,"ClassID":-7}]}`,
			`{"Action":"identification","BCID":"bws/1/0","Success":true,"Matches":[{"BCID":"bws/1/42","Score":0.9},` +
				`{"BCID":"bws/1/-7","Score":0.45}]}`,
		},
		{
			"identification for a class", "/identify", alice, bws.TaskIdentify,
			`{"Success":true,"Matches":[{"Score":0.9,"Storage":"bws","Partition":1,"ClassID":42},` +
				`{"Score":0.45,"Storage":"bws","Partition":1,"ClassID":-7}]}`,
			`{"Action":"identification","BCID":"bws/1/0","Success":true,"Matches":[{"BCID":"bws/1/42","Score":0.9},` +
				`{"BCID":"bws/1/-7","Score":0.45}]}`,
		},
		{
			"identification among nobody", "/identify", eve, bws.TaskIdentify,
			`{"Success":false` + none, `{"Action":"identification","BCID":"bws/2/0","Success":false` + none,
		},
		{
			"live detection", "/livenessdetection", bws.BCID{}, bws.TaskLiveOnly,
			`{"Success":true}`, `{"Action":"livenessdetection","Success":true}`,
		},
		{
			"live detection of somebody", "/livenessdetection", alice, bws.TaskLiveOnly,
			`{"Success":true}`, `{"Action":"livenessdetection","Success":true}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := bwstest.New(bwstest.Config{})
			s.Enroll(alice)
			s.Enroll(bob)
			token := s.Token(bwstest.TokenSpec{BCID: tt.person, Task: tt.task | 1})
			if status, _ := last(s, token); status != http.StatusNoContent {
				t.Fatalf("status %d before the operation, want 204", status)
			}
			w := perform(s, tt.path, token)
			if w.Code != http.StatusOK || w.Body.String() != tt.body {
				t.Errorf("the operation ended with status %d and %s, want %s", w.Code, w.Body, tt.body)
			}
			if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, "application/json") {
				t.Errorf("the result is %s", got)
			}
			for range 2 { // it can be read again
				if status, body := last(s, token); status != http.StatusOK || body != tt.result {
					t.Errorf("status %d with the result %s, want %s", status, body, tt.result)
				}
			}
		})
	}
}

func TestUploadIsAcceptedWithWarnings(t *testing.T) {
	s := bwstest.New(bwstest.Config{})
	token := s.Token(bwstest.TokenSpec{BCID: alice})
	for _, query := range []string{
		"", "?tag=any&index=1&trait=FACE", "?tag=up", "?tag=left,down&index=4", "?trait=Face,Periocular", "?trait=Face,+Periocular",
	} {
		q := upload(token)
		q.path += query
		// jQuery declares everything a form.
		q.header = http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=UTF-8"}}
		if w := q.send(s); w.Code != http.StatusOK || w.Body.String() != `{"Accepted":true,"Warnings":[]}` {
			t.Errorf("upload%s: status %d with %s", query, w.Code, w.Body)
		}
	}
	for _, query := range []string{"?tag=north", "?index=0", "?index=first", "?trait=Iris"} {
		q := upload(token)
		q.path += query
		if w := q.send(s); w.Code != http.StatusBadRequest {
			t.Errorf("upload%s: status %d, want 400", query, w.Code)
		}
	}
}

func TestSamplesAreConsumedAndTriesCounted(t *testing.T) {
	s := bwstest.New(bwstest.Config{})
	token := s.Token(bwstest.TokenSpec{BCID: alice, Task: bws.TaskVerify | 2})
	verify := get("/verify", "Bearer "+token)
	steps := []struct {
		do     request
		status int
	}{
		{verify, 400}, // no try is lost
		{upload(token), 200},
		{upload(token), 200},
		{verify, 200},
		{verify, 400},
		{upload(token), 200},
		{verify, 200},
		{upload(token), 200},
		{verify, 403},
	}
	for i, step := range steps {
		if w := step.do.send(s); w.Code != step.status {
			t.Errorf("step %d, %s: status %d, want %d", i, step.do.path, w.Code, step.status)
		}
	}
	if status, _ := last(s, token); status != http.StatusOK {
		t.Errorf("status %d for the result of a token without tries, want 200", status)
	}
}

func TestEnrollmentIsRemembered(t *testing.T) {
	s := bwstest.New(bwstest.Config{})
	enrolled := get("/isenrolled?bcid=bws/1/42", "app")
	failing := s.Token(bwstest.TokenSpec{BCID: alice, Task: bws.TaskEnroll | 3})
	s.Next(failing, bwstest.Outcome{Error: bws.LiveDetectionFailed})
	perform(s, "/enroll", failing)
	if w := enrolled.send(s); w.Code != http.StatusNotFound {
		t.Errorf("status %d after a failed enrollment, want 404", w.Code)
	}
	perform(s, "/enroll", failing)
	if w := enrolled.send(s); w.Code != http.StatusOK {
		t.Errorf("status %d after an enrollment, want 200", w.Code)
	}
	request{method: http.MethodDelete, path: "/deleteclass?bcid=bws/1/42", auth: "app"}.send(s)
	if w := enrolled.send(s); w.Code != http.StatusNotFound {
		t.Errorf("status %d after the class was deleted, want 404", w.Code)
	}
}

func TestChosenOutcomes(t *testing.T) {
	s := bwstest.New(bwstest.Config{})
	s.Enroll(alice)
	token := s.Token(bwstest.TokenSpec{BCID: alice, Task: 15})
	s.NextFor(alice, bwstest.Outcome{Error: "Third"})
	s.Next(token, bwstest.Outcome{Error: "First"}, bwstest.Outcome{})
	s.NextFor(bob, bwstest.Outcome{Error: "Never"})
	for i, want := range []string{
		`{"Success":false,"Error":"First"}`, `{"Success":false}`, `{"Success":false,"Error":"Third"}`, `{"Success":true}`,
	} {
		if w := perform(s, "/verify", token); w.Body.String() != want {
			t.Errorf("operation %d ended with %s, want %s", i, w.Body, want)
		}
	}

	s.Next(token, bwstest.Outcome{Error: "Never"})
	nobody := s.Token(bwstest.TokenSpec{Task: bws.TaskLiveOnly | 3})
	if w := perform(s, "/livenessdetection", nobody); w.Body.String() != `{"Success":true}` {
		t.Errorf("an operation about nobody got the outcome of another: %s", w.Body)
	}
}

func TestPerform(t *testing.T) {
	s := bwstest.New(bwstest.Config{})
	verification := bwstest.TokenSpec{BCID: alice}
	identification := bwstest.TokenSpec{BCID: all, Task: bws.TaskIdentify | 3}
	tests := []struct {
		name    string
		spec    bwstest.TokenSpec
		outcome bwstest.Outcome
		want    string
	}{
		{"success", verification, bwstest.Outcome{Success: true}, `{"Action":"verification","BCID":"bws/1/42","Success":true}`},
		{"not recognized", verification, bwstest.Outcome{}, `{"Action":"verification","BCID":"bws/1/42","Success":false}`},
		{
			"failure", verification, bwstest.Outcome{Error: bws.ExecutionOfJobTimedOut},
			`{"Action":"verification","BCID":"bws/1/42","Success":false,"Error":"ExecutionOfJobTimedOut"}`,
		},
		{
			"contradiction", verification, bwstest.Outcome{Success: true, Error: bws.LiveDetectionFailed},
			`{"Action":"verification","BCID":"bws/1/42","Success":true,"Error":"LiveDetectionFailed"}`,
		},
		{
			"somebody else", verification, bwstest.Outcome{Success: true, BCID: bob, Action: bws.Enrollment},
			`{"Action":"enrollment","BCID":"bws/1/-7","Success":true}`,
		},
		{
			"matches", identification, bwstest.Outcome{Success: true, Matches: []bws.Match{{BCID: eve, Score: 0.5}}},
			`{"Action":"identification","BCID":"bws/1/0","Success":true,"Matches":[{"BCID":"bws/2/42","Score":0.5}]}`,
		},
		{
			"no matches", identification, bwstest.Outcome{Success: true, Matches: []bws.Match{}},
			`{"Action":"identification","BCID":"bws/1/0","Success":true,"Matches":[]}`,
		},
		{
			"failed search", identification, bwstest.Outcome{},
			`{"Action":"identification","BCID":"bws/1/0","Success":false}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token := s.Token(tt.spec)
			s.Perform(token, tt.outcome)
			if _, body := last(s, token); body != tt.want {
				t.Errorf("result %s, want %s", body, tt.want)
			}
		})
	}

	token := s.Token(verification)
	s.Perform(token, bwstest.Outcome{Success: true})
	s.Perform(token, bwstest.Outcome{})
	if _, body := last(s, token); !strings.Contains(body, `"Success":false`) {
		t.Errorf("the result of the last operation is %s", body)
	}
}

func TestStrangersTokenPanics(t *testing.T) {
	token := bwstest.New(bwstest.Config{}).Token(bwstest.TokenSpec{BCID: alice})
	defer func() {
		text, _ := recover().(string)
		if text == "" || strings.Contains(text, token) {
			t.Errorf("panic %q, want one without the token", text)
		}
	}()
	bwstest.New(bwstest.Config{}).Perform(token, bwstest.Outcome{})
}

func TestControlByHand(t *testing.T) {
	s := bwstest.New(bwstest.Config{})
	s.Enroll(alice)
	token := s.Token(bwstest.TokenSpec{BCID: alice})
	stranger := bwstest.New(bwstest.Config{}).Token(bwstest.TokenSpec{BCID: alice})
	quoted, err := json.Marshal(token)
	if err != nil {
		t.Fatal(err)
	}
	choose := func(contentType, body string) request {
		header := http.Header{"Content-Type": {contentType}}
		return request{method: http.MethodPost, path: "/emulator/outcome", header: header, body: body}
	}
	tests := []struct {
		name, contentType, body string
		status                  int
	}{
		{"a form", "application/x-www-form-urlencoded", `{"bcid":"bws/1/42","success":false}`, 415},
		{"plain text", "text/plain", `{"bcid":"bws/1/42","success":false}`, 415},
		{"too much", "application/json", strings.Repeat(" ", 65<<10), 413},
		{"nothing", "application/json", ``, 400},
		{"no success", "application/json", `{"bcid":"bws/1/42"}`, 400},
		{"nobody", "application/json", `{"success":true}`, 400},
		{"two", "application/json", `{"bcid":"bws/1/42","token":` + string(quoted) + `,"success":true}`, 400},
		{"unknown member", "application/json", `{"bcid":"bws/1/42","success":true,"sucess":false}`, 400},
		{"another case", "application/json", `{"bcid":"bws/1/42","Success":true}`, 400},
		{"twice", "application/json", `{"bcid":"bws/1/42","success":true,"success":false}`, 400},
		{"trailing data", "application/json", `{"bcid":"bws/1/42","success":true}{}`, 400},
		{"a string", "application/json", `{"bcid":"bws/1/42","success":"true"}`, 400},
		{"a bad bcid", "application/json", `{"bcid":"alice","success":true}`, 400},
		{"a bad match", "application/json", `{"bcid":"bws/1/42","success":true,"matches":[{"bcid":"x","score":1}]}`, 400},
		{"a stranger's token", "application/json", `{"token":"` + stranger + `","success":true}`, 400},
		{"a person", "application/json", `{"bcid":"bws/1/42","success":false,"error":"LiveDetectionFailed"}`, 204},
		{"a token", "application/json; charset=utf-8", `{"token":` + string(quoted) + `,"success":false}`, 204},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := choose(tt.contentType, tt.body).send(s)
			if w.Code != tt.status {
				t.Fatalf("status %d, want %d: %s", w.Code, tt.status, w.Body)
			}
			if w.Code != 204 && (message(t, w) == "" || strings.Contains(w.Body.String(), stranger)) {
				t.Errorf("status %d with %s", w.Code, w.Body)
			}
		})
	}
	for i, want := range []string{`{"Success":false}`, `{"Success":false,"Error":"LiveDetectionFailed"}`, `{"Success":true}`} {
		if w := perform(s, "/verify", token); w.Body.String() != want {
			t.Errorf("operation %d ended with %s, want %s", i, w.Body, want)
		}
	}

	choose("application/json", `{"bcid":"bws/1/0","success":true,"matches":[{"bcid":"bws/1/9","score":0.8}]}`).send(s)
	w := perform(s, "/identify", s.Token(bwstest.TokenSpec{BCID: all, Task: bws.TaskIdentify | 1}))
	if want := `{"Success":true,"Matches":[{"Score":0.8,"Storage":"bws","Partition":1,"ClassID":9}]}`; w.Body.String() != want {
		t.Errorf("identification ended with %s, want %s", w.Body, want)
	}
}
