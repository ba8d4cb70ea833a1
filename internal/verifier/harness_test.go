package verifier

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

const (
	token   = "the.secret.token"
	secret  = "the-app-secret"
	success = `{"Action":"verification","BCID":"bioid/9876/12345","Success":true}`
	failure = `{"Action":"verification","BCID":"bioid/9876/12345","Success":false}`

	quiet = zapcore.InvalidLevel // nothing is logged
)

var (
	succeeded = reply{status: http.StatusOK, body: success}
	failed    = reply{status: http.StatusOK, body: failure}
	pending   = reply{status: http.StatusNoContent}
	rejected  = reply{status: http.StatusBadRequest}
	outage    = reply{status: http.StatusInternalServerError}
	silence   = reply{after: time.Hour}

	client   = netip.MustParseAddr("192.0.2.1")
	stranger = netip.MustParseAddr("192.0.2.2")
)

// reply is what the service does with a call.
type reply struct {
	after  time.Duration
	status int
	body   string
	// endless keeps the answer from ending, cut ends it too early.
	endless, cut bool
	// err replaces the answer, unconnected says that it was before there was a connection, reused that this one had served others.
	err                 error
	unconnected, reused bool
	panics              any
}

func (r reply) afterTime(d time.Duration) reply {
	r.after = d
	return r
}

// service stands in for BWS.
type service struct {
	mu sync.Mutex
	// replies are one a call; the last one stays.
	replies []reply
	// calls is how many there have been, most how many at once for one token.
	calls, most int
	underway    map[string]int
}

func (s *service) will(replies ...reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replies = replies
}

// asked returns how many calls there have been since it was called last.
func (s *service) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.calls
	s.calls = 0
	return n
}

func (s *service) begin(token string) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.underway == nil {
		s.underway = make(map[string]int)
	}
	s.calls++
	s.underway[token]++
	s.most = max(s.most, s.underway[token])
	next := s.replies[0]
	if len(s.replies) > 1 {
		s.replies = s.replies[1:]
	}
	return next
}

func (s *service) end(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.underway[token]--
}

func (s *service) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, token := r.Context(), r.URL.Query().Get("access_token")
	next := s.begin(token)
	defer s.end(token)
	trace := httptrace.ContextClientTrace(ctx)
	trace.GetConn("bws.example:443")
	if !next.unconnected {
		trace.GotConn(httptrace.GotConnInfo{Reused: next.reused})
	}
	if err := sleep(ctx, next.after); err != nil {
		return nil, err
	}
	if next.panics != nil {
		panic(next.panics)
	}
	if next.err != nil {
		return nil, next.err
	}
	return &http.Response{
		StatusCode: next.status,
		Header:     http.Header{"Content-Type": {"application/json"}},
		Body:       io.NopCloser(io.MultiReader(strings.NewReader(next.body), end{ctx, next})),
	}, nil
}

// end is how a body ends.
type end struct {
	ctx context.Context
	reply
}

func (e end) Read([]byte) (int, error) {
	switch {
	case e.endless:
		return 0, sleep(e.ctx, time.Hour)
	case e.cut:
		return 0, io.ErrUnexpectedEOF
	}
	return 0, io.EOF
}

func sleep(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// subject is a verifier with the service it asks and the log it writes.
type subject struct {
	*Verifier
	service *service
	logger  *zap.Logger
	logs    *observer.ObservedLogs
	claims  bws.UnverifiedClaims
}

// newSubject returns a verifier as it is configured by default, but for what is edited. In a bubble its time is the bubble's.
func newSubject(t testing.TB, edits ...func(*Config)) *subject {
	t.Helper()
	s := &subject{service: &service{replies: []reply{succeeded}}}
	config := Config{
		Timeout: 5 * time.Second, SuccessTTL: 10 * time.Second, FailureTTL: time.Second, Size: 1000, MaxInflight: 64,
		ClientCalls: 1000, ClientPer: time.Minute, Now: time.Now,
	}
	for _, edit := range edits {
		edit(&config)
	}
	var err error
	config.Client, err = bws.NewClient(bws.Config{
		AppID: "app", AppSecret: secret, Transport: s.service,
		Timeout: 10 * config.Timeout, // so that no deadline but the verifier's own ends a call
	})
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zapcore.DebugLevel)
	s.Verifier, s.logger, s.logs = New(config), zap.New(core), logs
	t.Cleanup(s.Close)
	now := time.Now().UTC().Round(0)
	s.claims = bws.UnverifiedClaims{Task: bws.TaskVerify | bws.TaskLiveDetect, NotBefore: now, Expires: now.Add(10 * time.Minute)}
	return s
}

func (s *subject) question(from netip.Addr, token string) *Question {
	return &Question{Token: token, Key: KeyOf(token), Claims: &s.claims, Client: from, Logger: s.logger}
}

func (s *subject) ask(token string) *evidence.Evidence { return s.askFrom(client, token) }

func (s *subject) askFrom(from netip.Addr, token string) *evidence.Evidence {
	return s.Verify(context.Background(), s.question(from, token))
}

func (s *subject) recall(token string) *evidence.Evidence { return s.Recall(KeyOf(token)) }

// herd asks n times at once, and returns how often which outcome came of it.
func herd(n int, ask func(i int) *evidence.Evidence) map[evidence.Outcome]int {
	var mu sync.Mutex
	outcomes := make(map[evidence.Outcome]int)
	var requests sync.WaitGroup
	for i := range n {
		requests.Go(func() {
			outcome := ask(i).Outcome
			mu.Lock()
			defer mu.Unlock()
			outcomes[outcome]++
		})
	}
	requests.Wait()
	return outcomes
}

func checkOutcome(t *testing.T, got *evidence.Evidence, want evidence.Outcome) {
	t.Helper()
	if got.Outcome != want {
		t.Errorf("got %+v, want outcome %d", *got, want)
	}
}

func (s *subject) checkAsked(t *testing.T, want int) {
	t.Helper()
	if got := s.service.asked(); got != want {
		t.Errorf("the service got %d calls, want %d", got, want)
	}
}

// checkTook checks how long ago something began.
func checkTook(t *testing.T, began time.Time, least, most time.Duration) {
	t.Helper()
	if took := time.Since(began); took < least || took > most {
		t.Errorf("it took %s, want %s", took, cmp.Or(least, most))
	}
}

// checkLog checks that the log has got one line of the level, or nothing, and nothing secret.
func (s *subject) checkLog(t *testing.T, level zapcore.Level) {
	t.Helper()
	lines := s.logs.TakeAll()
	if level == quiet {
		if len(lines) > 0 {
			t.Errorf("the log has %+v, want nothing", lines)
		}
		return
	}
	if len(lines) != 1 || lines[0].Level != level {
		t.Errorf("the log has %+v, want one line of level %s", lines, level)
	}
	encoder := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	for _, line := range lines {
		text, err := encoder.EncodeEntry(line.Entry, line.Context)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text.String(), token) || strings.Contains(text.String(), secret) {
			t.Errorf("the log says %s", text)
		}
	}
}
