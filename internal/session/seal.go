package session

import (
	"context"

	"github.com/caddy-bws/caddy-bws/internal/sealed"
)

// purpose is part of what is authenticated, so that nothing sealed for another purpose opens as a session.
const purpose = "session"

// Place is where a sealed session is good: at no other host, for no other service and in no other cookie does it open.
type Place struct {
	// Host is the host as the browser knows it, in lower case and without a port.
	Host string
	// Service is the identity of the service.
	Service string
	// Cookie is the name of the cookie.
	Cookie string
}

// Seal returns a cookie's value that [Open] turns into s again.
func Seal(keys sealed.Keys, at *Place, s *Session) (string, error) {
	return sealed.Seal(keys, s.encode(make([]byte, 0, sealed.MaxContent)), purpose, at.Host, at.Service, at.Cookie)
}

// Open returns the session that value holds, and false if it holds none for this place. It does not tell why. Only an unknown key
// makes it wait, for the ledger.
func Open(ctx context.Context, keys sealed.Keys, at *Place, value string) (*Session, bool) {
	content, ok := sealed.Open(ctx, keys, value, purpose, at.Host, at.Service, at.Cookie)
	if !ok {
		return nil, false
	}
	return decode(content)
}
