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

// encode appends what a policy may ask for later, and nothing else, in a fixed order.
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

// decode reads what encode has written, in the same order. We have sealed it ourselves, so anything malformed is a mistake of ours.
func decode(from []byte) (*Session, bool) {
	if len(from) < fixedLength {
		return nil, false
	}
	s, r := new(Session), reader(from)
	e := &s.Evidence
	copy(s.ID[:], r.next(len(s.ID)))
	copy(e.Person[:], r.next(len(e.Person)))
	for _, t := range []*time.Time{&s.Begun, &s.Renewed, &e.NotBefore, &e.Expires, &e.AnsweredAt} {
		*t = time.Unix(int64(r.uint64()), 0).UTC() //nolint:gosec // as it was written
	}
	e.Task = bws.Task(r.uint32()) //nolint:gosec // as it was written
	action, flags := r.byte(), r.byte()
	if int(action) >= len(actions) || flags > matchedFlag|faceFlag {
		return nil, false
	}
	e.Action, e.Matched, e.Face = actions[action], flags&matchedFlag != 0, flags&faceFlag != 0
	e.Score, e.RunnerUp = math.Float64frombits(r.uint64()), math.Float64frombits(r.uint64())
	e.BCID.Partition, e.BCID.Class = int32(r.uint32()), int32(r.uint32()) //nolint:gosec // as it was written
	e.BCID.Storage = string(r)
	e.Outcome, e.Source, e.Success = evidence.Answered, evidence.FromSession, true
	return s, true
}

// reader takes values off the front of bytes, of which there must be enough.
type reader []byte

func (r *reader) next(n int) []byte {
	taken := (*r)[:n]
	*r = (*r)[n:]
	return taken
}

func (r *reader) byte() byte     { return r.next(1)[0] }
func (r *reader) uint32() uint32 { return binary.BigEndian.Uint32(r.next(4)) }
func (r *reader) uint64() uint64 { return binary.BigEndian.Uint64(r.next(8)) }

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
