package evidence

import (
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
)

var (
	issued    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	answered  = issued.Add(time.Minute)
	alice     = bws.BCID{Storage: "bioid", Partition: 9876, Class: 12345}
	bob       = bws.BCID{Storage: "bioid", Partition: 9876, Class: 12346}
	stranger  = bws.BCID{Storage: "bioid", Partition: 9877, Class: 12345}
	partition = bws.BCID{Storage: "bioid", Partition: 9876}
)

func claimsFor(task bws.Task, person string) *bws.UnverifiedClaims {
	return &bws.UnverifiedClaims{Task: task, BCID: person, NotBefore: issued, Expires: issued.Add(10 * time.Minute)}
}

func TestOfClaims(t *testing.T) {
	claims := claimsFor(bws.TaskVerify|bws.TaskChallenge, alice.String())
	want := Evidence{
		Outcome:   Pending,
		Source:    FromService,
		Task:      bws.TaskVerify | bws.TaskChallenge,
		NotBefore: claims.NotBefore,
		Expires:   claims.Expires,
	}
	if got := OfClaims(Pending, claims); *got != want {
		t.Errorf("got %+v, want %+v: claims alone name nobody", *got, want)
	}
	for traits, face := range map[int32]bool{1: true, 3: true, 5: true, 2: false, 4: false, 6: false} {
		claims.Traits = traits
		if got := OfClaims(Pending, claims); got.Face != face {
			t.Errorf("with the traits %d: face %v, want %v", traits, got.Face, face)
		}
	}
}

func TestOfResult(t *testing.T) {
	for name, test := range map[string]struct {
		task   bws.Task
		result bws.OperationResult
		want   Evidence
	}{
		"verification": {
			bws.TaskVerify,
			bws.OperationResult{Action: bws.Verification, BCID: alice, Success: true},
			Evidence{Action: bws.Verification, BCID: alice, Success: true},
		},
		"enrollment": {
			bws.TaskEnroll,
			bws.OperationResult{Action: bws.Enrollment, BCID: alice, Success: true},
			Evidence{Action: bws.Enrollment, BCID: alice, Success: true},
		},
		"liveness detection names nobody": {
			bws.TaskLiveOnly,
			bws.OperationResult{Action: bws.LiveDetection, BCID: alice, Success: true},
			Evidence{Action: bws.LiveDetection, Success: true},
		},
		"failure": {
			bws.TaskVerify,
			bws.OperationResult{Action: bws.Verification, BCID: alice, Error: bws.NoTemplateAvailable},
			Evidence{Action: bws.Verification, BCID: alice, Error: bws.NoTemplateAvailable},
		},
		"identification of nobody": {
			bws.TaskIdentify,
			bws.OperationResult{Action: bws.Identification, BCID: partition, Success: true},
			Evidence{Action: bws.Identification, Success: true},
		},
		"identification of nobody under a person's BCID": {
			bws.TaskIdentify,
			bws.OperationResult{Action: bws.Identification, BCID: alice, Success: true},
			Evidence{Action: bws.Identification, Success: true},
		},
		"one match": {
			bws.TaskIdentify,
			bws.OperationResult{Action: bws.Identification, BCID: partition, Success: true, Matches: []bws.Match{{BCID: bob, Score: 0.7}}},
			Evidence{Action: bws.Identification, BCID: bob, Success: true, Matched: true, Score: 0.7},
		},
		"the two best of three matches": {
			bws.TaskIdentify,
			bws.OperationResult{
				Action: bws.Identification, BCID: alice, Success: true,
				Matches: []bws.Match{{BCID: bob, Score: 0.7}, {BCID: alice, Score: 0.4}, {BCID: bob, Score: 0.1}},
			},
			Evidence{Action: bws.Identification, BCID: bob, Success: true, Matched: true, Score: 0.7, RunnerUp: 0.4},
		},
	} {
		t.Run(name, func(t *testing.T) {
			claims := claimsFor(test.task, "")
			want := test.want
			want.Person = PersonOf(want.BCID)
			want.Outcome, want.Source, want.Task = Answered, FromService, test.task
			want.NotBefore, want.Expires, want.AnsweredAt = claims.NotBefore, claims.Expires, answered
			if got := OfResult(&test.result, claims, answered); *got != want {
				t.Errorf("got  %+v\nwant %+v", *got, want)
			}
		})
	}
}

