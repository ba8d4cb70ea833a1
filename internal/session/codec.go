package session

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

// The actions as numbers. They are part of the format.
var actions = []bws.Action{bws.Verification, bws.Identification, bws.Enrollment, bws.LiveDetection}

// The flags are bits of a byte. They are part of the format.
const (
	matchedFlag = 1 << iota
	faceFlag
)

// encode writes what a policy may ask for later, and nothing else: in a fixed order, numbers as they are in memory.
func (s *Session) encode(to []byte) []byte {
	e := &s.Evidence
	to = append(append(to, s.ID[:]...), e.Person[:]...)
	for _, t := range []time.Time{s.Begun, s.Renewed, e.NotBefore, e.Expires, e.AnsweredAt} {
		to = binary.BigEndian.AppendUint64(to, uint64(t.Unix())) //nolint:gosec // and back again
	}
	to = binary.BigEndian.AppendUint32(to, uint32(e.Task)) //nolint:gosec // and back again
	to = append(to, actionNumber(e.Action), flag(e.Matched, matchedFlag)|flag(e.Face, faceFlag))
	to = binary.BigEndian.AppendUint64(to, math.Float64bits(e.Score))
	to = binary.BigEndian.AppendUint64(to, math.Float64bits(e.RunnerUp))
	to = binary.BigEndian.AppendUint32(to, uint32(e.BCID.Partition)) //nolint:gosec // and back again
	to = binary.BigEndian.AppendUint32(to, uint32(e.BCID.Class))     //nolint:gosec // and back again
	return append(to, e.BCID.Storage...)
}

// fixedLength is the length of all that encode writes before the name of the storage, which takes the rest.
const fixedLength = len(ID{}) + len(evidence.Person{}) + 5*8 + 4 + 2 + 2*8 + 2*4

// decode reads what encode has written. What we have sealed ourselves is in good form, so that anything else is a mistake.
func decode(from []byte) (*Session, bool) {
	if len(from) < fixedLength {
		return nil, false
	}
	s := &Session{ID: ID(from)}
	e := &s.Evidence
	e.Person = evidence.Person(from[len(s.ID):])
	from = from[len(s.ID)+len(e.Person):]
	for _, t := range []*time.Time{&s.Begun, &s.Renewed, &e.NotBefore, &e.Expires, &e.AnsweredAt} {
		*t = time.Unix(int64(binary.BigEndian.Uint64(from)), 0).UTC() //nolint:gosec // as it was written
		from = from[8:]
	}
	e.Task = bws.Task(binary.BigEndian.Uint32(from)) //nolint:gosec // as it was written
	action, flags := from[4], from[5]
	if int(action) >= len(actions) || flags > matchedFlag|faceFlag {
		return nil, false
	}
	e.Action, e.Matched, e.Face = actions[action], flags&matchedFlag != 0, flags&faceFlag != 0
	e.Score = math.Float64frombits(binary.BigEndian.Uint64(from[6:]))
	e.RunnerUp = math.Float64frombits(binary.BigEndian.Uint64(from[14:]))
	e.BCID.Partition = int32(binary.BigEndian.Uint32(from[22:])) //nolint:gosec // as it was written
	e.BCID.Class = int32(binary.BigEndian.Uint32(from[26:]))     //nolint:gosec // as it was written
	e.BCID.Storage = string(from[30:])
	e.Outcome, e.Source, e.Success = evidence.Answered, evidence.FromSession, true
	return s, true
}

func actionNumber(a bws.Action) byte {
	for i, action := range actions {
		if action == a {
			return byte(i)
		}
	}
	return math.MaxUint8
}

func flag(set bool, bit byte) byte {
	if set {
		return bit
	}
	return 0
}
