package caddybws

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/explain"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/policy"
	"github.com/caddy-bws/caddy-bws/internal/session"
	"github.com/caddy-bws/caddy-bws/internal/verifier"
)

// props are what a rehearsal has in place of BWS, the storage, and a client with credentials.
type props struct {
	*explain.Question
	gates    []*Gate
	services []*Service
	token    string
	key      verifier.Key
	// presumed is the evidence that the result would be, nil if there is none.
	presumed *evidence.Evidence
	closers  []func()
}

// setTheStage has the services of the gates ask those who play BWS and the storage.
func (r *rehearsal) setTheStage(ctx context.Context, dir string) (*props, error) {
	p := &props{Question: r.Question, gates: r.walk.gates}
	for _, g := range p.gates {
		if !slices.Contains(p.services, g.service) {
			p.services = append(p.services, g.service)
		}
	}
	if len(p.services) == 0 {
		return p, nil
	}
	if err := p.makeToken(); err != nil {
		return nil, err
	}
	for i, s := range p.services {
		if err := p.replace(ctx, s, filepath.Join(dir, "ledger", strconv.Itoa(i))); err != nil {
			p.close()
			return nil, err
		}
	}
	return p, nil
}

func (p *props) close() {
	for _, end := range p.closers {
		end()
	}
}

// makeToken takes the token that is given, or makes one up, and says what BWS's result would be as evidence.
func (p *props) makeToken() error {
	result, malformed := bws.DecodeResult(p.Result)
	switch {
	case p.NeedsResult() && (p.Result == nil || malformed != nil):
		return fmt.Errorf("%s comes about only with a result that would be allowed: give one", p.Fault)
	case p.SessionAge != nil && (malformed != nil || !result.Success):
		return errors.New("a session needs the successful result that it began with: give one")
	}
	if p.token = p.Token; p.token == "" {
		claims, err := p.claims(&result)
		if err != nil {
			return err
		}
		p.token = mint(claims)
	}
	p.key = verifier.KeyOf(p.token)
	if claims, err := bws.ParseToken(p.token); err == nil && p.Result != nil && malformed == nil {
		p.presumed = evidence.OfResult(&result, &claims, p.Now)
	}
	if p.SessionAge != nil && p.presumed == nil {
		return errors.New("a session begins with a token, and the one that is given is none: give another one, or none")
	}
	return nil
}

// taskBits are the words for a task's kinds and conditions, as BWS's API and the option require have them.
var taskBits = map[string]bws.Task{
	taskVerify: bws.TaskVerify, taskIdentify: bws.TaskIdentify, taskEnroll: bws.TaskEnroll, taskLiveness: bws.TaskLiveOnly,
	"live_detection": bws.TaskLiveDetect, "challenge": bws.TaskChallenge, "autoenroll": bws.TaskAutoEnroll,
}

var kindsOf = map[bws.Action]string{
	bws.Verification: taskVerify, bws.Identification: taskIdentify, bws.Enrollment: taskEnroll, bws.LiveDetection: taskLiveness,
}

// claims are what a token says that is made up.
func (p *props) claims(result *bws.OperationResult) (map[string]any, error) {
	wish := &p.Claims
	action := cmp.Or(result.Action, p.gates[0].actions()[0])
	task := bws.Task(defaultMaxTries)
	conditions := wish.Conditions
	if conditions == nil {
		conditions = []string{"live_detection"}
	}
	for _, word := range append([]string{cmp.Or(wish.Task, kindsOf[action])}, conditions...) {
		bits, known := taskBits[word]
		if !known {
			return nil, fmt.Errorf("task: unknown word %q; use verify, identify, enroll or livenessdetection, and of live_detection, "+
				"challenge and autoenroll", word)
		}
		task |= bits
	}
	age := wish.Age
	if p.SessionAge != nil {
		age = max(age, *p.SessionAge)
	}
	issued := p.Now.Add(-age)
	claims := map[string]any{
		"app": cmp.Or(wish.App, p.services[0].client.AppID()), "task": task, "iss": "BWS",
		"nbf": issued.Unix(), "exp": issued.Add(cmp.Or(wish.Lifetime, 10*time.Minute)).Unix(),
	}
	if person := cmp.Or(wish.BCID, result.BCID.String()); person != "" {
		claims["bcid"] = person
	}
	return claims, nil
}