func TestContradictions(t *testing.T) {
	kinds := map[bws.Action]bws.Task{
		bws.Verification:   bws.TaskVerify,
		bws.Identification: bws.TaskIdentify,
		bws.Enrollment:     bws.TaskEnroll,
		bws.LiveDetection:  bws.TaskLiveOnly,
	}
	for performed := range kinds {
		for permitted, task := range kinds {
			result := bws.OperationResult{Action: performed, BCID: alice, Success: true}
			got := OfResult(&result, claimsFor(task|bws.TaskLiveDetect|3, alice.String()), answered)
			if got.Contradictory != (performed != permitted) {
				t.Errorf("%s with a token for %s: contradictory is %v", performed, permitted, got.Contradictory)
			}
		}
	}

	const identify, identification = bws.TaskIdentify, bws.Identification
	for name, test := range map[string]struct {
		task    bws.Task
		claimed string
		action  bws.Action
		named   bws.BCID
		matches []bws.BCID
		want    bool
	}{
		"an undocumented task":                    {bws.TaskIdentify | bws.TaskEnroll, "", bws.Identification, partition, nil, true},
		"no action":                               {bws.TaskVerify, "", "", alice, nil, true},
		"the person of the token":                 {bws.TaskVerify, "bioid/9876/12345", bws.Verification, alice, nil, false},
		"the person of the token, with dots":      {bws.TaskVerify, "bioid.9876.12345", bws.Verification, alice, nil, false},
		"another person":                          {bws.TaskVerify, "bioid/9876/12345", bws.Verification, bob, nil, true},
		"the same class of another partition":     {bws.TaskVerify, "bioid/9876/12345", bws.Verification, stranger, nil, true},
		"the partition of the person":             {bws.TaskVerify, "bioid/9876/12345", bws.Verification, partition, nil, true},
		"a token that names nobody":               {bws.TaskVerify, "", bws.Verification, alice, nil, false},
		"a token that names nonsense":             {bws.TaskVerify, "bioid/9876/012345", bws.Verification, alice, nil, true},
		"storages differ in case":                 {bws.TaskVerify, "BioID/9876/12345", bws.Verification, alice, nil, true},
		"enrollment of another person":            {bws.TaskEnroll, "bioid/9876/12345", bws.Enrollment, bob, nil, true},
		"liveness detection names nobody":         {bws.TaskLiveOnly, "bioid/9876/12345", bws.LiveDetection, bws.BCID{}, nil, false},
		"liveness detection names another person": {bws.TaskLiveOnly, "bioid/9876/12345", bws.LiveDetection, bob, nil, true},

		"in the partition":                  {identify, "bioid/9876/0", identification, partition, []bws.BCID{bob, alice}, false},
		"the result names a person":         {identify, "bioid/9876/0", identification, alice, []bws.BCID{bob}, false},
		"a token for a person":              {identify, "bioid/9876/12345", identification, partition, []bws.BCID{bob}, false},
		"in another partition":              {identify, "bioid/9877/0", identification, partition, nil, true},
		"in another storage":                {identify, "eyes/9876/0", identification, partition, nil, true},
		"best match from another partition": {identify, "bioid/9876/0", identification, partition, []bws.BCID{stranger}, true},
		"last match from another partition": {identify, "bioid/9876/0", identification, partition, []bws.BCID{bob, stranger}, true},
		"a token for no partition":          {identify, "", identification, partition, []bws.BCID{stranger}, false},
	} {
		t.Run(name, func(t *testing.T) {
			result := bws.OperationResult{Action: test.action, BCID: test.named, Success: true}
			for _, match := range test.matches {
				result.Matches = append(result.Matches, bws.Match{BCID: match, Score: 0.5})
			}
			if got := OfResult(&result, claimsFor(test.task, test.claimed), answered); got.Contradictory != test.want {
				t.Errorf("contradictory is %v, want %v", got.Contradictory, test.want)
			}
		})
	}
}

func TestUser(t *testing.T) {
	for action, want := range map[bws.Action]bws.BCID{
		bws.Verification:   alice,
		bws.Identification: alice,
		bws.Enrollment:     {},
		bws.LiveDetection:  {},
		"":                 {},
	} {
		e := Evidence{Action: action, BCID: alice}
		if got := e.User(); got != want {
			t.Errorf("%q authenticates %v, want %v", action, got, want)
		}
	}
}

func TestAge(t *testing.T) {
	for after, want := range map[time.Duration]time.Duration{
		-time.Minute: 0, // the clocks differ
		0:            0,
		time.Minute:  time.Minute,
	} {
		e := Evidence{NotBefore: issued}
		if got := e.Age(issued.Add(after)); got != want {
			t.Errorf("age %s after it was issued is %s, want %s", after, got, want)
		}
	}
}
