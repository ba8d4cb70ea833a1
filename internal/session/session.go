// Package session seals evidence into a cookie and opens it again, so that what BWS has said of a person outlives the token.
package session

import (
	"time"

	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

// ID names a session. It derives from the token: one token, one session, however often the token is presented.
type ID [16]byte

// IDOf returns the id of the session that a token begins, by the token's SHA-256 hash.
func IDOf(tokenHash [32]byte) ID { return ID(tokenHash[:]) }

// Session is what a cookie carries: evidence and times, no promises. How long it is good for is for the route to judge.
type Session struct {
	ID ID
	// Evidence is what the gate that began the session knew. It is a success.
	Evidence evidence.Evidence
	// Begun is when the session began, to the second, and never after the end of the token.
	Begun time.Time
	// Renewed is when the cookie was issued, to the second. It is what an idle time counts from.
	Renewed time.Time
}

// Begin returns the session that a token begins, by its SHA-256 hash and the evidence for it.
func Begin(tokenHash [32]byte, e *evidence.Evidence, now time.Time) *Session {
	begun := now
	if e.Expires.Before(begun) {
		begun = e.Expires
	}
	return &Session{ID: IDOf(tokenHash), Evidence: *e, Begun: begun, Renewed: now}
}

// End says why a session has ended.
type End uint8

// The ends of a session.
const (
	NotEnded End = iota
	// Lifetime is the end of the route's absolute lifetime.
	Lifetime
	// Idle is the end of the route's idle time.
	Idle
	// Early means that the session begins in the future: the clock of the node that made it is too far ahead, or was set back since.
	Early
)

// Judge reports whether the session is at an end for a route that grants it a lifetime, and an idle time unless that is 0. Clocks
// of nodes may differ by skew; lifetime and idle time get no slack.
func (s *Session) Judge(lifetime, idle, skew time.Duration, now time.Time) End {
	switch {
	case s.Begun.After(now.Add(skew)), s.Renewed.After(now.Add(skew)):
		return Early
	case now.Sub(s.Begun) >= lifetime:
		return Lifetime
	case idle > 0 && now.Sub(s.Renewed) >= idle:
		return Idle
	}
	return NotEnded
}

// NeedsRenewal reports whether the cookie should be issued again so that activity counts: at most twice in an idle time.
func (s *Session) NeedsRenewal(idle time.Duration, now time.Time) bool {
	return idle > 0 && now.Sub(s.Renewed) >= idle/2
}