// mint makes a token that nobody but a rehearsal would take for one: nobody has signed it.
func mint(claims map[string]any) string {
	payload, _ := json.Marshal(claims)
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"HS256"}`)) + "." + encode(payload) + "." + encode([]byte("not signed"))
}

// replace has a service work with what a rehearsal has in place of BWS and the storage.
func (p *props) replace(ctx context.Context, s *Service, dir string) error {
	actor := &actor{Question: p.Question}
	client, err := bws.NewClient(bws.Config{
		Endpoint: s.client.Endpoint(), AppID: s.client.AppID(), AppSecret: "not needed", Transport: actor,
	})
	if err != nil {
		return err
	}
	limits := s.limits()
	config := verifier.Config{
		Client: client, Timeout: limits.Timeout, SuccessTTL: limits.SuccessTTL, FailureTTL: limits.FailureTTL, Size: 1000,
		MaxInflight: limits.Inflight, ClientCalls: limits.RateCalls, ClientPer: limits.RatePer, Now: func() time.Time { return p.Now },
	}
	switch p.Fault {
	case policy.ServiceTimeout:
		config.Timeout = 10 * time.Millisecond
	case policy.ServiceBusy:
		config.MaxInflight = 1
	case policy.RateLimited:
		config.ClientCalls, config.ClientPer = 1, maxRatePer
	default:
	}
	s.client, s.verifier, s.now, s.logger = client, verifier.New(config), config.Now, zap.NewNop()
	p.closers = append(p.closers, s.verifier.Close)
	p.exhaust(s, actor) //nolint:contextcheck // an order has a deadline of its own
	return p.replaceLedger(ctx, s, dir)
}

// exhaust uses up what a service has of calls, if it is to have none.
func (p *props) exhaust(s *Service, actor *actor) {
	client, _ := netip.ParseAddr(p.Client)
	order := verifier.Order{TokenRequest: bws.TokenRequest{Task: bws.TaskLiveOnly}, Client: client, Logger: s.logger}
	switch p.Fault {
	case policy.RateLimited:
		s.verifier.Order(context.Background(), &order)
	case policy.ServiceBusy:
		actor.busy, actor.free = make(chan struct{}), make(chan struct{})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.verifier.Order(context.Background(), &order)
		}()
		<-actor.busy
		p.closers = slices.Insert(p.closers, 0, func() { close(actor.free); <-ended })
	default:
	}
}

func (p *props) replaceLedger(ctx context.Context, s *Service, dir string) error {
	played := s.newLedger(&certmagic.FileStorage{Path: dir})
	p.closers = append(p.closers, func() { _ = played.Destruct() })
	s.use(played)
	err := s.ledger.Sync(ctx)
	switch p.Fault {
	case policy.Revoked:
		err = errors.Join(err, s.ledger.Revoke(ctx, ledger.OfSession(session.IDOf(p.key))))
	case policy.Spent:
		if p.presumed != nil {
			_, _ = s.ledger.Redeem(ctx, p.key, p.presumed.Expires) // a token that has ended is not let in anyway
		}
	default:
	}
	return err
}

// breakStorage has the storages of all services fail from now on.
func (p *props) breakStorage(ctx context.Context) {
	for _, s := range p.services {
		broken := s.newLedger(brokenStorage{})
		p.closers = append(p.closers, func() { _ = broken.Destruct() })
		s.use(broken)
		_ = s.ledger.Sync(ctx) // it fails, and need not be waited for any more
	}
}

// placeIn puts the credentials into the request, where each gate looks for them.
func (p *props) placeIn(r *http.Request) {
	cookies := make(map[string]bool) // what several gates share is theirs who come first
	add := func(name, value string) {
		if !cookies[name] {
			cookies[name] = true
			r.Header.Add("Cookie", name+"="+value)
		}
	}
	for _, g := range p.gates {
		secure := isSecure(r)
		if p.PresentsToken() {
			p.placeToken(r, g, secure, add)
		}
		if p.SessionAge != nil && g.sessions != nil {
			s := session.Begin(p.key, p.presumed, p.Now.Add(-*p.SessionAge))
			s.Renewed = p.Now.Add(-p.Idle)
			cookie := g.sessions.cookie(secure)
			place := g.service.placeOf(r, cookie)
			if value, err := session.Seal(g.service.ledger.Keys(ledger.Sessions), &place, s); err == nil {
				add(cookie.name, value)
			}
		}
	}
	if p.Fault == policy.LedgerUnavailable {
		p.breakStorage(r.Context())
	}
}

func (p *props) placeToken(r *http.Request, g *Gate, secure bool, addCookie func(name, value string)) {
	sources := g.sources(secure)
	if len(sources) == 0 && g.Login != nil {
		if value, err := proveLoginToken(g.service, r, p.token, p.key); err == nil {
			addCookie(newLoginCookies(secure).token.name, value)
		}
		return
	}
	switch source := sources[0]; {
	case source.Cookie != "":
		addCookie(source.Cookie, p.token)
	case source.Bearer:
		r.Header.Set("Authorization", "Bearer "+p.token)
	default:
		r.Header.Set(source.Header, p.token)
	}
}
