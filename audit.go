package caddybws

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/policy"
)

// auditLogger is the logger that tells who entered where on which biometric act: one line a decision, at INFO.
const auditLogger = "http.handlers.bws.audit"

// loggerNamed returns the logger of this name. Other than a child of the module's logger it consists of nothing but the logs that
// take its lines, so that asking it whether anybody listens costs next to nothing where nobody does.
func loggerNamed(ctx caddy.Context, name string) *zap.Logger { return ctx.Logger(namesLogger(name)) }

// namesLogger is no module. Its name is all that Caddy looks at to find the logs.
type namesLogger string

// CaddyModule returns the name as that of a module.
func (n namesLogger) CaddyModule() caddy.ModuleInfo { return caddy.ModuleInfo{ID: caddy.ModuleID(n)} }

// audit writes the audit log's line about a decision.
func (g *Gate) audit(message string, q *inquiry) {
	if c := g.auditLog.Check(zap.InfoLevel, message); c != nil {
		c.Write(g.auditFields(q)...)
	}
}

// auditFields leaves out what there is nothing to say about.
func (g *Gate) auditFields(q *inquiry) []zap.Field {
	v := q.visit
	fields := append(make([]zap.Field, 0, 13),
		zap.String("request_id", requestID(q)),
		zap.String("service", g.serviceName()),
		zap.String("method", q.Method),
		zap.String("host", q.Host),
		zap.String("path", askedURL(q.Request).Path),
		zap.String("decision", v.word()))
	if v.decision.Reason != "" {
		fields = append(fields, zap.String("reason", string(v.decision.Reason)))
	}
	if g.ReportOnly {
		fields = append(fields, zap.Bool("report_only", true))
	}
	e := v.evidence
	if e == nil {
		return fields
	}
	fields = append(fields, zap.String("evidence", string(e.Source)))
	if e.Outcome != evidence.Answered {
		return fields
	}
	fields = append(fields, zap.String("action", string(e.Action)), zap.Int64("age", int64(e.Age(v.judgedAt)/time.Second)))
	if person := v.named(); !person.IsZero() {
		fields = append(fields, g.service.auditedPerson(person))
	}
	return fields
}

// provesNobody are the reasons that say of a successful operation that it is not certain whom it has been performed by.
var provesNobody = []policy.Reason{policy.Contradiction, policy.ScoreTooLow, policy.MarginTooSmall}

// named returns the person that the audit log names: whom the evidence proves, be it enough for the route or not. A failed operation
// proves nobody, and no more does a match that is too poor or not the only one, or evidence that contradicts other evidence.
func (v *visit) named() bws.BCID {
	if v.evidence == nil || !v.evidence.Success || v.evidence.Contradictory {
		return bws.BCID{}
	}
	if slices.Contains(provesNobody, v.decision.Reason) {
		return bws.BCID{}
	}
	return v.evidence.BCID
}

// requestID returns the id that Caddy gives the request, and shows in the access log once somebody has asked for it.
func requestID(q *inquiry) string {
	id, _ := q.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer).GetString("http.request.uuid")
	return id
}

// auditHasher makes the hashes that stand for persons in the audit log.
type auditHasher struct{ states sync.Pool }

// newAuditHasher returns the hasher of a service. It makes the same of a person on all nodes, as long as the App-Secret is the same;
// nobody without it can find out whom a hash stands for by trying all persons.
func newAuditHasher(appSecret string, identity [32]byte) (*auditHasher, error) {
	key, err := hkdf.Key(sha256.New, []byte(appSecret), identity[:], "caddy-bws audit", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("audit_hash: %w", err)
	}
	return &auditHasher{sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}, nil
}

// of returns what stands for a person: half an HMAC-SHA-256 of the BCID.
func (h *auditHasher) of(person bws.BCID) string {
	state := h.states.Get().(hash.Hash)
	defer h.states.Put(state)
	state.Reset()
	var room [128]byte
	state.Write(person.Append(room[:0]))
	return hex.EncodeToString(state.Sum(room[:0])[:16])
}

// provisionAudit takes the App-Secret without placeholders.
func (s *Service) provisionAudit(appSecret string) (err error) {
	if s.AuditHash {
		s.auditHash, err = newAuditHasher(appSecret, s.identity)
	}
	return err
}

// auditedPerson is how the audit log names a person.
func (s *Service) auditedPerson(person bws.BCID) zap.Field {
	if s.auditHash != nil {
		return zap.String("person", s.auditHash.of(person))
	}
	return zap.String("bcid", person.String())
}
