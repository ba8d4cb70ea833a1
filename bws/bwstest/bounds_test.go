package bwstest

import (
	"strconv"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
)

func TestTokensAreBounded(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	c := claims{Expires: now.Add(DefaultLifetime).Unix()}
	tokens := newTokens()
	check := func(want int) {
		t.Helper()
		if n := len(tokens.byKey); n != want || len(tokens.order) != n {
			t.Errorf("%d tokens in memory, %d in order, want %d", n, len(tokens.order), want)
		}
	}
	first := tokens.operation("first", c, now)
	if tokens.operation("first", c, now) != first {
		t.Error("a token was forgotten at once")
	}
	for i := range maxTokens {
		tokens.operation(strconv.Itoa(i), c, now)
	}
	check(maxTokens)
	if tokens.operation("first", c, now) == first {
		t.Error("the oldest token was not forgotten")
	}
	check(maxTokens)
	tokens.operation("last", c, now.Add(DefaultLifetime))
	check(1)
}

func TestChoicesAreBounded(t *testing.T) {
	s := New(Config{})
	person := func(i int) bws.BCID { return bws.BCID{Storage: "bws", Partition: 1, Class: int32(i)} }
	for i := range maxPeople + 1 {
		s.Enroll(person(i + 1))
	}
	if n := len(s.enrolled); n != maxPeople || s.enrolled[0] != person(2) {
		t.Errorf("%d people in memory, want the last %d", n, maxPeople)
	}
	for i := range maxPending + 1 {
		s.NextFor(person(i+1), Outcome{})
	}
	if n := len(s.pending); n != maxPending || s.pending[0].person != person(2) {
		t.Errorf("%d outcomes in memory, want the last %d", n, maxPending)
	}
}

func TestCandidatesAreBounded(t *testing.T) {
	s := New(Config{})
	for i := range maxCandidates + 1 {
		s.Enroll(bws.BCID{Storage: "bws", Partition: 1, Class: int32(i + 1)})
	}
	matches := s.candidates(bws.BCID{Storage: "bws", Partition: 1})
	if len(matches) != maxCandidates {
		t.Fatalf("%d candidates, want %d", len(matches), maxCandidates)
	}
	for i := 1; i < len(matches); i++ {
		if matches[i].Score >= matches[i-1].Score || matches[i].Score <= 0 {
			t.Errorf("score %v follows %v", matches[i].Score, matches[i-1].Score)
		}
	}
}

func TestNobodyIsNotEnrolled(t *testing.T) {
	s := New(Config{})
	s.Enroll(bws.BCID{})
	s.Enroll(bws.BCID{Storage: "bws", Partition: 1})
	if len(s.enrolled) != 0 {
		t.Errorf("enrolled %v, which is no person", s.enrolled)
	}
}
