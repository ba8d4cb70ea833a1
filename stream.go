package caddybws

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-bws/caddy-bws/internal/policy"
	"github.com/caddy-bws/caddy-bws/internal/session"
)

// streamInterval is how often it is looked whether a stream's evidence is still good.
const streamInterval = 5 * time.Second

// stream is the response to a request that was let through. If it turns out to be one without an end, a WebSocket or an event
// stream, it ends with the evidence that opened it. Any other response is left alone.
type stream struct {
	caddyhttp.ResponseWriterWrapper
	gate    *Gate
	request *http.Request
	found   foundEvidence
	looked  bool
	end     time.Time

	mu    sync.Mutex // held while a check decides about the connection, which may serve another request once this is closed
	timer *time.Timer
	ended bool

	cut atomic.Bool // nothing may be written any more
}

var errStreamEnded = errors.New("bws: the evidence that opened the stream is not good any more")

// close is called when the response has ended.
func (s *stream) close() {
	if s.timer == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.timer.Stop()
}

// look begins to watch a response of the kind that does not end by itself.
func (s *stream) look(status int) {
	if s.looked || status < http.StatusOK && status != http.StatusSwitchingProtocols {
		return
	}
	s.looked = true
	if !s.isEndless(status) {
		return
	}
	s.end = s.gate.goodUntil(&s.found)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(s.untilCheck(), s.check)
}

func (s *stream) isEndless(status int) bool {
	contentType, _, _ := strings.Cut(s.Header().Get("Content-Type"), ";")
	return status == http.StatusSwitchingProtocols || s.request.Method == http.MethodConnect ||
		strings.EqualFold(strings.TrimSpace(contentType), "text/event-stream")
}

func (s *stream) untilCheck() time.Duration {
	return max(0, min(streamInterval, s.end.Sub(s.gate.service.now())))
}

// check ends the stream if its evidence is not good any more. A deadline in the past ends what waits to be read or written, by which
// the server cancels the request's context. Caddy's own writers set deadlines, too, and not for use by others, so that the server's
// is looked for.
func (s *stream) check() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	reason := s.gate.reasonToEnd(&s.found, s.end)
	if reason == "" {
		s.timer.Reset(s.untilCheck())
		return
	}
	s.gate.logger.Info("stream ended", zap.String("service", s.gate.serviceName()), zap.String("reason", string(reason)))
	s.cut.Store(true)
	past := time.Unix(1, 0)
	control := http.NewResponseController(serversWriter(s.ResponseWriter))
	_ = control.SetReadDeadline(past)
	_ = control.SetWriteDeadline(past)
}

func serversWriter(w http.ResponseWriter) http.ResponseWriter {
	for {
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = wrapper.Unwrap()
	}
}

// goodUntil is when evidence ceases to satisfy the gate, whatever else happens. A stream counts as activity, so that an idle time
// does not end it.
func (g *Gate) goodUntil(f *foundEvidence) time.Time {
	e := f.evidence
	end := e.Expires.Add(policy.Skew)
	if g.sessions != nil {
		s := f.session
		if s == nil {
			s = session.Begin(f.key, e, g.service.now())
		}
		end = s.Begun.Add(g.sessions.lifetime)
	}
	if maxAge := g.policy.MaxAge; maxAge > 0 && e.NotBefore.Add(maxAge).Before(end) {
		end = e.NotBefore.Add(maxAge)
	}
	return end
}

// reasonToEnd returns why evidence is not good any more, and "" if it is.
func (g *Gate) reasonToEnd(f *foundEvidence, end time.Time) policy.Reason {
	now := g.service.now()
	switch {
	case g.service.revoked(f.id(), f.evidence):
		return policy.Revoked
	case !now.Before(end) && g.policy.MaxAge > 0 && f.evidence.Age(now) >= g.policy.MaxAge:
		return policy.TooOld
	case !now.Before(end) && g.sessions != nil:
		return policy.SessionExpired
	case !now.Before(end):
		return policy.ExpiredToken
	case f.session != nil && !g.service.hasReadRevocations(now):
		return policy.LedgerUnavailable
	}
	return ""
}

// WriteHeader begins the response.
func (s *stream) WriteHeader(status int) {
	s.look(status)
	s.ResponseWriterWrapper.WriteHeader(status)
}

// Write writes a part of the body.
func (s *stream) Write(p []byte) (int, error) {
	s.look(http.StatusOK)
	if s.cut.Load() {
		return 0, errStreamEnded
	}
	return s.ResponseWriterWrapper.Write(p)
}

// ReadFrom writes a part of the body, of a stream bit by bit.
func (s *stream) ReadFrom(r io.Reader) (int64, error) {
	s.look(http.StatusOK)
	if s.timer != nil {
		return io.Copy(struct{ io.Writer }{s}, r)
	}
	return s.ResponseWriterWrapper.ReadFrom(r)
}

// Interface guards
var (
	_ http.ResponseWriter = (*stream)(nil)
	_ io.ReaderFrom       = (*stream)(nil)
)
