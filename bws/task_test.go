package bws

import "testing"

func TestTask(t *testing.T) {
	for _, test := range []struct {
		task                  Task
		action                Action
		tries                 int
		live, challenge, auto bool
	}{
		{0, Verification, 3, false, false, false},
		{259, Verification, 3, true, false, false}, // a real token
		{291, Enrollment, 3, true, false, false},   // a real token
		{TaskIdentify | TaskLiveDetect | 15, Identification, 15, true, false, false},
		{TaskLiveOnly | 1, LiveDetection, 1, true, false, false},
		{TaskVerify | TaskLiveDetect | TaskChallenge | TaskAutoEnroll, Verification, 3, true, true, true},
		{TaskVerify | TaskChallenge, Verification, 3, false, true, false},
		{TaskIdentify | TaskEnroll, "", 3, false, false, false},
		{TaskIdentify | TaskLiveOnly, "", 3, false, false, false},
		{0x40, "", 3, false, false, false},
		{TaskKindMask, "", 3, false, false, false},
	} {
		if action, ok := test.task.Action(); action != test.action || ok != (test.action != "") {
			t.Errorf("task %#x: action %q, %v; want %q", test.task, action, ok, test.action)
		}
		if test.task.Tries() != test.tries || test.task.LiveDetection() != test.live ||
			test.task.Challenge() != test.challenge || test.task.AutoEnroll() != test.auto {
			t.Errorf("task %#x: tries %d, live %v, challenge %v, auto enroll %v; want %+v", test.task, test.task.Tries(),
				test.task.LiveDetection(), test.task.Challenge(), test.task.AutoEnroll(), test)
		}
	}
}

func TestActionKnown(t *testing.T) {
	for _, a := range []Action{Verification, Identification, Enrollment, LiveDetection} {
		if !a.Known() {
			t.Errorf("%q is unknown", a)
		}
	}
	for _, a := range []Action{"", "verify", "Verification", "VERIFICATION", "livedetection", "verification "} {
		if a.Known() {
			t.Errorf("%q is known", a)
		}
	}
}
