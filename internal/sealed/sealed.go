// Package sealed encrypts and authenticates what only our own nodes may read or write, as text for a cookie or a URL.
package sealed

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/caddy-bws/caddy-bws/internal/ledger"
)

// MaxLength is the longest sealed text in bytes. Longer ones do not open.
const MaxLength = 512

const (
	// version changes with the format of what is sealed. It is authenticated.
	version = 1
	// overhead is the number of bytes around the content: version, key id, nonce and tag.
	overhead = 1 + len(ledger.KeyID{}) + chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead
)

// MaxContent is the longest content in bytes that fits.
const MaxContent = MaxLength*3/4 - overhead

var errTooLong = errors.New("too long to be sealed")

var encoding = base64.RawURLEncoding.Strict()

// Keys are the keys to seal and to open with. A node that has none can do neither.
type Keys interface {
	Current() (*ledger.Key, error)
	Find(ctx context.Context, id ledger.KeyID) (*ledger.Key, error)
}

// Seal returns text of letters, digits, - and _ that [Open] turns into content again for the same context: what the content is
// for, and where it is good.
func Seal(keys Keys, content []byte, where ...string) (string, error) {
	if len(content) > MaxContent {
		return "", errTooLong
	}
	key, err := keys.Current()
	if err != nil {
		return "", fmt.Errorf("sealing: %w", err)
	}
	aead, err := cipherOf(key)
	if err != nil {
		return "", err
	}
	box := make([]byte, 0, overhead+len(content))
	box = append(box, version)
	box = append(box, key.ID[:]...)
	box = box[:len(box)+chacha20poly1305.NonceSizeX]
	nonce := box[len(box)-chacha20poly1305.NonceSizeX:]
	_, _ = rand.Read(nonce) // never fails
	box = aead.Seal(box, nonce, content, authenticated(nil, where))
	return encoding.EncodeToString(box), nil
}

// Open returns the content of sealed text, and false if there is none for this context. It does not tell why. Only an unknown key
// makes it wait, for the ledger.
func Open(ctx context.Context, keys Keys, text string, where ...string) ([]byte, bool) {
	// The base64 decoder would skip line breaks.
	if len(text) > MaxLength || strings.Contains(text, "\n") || strings.Contains(text, "\r") {
		return nil, false
	}
	// The decoder wants bytes: copied by hand, they stay on the stack.
	var coded [MaxLength]byte
	// The cipher makes the box and the context escape to the heap. In one piece, they are one allocation.
	room := make([]byte, 0, encoding.DecodedLen(len(text))+authenticatedLength(where))
	box, err := encoding.AppendDecode(room, coded[:copy(coded[:], text)])
	if err != nil || len(box) < overhead || box[0] != version {
		return nil, false
	}
	key, err := keys.Find(ctx, ledger.KeyID(box[1:]))
	if err != nil {
		return nil, false
	}
	aead, err := cipherOf(key)
	if err != nil {
		return nil, false
	}
	nonce, sealed := box[1+len(key.ID):][:chacha20poly1305.NonceSizeX], box[1+len(key.ID)+chacha20poly1305.NonceSizeX:]
	content, err := aead.Open(sealed[:0], nonce, sealed, authenticated(room[len(box):len(box)], where))
	return content, err == nil
}

func cipherOf(key *ledger.Key) (cipher.AEAD, error) {
	secret := key.Secret()
	return chacha20poly1305.NewX(secret[:])
}

// authenticated appends the context. Each part has its length in front, so that no two contexts look alike.
func authenticated(to []byte, where []string) []byte {
	to = append(to, version)
	for _, part := range where {
		to = binary.BigEndian.AppendUint16(to, uint16(len(part))) //nolint:gosec // a host or a name of 64 KiB does not get here
		to = append(to, part...)
	}
	return to
}

func authenticatedLength(where []string) int {
	n := 1
	for _, part := range where {
		n += 2 + len(part)
	}
	return n
}
