package caddybws

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/net/http/httpguts"
)

// The identity headers that the app behind the gate receives by default, in the spelling of [http.CanonicalHeaderKey].
const (
	bcidHeader       = "X-Bws-Bcid"
	actionHeader     = "X-Bws-Action"
	scoreHeader      = "X-Bws-Score"
	verifiedAtHeader = "X-Bws-Verified-At"
)

// defaultHeaders are all of them.
var defaultHeaders = []string{bcidHeader, actionHeader, scoreHeader, verifiedAtHeader}

// identity is the set of request headers that tell the app who was verified. Nobody but the gate may set them.
type identity struct {
	// folded are the names to strip, in the form that all their aliases fold to; lengths has a bit for the length of each.
	folded  []string
	lengths uint64
	// defaults says that the four default headers are set; otherwise headers are, from templates.
	defaults bool
	headers  []identityHeader
}

type identityHeader struct {
	name   string
	values []string
}

// newIdentity prepares the configured headers; nil stands for the defaults. The default names are stripped in any case.
func newIdentity(configured http.Header) (*identity, error) {
	id := &identity{defaults: configured == nil}
	id.strips(defaultHeaders...)
	id.strips(assertionHeader)
	// The order in which a map is read must not show in what the app receives, nor in an error.
	for _, name := range slices.Sorted(maps.Keys(configured)) {
		values := configured[name]
		if err := checkIdentityHeader(name, values); err != nil {
			return nil, err
		}
		canonical := http.CanonicalHeaderKey(name)
		for _, other := range id.headers {
			if fold(other.name) == fold(canonical) {
				return nil, fmt.Errorf("identity_headers: %s and %s name the same header to many apps; keep one", other.name, canonical)
			}
		}
		id.headers = append(id.headers, identityHeader{canonical, values})
		id.strips(canonical)
	}
	return id, nil
}

// unsettableHeaders carry the message itself or other credentials.
var unsettableHeaders = []string{
	"Connection", "Content-Length", "Cookie", "Host", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

func checkIdentityHeader(name string, values []string) error {
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("identity_headers: %q is not a header name; use letters, digits and -", name)
	}
	if slices.Contains(unsettableHeaders, http.CanonicalHeaderKey(name)) {
		return fmt.Errorf("identity_headers: %s has a meaning of its own; use another name", name)
	}
	if len(values) == 0 || slices.Contains(values, "") {
		return fmt.Errorf("identity_headers: %s has no value; write one such as {http.bws.bcid}", name)
	}
	for _, value := range values {
		if !httpguts.ValidHeaderFieldValue(value) {
			return fmt.Errorf("identity_headers: the value %q of %s has a control character; remove it", value, name)
		}
	}
	return nil
}

func (id *identity) strips(names ...string) {
	for _, name := range names {
		if folded := fold(name); !slices.Contains(id.folded, folded) {
			id.folded = append(id.folded, folded)
			id.lengths |= 1 << (len(folded) % 64)
		}
	}
}

// strip removes what a client may have forged: the identity headers under every name that an app could take for theirs, their
// names in Connection, by which the client would have a proxy remove the real ones, and all trailers.
func (id *identity) strip(r *http.Request) {
	for name := range r.Header {
		if id.covers(name) {
			delete(r.Header, name)
		}
	}
	if lines := r.Header["Connection"]; len(lines) > 0 {
		id.stripConnection(r.Header, lines)
	}
	r.Trailer = nil
	delete(r.Header, "Trailer")
}

// covers reports whether name is an identity header or an alias of one.
func (id *identity) covers(name string) bool {
	if id.lengths&(1<<(len(name)%64)) == 0 {
		return false
	}
	for _, folded := range id.folded {
		if len(folded) == len(name) && foldsTo(name, folded) {
			return true
		}
	}
	return false
}

func (id *identity) stripConnection(header http.Header, lines []string) {
	if !slices.ContainsFunc(lines, id.isNamedIn) {
		return // as almost always, and without an allocation
	}
	var kept []string
	for _, line := range lines {
		for option := range strings.SplitSeq(line, ",") {
			if option = trim(option); !id.covers(option) {
				kept = append(kept, option)
			}
		}
	}
	if len(kept) == 0 {
		delete(header, "Connection")
		return
	}
	header["Connection"] = []string{strings.Join(kept, ", ")}
}

// isNamedIn reports whether a line of Connection names one of the headers.
func (id *identity) isNamedIn(line string) bool {
	for option := range strings.SplitSeq(line, ",") {
		if id.covers(trim(option)) {
			return true
		}
	}
	return false
}

// set tells the app whom the visit's evidence names. A value that turns out empty is not sent.
func (id *identity) set(header http.Header, v *visit, repl *caddy.Replacer) {
	if id.defaults {
		setDefaults(header, v)
		return
	}
	for _, h := range id.headers {
		for _, template := range h.values {
			// A line break in a value would be a header of its own to some apps.
			if value := repl.ReplaceAll(template, ""); value != "" && httpguts.ValidHeaderFieldValue(value) {
				header[h.name] = append(header[h.name], value)
			}
		}
	}
}

// setDefaults sets the default headers, whose values are parts of one text.
func setDefaults(header http.Header, v *visit) {
	e := v.evidence
	text := make([]byte, 0, 64)
	text = e.BCID.Append(text)
	person := len(text)
	text = e.AnsweredAt.UTC().AppendFormat(text, time.RFC3339)
	both := string(text)

	if person > 0 {
		header[bcidHeader] = v.lines(both[:person])
	}
	header[actionHeader] = v.lines(string(e.Action))
	if e.Matched {
		header[scoreHeader] = v.lines(formatScore(e.Score))
	}
	header[verifiedAtHeader] = v.lines(both[person:])
}

func formatScore(score float64) string { return strconv.FormatFloat(score, 'f', -1, 64) }

// foldsTo reports whether name equals folded once it is folded.
func foldsTo(name, folded string) bool {
	for i := range len(name) {
		if foldByte(name[i]) != folded[i] {
			return false
		}
	}
	return true
}

// fold maps all names that CGI and its heirs take for the same header to one.
func fold(name string) string {
	folded := []byte(name)
	for i, c := range folded {
		folded[i] = foldByte(c)
	}
	return string(folded)
}

func foldByte(c byte) byte {
	switch {
	case c == '_' || c == '.':
		return '-'
	case 'A' <= c && c <= 'Z':
		return c + ('a' - 'A')
	}
	return c
}
