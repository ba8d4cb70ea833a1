package caddybws

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"net/url"
	"time"

	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/sealed"
	"github.com/caddy-bws/caddy-bws/internal/verifier"
)

// loginTime is how long a login may take. No token lives longer.
const loginTime = 10 * time.Minute

// What login's sealed values are for, so that none passes for another.
const (
	forLoginState   = "login state"
	forLoginToken   = "login token"
	forLoginOutcome = "login outcome"
)

// loginState travels to the camera page and back, sealed, and says what has to come back with it.
type loginState struct {
	begun time.Time
	// binding is the hash of what the browser keeps in a cookie.
	binding bindingHash
	token   verifier.Key
	goal    goalHash
	person  string
	// query is the original one, empty if it is too long to be kept.
	query string
}

type (
	bindingHash [16]byte
	goalHash    [16]byte
	pathHash    [16]byte
)

func bindingOf(cookie string) bindingHash {
	sum := sha256.Sum256([]byte(cookie))
	return bindingHash(sum[:])
}

func pathOf(u *url.URL) pathHash {
	sum := sha256.Sum256([]byte(u.EscapedPath()))
	return pathHash(sum[:])
}

// goalOf stands for a path and for what lets a browser in there. Of several gates on a request, that is what tells whose login it is.
func (l *login) goalOf(u *url.URL) goalHash {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %s", l.task, l.session, u.EscapedPath()))
	return goalHash(sum[:])
}

// matches compares in constant time.
func (b *bindingHash) matches(cookie string) bool {
	other := bindingOf(cookie)
	return subtle.ConstantTimeCompare(b[:], other[:]) == 1
}

// fixedState is the part of a state that has the same length in all of them.
type fixedState struct {
	Begun     int64
	Binding   bindingHash
	Token     verifier.Key
	Goal      goalHash
	PersonLen uint8
}

// seal returns the state as text for a URL. A query for which there is no room is dropped.
func (s *loginState) seal(keys sealed.Keys, host, service string) (string, error) {
	fixed := fixedState{s.begun.Unix(), s.binding, s.token, s.goal, uint8(len(s.person))} //nolint:gosec // a BCID is shorter
	content, err := binary.Append(nil, binary.BigEndian, &fixed)
	if err != nil {
		return "", err
	}
	content = append(content, s.person...)
	if len(content)+len(s.query) <= sealed.MaxContent {
		content = append(content, s.query...)
	}
	return sealed.Seal(keys, content, forLoginState, host, service)
}

// openLoginState returns what a state says, and false for what is none of this host's and service's.
func openLoginState(ctx context.Context, keys sealed.Keys, text, host, service string) (*loginState, bool) {
	content, ok := sealed.Open(ctx, keys, text, forLoginState, host, service)
	if !ok {
		return nil, false
	}
	var fixed fixedState
	n, err := binary.Decode(content, binary.BigEndian, &fixed)
	if err != nil || len(content)-n < int(fixed.PersonLen) {
		return nil, false
	}
	rest := string(content[n:])
	return &loginState{
		time.Unix(fixed.Begun, 0), fixed.Binding, fixed.Token, fixed.Goal, rest[:fixed.PersonLen], rest[fixed.PersonLen:],
	}, true
}

func (s *Service) loginKeys() sealed.Keys { return s.ledger.Keys(ledger.Sessions) }
