package ledger

import (
	"errors"
	"maps"
	"time"
)

const (
	// maxRecent is how many revocations are copied for each new one.
	maxRecent = 1024
	// maxRevocations bounds the memory they take to about 60 MB. Revoking everything is possible beyond it.
	maxRevocations = 1 << 20
)

// ErrTooManyRevocations is returned when no more fit into memory.
var ErrTooManyRevocations = errors.New("there are too many revocations")

// The kinds of subjects: the first byte of each.
const (
	kindSession = iota + 1
	kindPerson
	kindService
)

// Subject is what a revocation concerns: a kind and a hash. The zero value concerns nothing.
type Subject [16]byte

// OfSession is the session with this id, which is a hash, and the token that it derives from.
func OfSession(id [16]byte) Subject { return subject(kindSession, id) }

// OfPerson is everything up to now of the person that this hash stands for; the zero hash stands for nobody.
func OfPerson(hash [16]byte) Subject {
	if hash == [16]byte{} {
		return Subject{}
	}
	return subject(kindPerson, hash)
}

// OfService is everything up to now.
func OfService() Subject { return subject(kindService, [16]byte{}) }

func subject(kind byte, id [16]byte) Subject {
	id[0] = kind
	return id
}

func (s Subject) known() bool {
	return s[0] >= kindSession && s[0] <= kindPerson || s == OfService()
}

// Bearer is whoever asks to be let in, with a session or a token. What is zero is not looked up.
type Bearer struct {
	// Session is the id of the session, or of the one that the token would begin.
	Session [16]byte
	// Person is the hash that stands for the person.
	Person [16]byte
	// NotBefore is when the token was issued.
	NotBefore time.Time
}

// table is an immutable set of revocations, so that reading it takes no lock: by subject, the second in which it was revoked
// last. Few are recent and copied for each change, the many are settled and shared by the versions of the table.
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

// with returns the union of t and more revocations, of which the later counts.
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
		return nil, ErrTooManyRevocations
	}
	next.recent = make(map[Subject]int64, len(t.recent)+len(news))
	maps.Copy(next.recent, t.recent)
	maps.Copy(next.recent, news)
	return next, nil
}

// matters is the second before which a revocation adds nothing: everything has been revoked since. A token of a service whose
// clock is ahead may seem younger than its revocation.
func (t *table) matters() int64 { return t.all - int64(skew/time.Second) }

// settle returns t with all revocations settled, but for those from before a certain second and those that do not matter.
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
