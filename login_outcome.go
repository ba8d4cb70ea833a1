package caddybws

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/caddy-bws/caddy-bws/internal/policy"
	"github.com/caddy-bws/caddy-bws/internal/sealed"
)

// outcomeTime is how long a browser is told how its login ended, rather than sent to the next one.
const outcomeTime = 2 * time.Minute

// loginOutcome says how a login ended that did not suffice: by the reason of a denial, or in a way of its own.
type loginOutcome string

const (
	// outcomeCanceled is a person's wish.
	outcomeCanceled loginOutcome = "canceled"
	// outcomeUnbound is a return to another browser, or to one that keeps no cookies.
	outcomeUnbound loginOutcome = "unbound"
)

// loginDenials are the ends of a login that the reasons do not describe well enough.
var loginDenials = map[loginOutcome]refusal{
	outcomeCanceled: {reason: policy.Pending, denial: denial{
		status: http.StatusUnauthorized,
		title:  "You have canceled",
		text:   "This page opens after your face or eyes have been verified.",
	}},
	outcomeUnbound: {reason: policy.NoToken, denial: denial{
		status: http.StatusUnauthorized,
		title:  "Your verification does not count here",
		text:   "It was begun in another browser, or your browser keeps no cookies of this site. " + verifyAgain,
	}},
}

// refusal is what the browser is told about the outcome.
func (o loginOutcome) refusal() refusal {
	if own, ok := loginDenials[o]; ok {
		return own
	}
	return refusalFor(policy.Reason(o))
}

// keepOutcome has the browser bring along how its login ended.
func (g *Gate) keepOutcome(w http.ResponseWriter, q *inquiry, u *url.URL, outcome loginOutcome) error {
	path := pathOf(u)
	content := binary.BigEndian.AppendUint64(nil, uint64(q.now.Unix())) //nolint:gosec // after 1970
	content = append(append(content, path[:]...), outcome...)
	value, err := sealed.Seal(g.service.loginKeys(), content, forLoginOutcome, hostOf(q.Request), g.service.sealedFor)
	if err != nil {
		return err
	}
	g.login.cookies(q.secure).outcome.set(w.Header(), value, outcomeTime)
	return nil
}

// lastOutcome returns how a login that was to lead to this path has just ended, and "" if none has.
func (g *Gate) lastOutcome(q *inquiry, u *url.URL) loginOutcome {
	value, unambiguous := g.login.cookies(q.secure).outcome.find(q.visit, q.Request)
	if value == "" || !unambiguous {
		if !keepsCookies(q) && g.login.unbound.has(q, u) {
			return outcomeUnbound
		}
		return ""
	}
	content, ok := sealed.Open(q.Context(), g.service.loginKeys(), value, forLoginOutcome, hostOf(q.Request), g.service.sealedFor)
	path := pathOf(u)
	if !ok || len(content) <= 8+len(path) || !bytes.Equal(content[8:][:len(path)], path[:]) {
		return ""
	}
	ended := time.Unix(int64(binary.BigEndian.Uint64(content)), 0) //nolint:gosec // sealed by keepOutcome
	if q.now.Sub(ended) >= outcomeTime {
		return ""
	}
	return loginOutcome(content[8+len(path):])
}

// keepsCookies reports whether a browser has brought any. What else it is told with a cookie, it will bring along as well.
func keepsCookies(q *inquiry) bool { return len(q.visit.header(q.Request, "Cookie")) > 0 }

// recentReturns remembers for a while which browsers have come back without the cookie they were given. One that keeps no cookies
// would go round in circles otherwise.
type recentReturns struct {
	mu      sync.Mutex
	returns [256]struct {
		visitor [32]byte
		at      time.Time
	}
	next int
}

// visitorOf stands for a browser at a path, as well as one can be told from another without a cookie.
func visitorOf(q *inquiry, u *url.URL) [32]byte {
	return sha256.Sum256([]byte(strings.Join([]string{clientIP(q.Request), q.UserAgent(), q.Host, u.EscapedPath()}, "\n")))
}

func (r *recentReturns) add(q *inquiry, u *url.URL) {
	r.mu.Lock()
	defer r.mu.Unlock()
	latest := &r.returns[r.next]
	latest.visitor, latest.at = visitorOf(q, u), q.now
	r.next = (r.next + 1) % len(r.returns)
}

func (r *recentReturns) has(q *inquiry, u *url.URL) bool {
	visitor := visitorOf(q, u)
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.returns {
		if r.returns[i].visitor == visitor && q.now.Sub(r.returns[i].at) < outcomeTime {
			return true
		}
	}
	return false
}
