package caddybws

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/policy"
	"github.com/caddy-bws/caddy-bws/internal/session"
	"github.com/caddy-bws/caddy-bws/internal/verifier"
)

// visitKey is the request variable that holds the visit.
const visitKey = "bws"

// visit is what the gates on one request share: the credentials as the client sent them, the evidence found so far, and the
// latest decision, which the rest of Caddy sees as placeholders and log fields.
type visit struct {
	// taken are the headers that a gate has taken credentials out of, as the client sent them.
	taken []takenHeader
	found []foundEvidence

	decision policy.Decision
	evidence *evidence.Evidence
	judgedAt time.Time
	// user is whom the request is authenticated as.
	user bws.BCID
	// silent makes every placeholder empty while a gate resolves whom it is bound to: what a gate found out about the request
	// must not be what the next one demands of it.
	silent bool
	// admitted are the header sets that gates have filled.
	admitted []*identity
	// vouched are the assertions that gates have made.
	vouched []vouchedHeader

	// What follows is room for the above and for header values, so that most requests need no other: see lines.
	takenRoom    [1]takenHeader
	foundRoom    [1]foundEvidence
	admittedRoom [1]*identity
	vouchedRoom  [1]vouchedHeader
	streamRoom   stream
	lineRoom     [8]string
	linesUsed    int
}

type takenHeader struct {
	name   string
	values []string
}

type vouchedHeader struct{ name, assertion string }

// foundEvidence is what a gate has found about a request: by its token, or in its session.
type foundEvidence struct {
	service  *Service
	evidence *evidence.Evidence
	token    string
	key      verifier.Key
	session  *session.Session
	// spent says that this request has spent the token.
	spent bool
}

// visitOf returns the visit of a request, and begins it at the first gate.
func visitOf(r *http.Request, repl *caddy.Replacer) *visit {
	ctx := r.Context()
	if v, ok := caddyhttp.GetVar(ctx, visitKey).(*visit); ok {
		return v
	}
	v := new(visit)
	v.taken, v.found, v.admitted, v.vouched = v.takenRoom[:0], v.foundRoom[:0], v.admittedRoom[:0], v.vouchedRoom[:0]
	caddyhttp.SetVar(ctx, visitKey, v)
	repl.Map(v.placeholder)
	v.addToAccessLog(ctx)
	return v
}

// addToAccessLog has the access log show the decision, if there is an access log: the field is not for free.
func (v *visit) addToAccessLog(ctx context.Context) {
	server, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if server == nil || server.Logs == nil {
		return
	}
	if extra, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Add(zap.Inline(v))
	}
}

// id names the session that the evidence has come from, or that its token would begin.
func (f *foundEvidence) id() session.ID {
	if f.session != nil {
		return f.session.ID
	}
	return session.IDOf(f.key)
}

// openStream returns the response of a request that a gate lets through.
func (v *visit) openStream(g *Gate, w http.ResponseWriter, q *inquiry) *stream {
	s := &v.streamRoom
	if s.gate != nil {
		s = new(stream)
	}
	s.ResponseWriter, s.gate, s.request, s.found = w, g, q.Request, *q.found
	return s
}

// header returns the lines of a request header as the client sent them.
func (v *visit) header(r *http.Request, name string) []string {
	for i := range v.taken {
		if v.taken[i].name == name {
			return v.taken[i].values
		}
	}
	return r.Header[name]
}

// keep remembers the lines of a request header before they are replaced for the first time.
func (v *visit) keep(r *http.Request, name string) {
	for i := range v.taken {
		if v.taken[i].name == name {
			return
		}
	}
	v.taken = append(v.taken, takenHeader{name, r.Header[name]})
}

// lines returns a header of one line, which belongs to this request alone: handlers may edit what they find in place.
func (v *visit) lines(line string) []string {
	if v.linesUsed == len(v.lineRoom) {
		return []string{line}
	}
	i := v.linesUsed
	v.linesUsed++
	v.lineRoom[i] = line
	return v.lineRoom[i : i+1 : i+1]
}

// addToList adds a line to a response header that holds a list, unless an earlier gate has already done so.
func (v *visit) addToList(header http.Header, name, value string) {
	switch present := header[name]; {
	case len(present) == 0:
		header[name] = v.lines(value)
	case !slices.Contains(present, value):
		header[name] = append(present, value)
	}
}

// recall returns the evidence that an earlier gate of the same service found.
func (v *visit) recall(s *Service) *foundEvidence {
	for i := range v.found {
		if v.found[i].service == s {
			return &v.found[i]
		}
	}
	return nil
}

// remember keeps the newest evidence of a service.
func (v *visit) remember(f foundEvidence) *foundEvidence {
	if known := v.recall(f.service); known != nil {
		*known = f
		return known
	}
	v.found = append(v.found, f)
	return &v.found[len(v.found)-1]
}

// conclude records a decision. A user stays authenticated until a later gate denies.
func (v *visit) conclude(d policy.Decision, e *evidence.Evidence, now time.Time) {
	v.decision, v.evidence, v.judgedAt = d, e, now
	if !d.Allow {
		v.user = bws.BCID{}
		return
	}
	if user := e.User(); !user.IsZero() {
		v.user = user
	}
}

// withdraw removes what gates have told the app about a person, because a later gate denies the request.
func (v *visit) withdraw(r *http.Request) {
	for _, id := range v.admitted {
		id.strip(r)
	}
	v.vouched = nil
}

// vouch has the app get the assertions that were made so far: they stay true when another gate lets the request pass, which has
// removed what else is in their place.
func (v *visit) vouch(header http.Header) {
	for i := range v.vouched {
		header[v.vouched[i].name] = v.lines(v.vouched[i].assertion)
	}
}

// word is the decision in one word, and empty before there is one.
func (v *visit) word() string {
	switch {
	case v.decision.Allow:
		return "allow"
	case v.decision.Reason != "":
		return "deny"
	}
	return ""
}

func (v *visit) source() string { return string(v.evidenceSource()) }

// evidenceSource is where the evidence came from, empty if there is none.
func (v *visit) evidenceSource() evidence.Source {
	if v.evidence == nil {
		return ""
	}
	return v.evidence.Source
}

// MarshalLogObject adds the decision to the access log. It names nobody.
func (v *visit) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("bws_decision", v.word())
	enc.AddString("bws_reason", string(v.decision.Reason))
	enc.AddString("bws_evidence", v.source())
	return nil
}

// String keeps the credentials out of {http.vars.bws}.
func (v *visit) String() string { return v.word() }

// Interface guards
var _ zapcore.ObjectMarshaler = (*visit)(nil)
