package bws

// Task is the set of bits in a token's task claim: which operation the token permits, and under which conditions (documented).
type Task int32

// The bits of a task: one of four kinds, the number of tries, and conditions.
const (
	TaskVerify   Task = 0x00
	TaskIdentify Task = 0x10
	TaskEnroll   Task = 0x20
	TaskLiveOnly Task = 0x80 // a liveness detection, about nobody
	TaskKindMask Task = 0xf0

	TaskTriesMask Task = 0x0f // how often the operation may be tried; 0 stands for 3

	TaskLiveDetect Task = 0x100  // live detection
	TaskChallenge  Task = 0x200  // challenge-response
	TaskAutoEnroll Task = 0x1000 // a successful verification also enrolls
)

// defaultTries is what a tries nibble of 0 stands for (documented).
const defaultTries = 3

// Kind returns the operation alone.
func (t Task) Kind() Task { return t & TaskKindMask }

// Tries returns how often the operation may be tried with one token, 1 to 15.
func (t Task) Tries() int {
	if n := int(t & TaskTriesMask); n > 0 {
		return n
	}
	return defaultTries
}

// Action returns the action that a result for a token with this task reports, and false for a combination of kinds that
// the service does not document.
func (t Task) Action() (Action, bool) {
	switch t.Kind() {
	case TaskVerify:
		return Verification, true
	case TaskIdentify:
		return Identification, true
	case TaskEnroll:
		return Enrollment, true
	case TaskLiveOnly:
		return LiveDetection, true
	}
	return "", false
}

// LiveDetection reports whether the task demands live detection, as a liveness detection does by itself (inferred).
func (t Task) LiveDetection() bool { return t&TaskLiveDetect != 0 || t.Kind() == TaskLiveOnly }

// Challenge reports whether the task demands challenge-response.
func (t Task) Challenge() bool { return t&TaskChallenge != 0 }

// AutoEnroll reports whether a successful verification with this task also enrolls.
func (t Task) AutoEnroll() bool { return t&TaskAutoEnroll != 0 }
