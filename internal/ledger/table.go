package ledger

import (
	"errors"
	"maps"
	"time"
)

const (
	// maxRecent bounds how many revocations are copied for each new one.
	maxRecent = 1024
	// maxRevocations bounds the memory they take to about 60 MB. Revoking everything is possible beyond it.
	maxRevocations = 1 << 20
)

var errTooManyRevocations = errors.New("there are too many revocations to keep one more; revoke everything of the service instead")

// The kinds of subjects: the first byte of each.
const (
	kindSession = iota + 1
	kindPerson
	kindService
)

// Subject is what a revocation concerns: a kind and a hash. The zero value concerns nothing.
type Subject [16]byte

// OfSession is the session with this id, which is a hash, and the token that began it.
func OfSession(id [16]byte) Subject { return subject(kindSession, id) }

// OfPerson is everything up to now of the person whom this hash stands for. The zero hash stands for nobody.
func OfPerson(hash [16]byte) Subject {
	if hash == [16]byte{} {
		return Subject{}
	}
	return subject(kindPerson, hash)
}

// OfService is everything of the service up to now.
func OfService() Subject { return subject(kindService, [16]byte{}) }

func subject(kind byte, id [16]byte) Subject {
	id[0] = kind
	return id
}

func (s Subject) known() bool {
	return s[0] >= kindSession && s[0] <= kindPerson || s == OfService()
}

// Bearer is whoever asks to be let in, with a session or a token. A zero field is not looked up.
type Bearer struct {
	// Session is the id of the session, or of the one that the token would begin.
	Session [16]byte
	// Person is the hash that stands for the person.
	Person [16]byte
	// NotBefore is when the token was issued.
	NotBefore time.Time
}

// table is an immutable set of revocations, so that reading it takes no lock. It maps a subject to the second in which it was last
// revoked. Each change copies the recent ones, which are few; the settled ones, which are many, are shared by all versions.
type table struct {
	settled, recent map[Subject]int64
	all             int64 // when everything was revoked
	persons         bool  // whether any person is among them
}

func (t *table) revoked(b *Bearer) bool {
	issued := b.NotBefore.Unix()
	switch {
	case t.all > 0 && issued <= t.all,
		b.Session != [16]byte{} && t.at(OfSession(b.Session)) > 0:
		return true
	case b.Person == [16]byte{} || !t.persons:
		return false
	}
	revoked := t.at(OfPerson(b.Person))
	return revoked > 0 && issued <= revoked
}

// at returns when s was revoked, 0 if it was not.
func (t *table) at(s Subject) int64 {
	if created, ok := t.recent[s]; ok {
		return created
	}
	return t.settled[s]
}

// with returns the union of t and more revocations. Of two of one subject the later counts.
func (t *table) with(more map[Subject]int64) (*table, error) {
	next := &table{settled: t.settled, recent: t.recent, all: max(t.all, more[OfService()]), persons: t.persons}
	news := make(map[Subject]int64)
	for s, created := range more {
		if s != OfService() && created > t.at(s) && created >= next.matters() {
			news[s] = created
			next.persons = next.persons || s[0] == kindPerson
		}
	}
	if len(news) == 0 {
		return next, nil
	}
	if len(t.settled)+len(t.recent)+len(news) > maxRevocations {
		return nil, errTooManyRevocations
	}
	next.recent = make(map[Subject]int64, len(t.recent)+len(news))
	maps.Copy(next.recent, t.recent)
	maps.Copy(next.recent, news)
	return next, nil
}

// matters is the second before which a revocation adds nothing, because everything has been revoked since. It is a skew earlier than
// that: a service whose clock is ahead may issue tokens that seem younger than they are.
func (t *table) matters() int64 { return t.all - int64(skew/time.Second) }

// settle returns t with all revocations settled. It drops those from before a certain second, and those that do not matter.
func (t *table) settle(from int64) *table {
	from = max(from, t.matters())
	next := &table{settled: make(map[Subject]int64, len(t.settled)+len(t.recent)), all: t.all}
	for _, part := range []map[Subject]int64{t.settled, t.recent} {
		for s, created := range part {
			if created >= from {
				next.settled[s] = created
				next.persons = next.persons || s[0] == kindPerson
			}
		}
	}
	return next
}
