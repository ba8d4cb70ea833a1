package session

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/caddy-bws/caddy-bws/internal/ledger"
)

// MaxLength is the longest sealed session in bytes. Longer values are not looked at.
const MaxLength = 512

const (
	// purpose and version are part of what is authenticated: a value sealed for anything else does not open.
	purpose = "session"
	version = 1
	// overhead is what is sealed around a session.
	overhead = 1 + len(ledger.KeyID{}) + chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead
)

var encoding = base64.RawURLEncoding.Strict()

// Keys are what sessions are sealed with. A node that has none refuses sessions.
type Keys interface {
	Current() (*ledger.Key, error)
	Find(ctx context.Context, id ledger.KeyID) (*ledger.Key, error)
}

// Place is where a sealed session is good: at no other host, for no other service and in no other cookie does it open.
type Place struct {
	// Host is the host as the browser knows it, in lower case and without a port.
	Host string
	// Service is the identity of the service.
	Service [32]byte
	// Cookie is the name of the cookie.
	Cookie string
}

// Seal returns a cookie's value that [Open] turns into s again.
func Seal(keys Keys, at *Place, s *Session) (string, error) {
	key, err := keys.Current()
	if err != nil {
		return "", fmt.Errorf("sealing a session: %w", err)
	}
	aead, err := cipherOf(key)
	if err != nil {
		return "", err
	}
	sealed := make([]byte, 0, MaxLength)
	sealed = append(sealed, version)
	sealed = append(sealed, key.ID[:]...)
	sealed = sealed[:len(sealed)+chacha20poly1305.NonceSizeX]
	nonce := sealed[len(sealed)-chacha20poly1305.NonceSizeX:]
	_, _ = rand.Read(nonce) // never fails
	sealed = aead.Seal(sealed, nonce, s.encode(make([]byte, 0, MaxLength)), at.authenticated(make([]byte, 0, at.authenticatedLength())))
	return encoding.EncodeToString(sealed), nil
}

// Open returns the session that value holds, and false if it holds none for this place: all that fails, fails alike. Only an
// unknown key makes it wait, for the ledger.
func Open(ctx context.Context, keys Keys, at *Place, value string) (*Session, bool) {
	// The base64 decoder skips line breaks.
	if len(value) > MaxLength || strings.Contains(value, "\n") || strings.Contains(value, "\r") {
		return nil, false
	}
	var text [MaxLength]byte
	// In one piece, since it all has to lie on the heap.
	room := make([]byte, 0, encoding.DecodedLen(len(value))+at.authenticatedLength())
	sealed, err := encoding.AppendDecode(room, text[:copy(text[:], value)])
	if err != nil || len(sealed) < overhead || sealed[0] != version {
		return nil, false
	}
	key, err := keys.Find(ctx, ledger.KeyID(sealed[1:]))
	if err != nil {
		return nil, false
	}
	aead, err := cipherOf(key)
	if err != nil {
		return nil, false
	}
	nonce, box := sealed[1+len(key.ID):][:chacha20poly1305.NonceSizeX], sealed[1+len(key.ID)+chacha20poly1305.NonceSizeX:]
	opened, err := aead.Open(box[:0], nonce, box, at.authenticated(room[len(sealed):len(sealed)]))
	if err != nil {
		return nil, false
	}
	return decode(opened)
}

func cipherOf(key *ledger.Key) (cipher.AEAD, error) {
	secret := key.Secret()
	return chacha20poly1305.NewX(secret[:])
}

// authenticatedLength is how much authenticated writes.
func (p *Place) authenticatedLength() int {
	return 1 + 2 + len(purpose) + 2 + len(p.Host) + 2 + len(p.Service) + 2 + len(p.Cookie)
}

// authenticated writes what a sealed session belongs to. Each part says how long it is, so that no two places are written alike.
func (p *Place) authenticated(to []byte) []byte {
	to = append(to, version)
	for _, part := range []string{purpose, p.Host, string(p.Service[:]), p.Cookie} {
		to = binary.BigEndian.AppendUint16(to, uint16(len(part))) //nolint:gosec // a host or a name of 64 KiB does not get here
		to = append(to, part...)
	}
	return to
}
