package bwstest

import (
	"slices"

	"github.com/caddy-bws/caddy-bws/bws"
)

const (
	// maxPeople and maxPending bound what HTTP requests can make the service remember. The oldest gives way.
	maxPeople  = 10_000
	maxPending = 1_000
	// maxCandidates is how many matches an identification returns by itself.
	maxCandidates = 10
	bestScore     = 0.9
)

// Outcome is how a biometric operation ends. The service reports it even if it contradicts itself.
type Outcome struct {
	// Success says that the person was recognized, enrolled, or alive, or that the search was performed.
	Success bool
	// Error is the reason of a failure. A verification that fails without one did not recognize the person.
	Error bws.ErrorCode
	// BCID and Action are reported in place of those of the token, unless they are zero.
	BCID   bws.BCID
	Action bws.Action
	// Matches are the candidates of an identification. Nil stands for the enrolled people of the partition if Success, an empty
	// slice for nobody.
	Matches []bws.Match
}

// pending is an outcome that waits for an operation with a token or, without a token, about a person.
type pending struct {
	token   tokenKey
	person  bws.BCID
	outcome Outcome
}

// result is the body of /result.
type result struct {
	Action  bws.Action
	BCID    string `json:",omitzero"`
	Success bool
	Error   bws.ErrorCode `json:",omitzero"`
	Matches []match       `json:",omitzero"`
}

// match is a candidate within a result.
type match struct {
	BCID  string
	Score float64

	person bws.BCID
}

// Perform makes o the last result of the token, as if the operation had just been performed, whatever was uploaded and however
// many tries are left. It panics if the service has not signed the token.
func (s *Service) Perform(token string, o Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conclude(s.own(token), o)
}

// Next makes the next operations with the token end like this, one outcome each. Later ones end by themselves again. Outcomes for a
// token come before those for its person. Next panics if the service has not signed the token.
func (s *Service) Next(token string, outcomes ...Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := s.own(token).key
	for _, o := range outcomes {
		s.enqueue(pending{token: key, outcome: o})
	}
}

// NextFor makes the next operations with tokens for the person end like this, one outcome each. For identifications, person is the
// partition, with class 0.
func (s *Service) NextFor(person bws.BCID, outcomes ...Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range outcomes {
		s.enqueue(pending{person: person, outcome: o})
	}
}

// Enroll makes the service know the person. In an identification, whoever was enrolled earlier scores higher.
func (s *Service) Enroll(person bws.BCID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.enroll(person)
}

func (s *Service) enroll(person bws.BCID) {
	if !person.IsPerson() || slices.Contains(s.enrolled, person) {
		return
	}
	if len(s.enrolled) >= maxPeople {
		s.enrolled = s.enrolled[1:]
	}
	s.enrolled = append(s.enrolled, person)
}

func (s *Service) enqueue(p pending) {
	if len(s.pending) >= maxPending {
		s.pending = s.pending[1:]
	}
	s.pending = append(s.pending, p)
}

// dequeue returns the outcome somebody chose for op.
func (s *Service) dequeue(op *operation) (Outcome, bool) {
	person := op.claims.person()
	i := slices.IndexFunc(s.pending, func(p pending) bool { return p.token == op.key })
	if i < 0 && !person.IsZero() {
		i = slices.IndexFunc(s.pending, func(p pending) bool { return p.person == person })
	}
	if i < 0 {
		return Outcome{}, false
	}
	o := s.pending[i].outcome
	s.pending = slices.Delete(s.pending, i, i+1)
	return o, true
}

// outcome is how op ends when nobody chose.
func (s *Service) outcome(op *operation) Outcome {
	known := true
	switch op.claims.Task.Kind() {
	case bws.TaskVerify:
		known = slices.Contains(s.enrolled, op.claims.person())
	case bws.TaskIdentify:
		known = slices.ContainsFunc(s.enrolled, op.claims.person().SamePartition)
	}
	if !known {
		return Outcome{Error: bws.NoTemplateAvailable}
	}
	return Outcome{Success: true}
}

// conclude logs o as the last result of op.
func (s *Service) conclude(op *operation, o Outcome) *result {
	action, _ := op.claims.Task.Action()
	person := op.claims.person()
	switch {
	case action == bws.Identification:
		person.Class = 0
	case action == bws.LiveDetection:
		person = bws.BCID{}
	case action == bws.Enrollment && o.Success:
		s.enroll(person)
	}
	if o.Matches == nil && o.Success && action == bws.Identification {
		o.Matches = s.candidates(person)
	}
	if o.Action != "" {
		action = o.Action
	}
	if !o.BCID.IsZero() {
		person = o.BCID
	}
	op.result = &result{Action: action, BCID: person.String(), Success: o.Success, Error: o.Error}
	if o.Matches != nil {
		op.result.Matches = make([]match, len(o.Matches))
	}
	for i, m := range o.Matches {
		op.result.Matches[i] = match{BCID: m.BCID.String(), Score: m.Score, person: m.BCID}
	}
	return op.result
}

// candidates are the enrolled people of a partition, best first.
func (s *Service) candidates(partition bws.BCID) []bws.Match {
	found := []bws.Match{}
	for _, person := range s.enrolled {
		if len(found) < maxCandidates && person.SamePartition(partition) {
			found = append(found, bws.Match{BCID: person, Score: bestScore / float64(len(found)+1)})
		}
	}
	return found
}
