package verifier

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

// step is one thing that happens. All of them follow each other, while calls and requests take their time.
type step struct {
	// pause is how much time passes before.
	pause time.Duration
	// setWall sets the wall clock.
	setWall time.Duration
	// answer is what the service will say from now on, about any token, and delay how long it takes from now on.
	answer string
	delay  time.Duration
	// asks is how many requests come at once, for which token, and patience how long they wait.
	asks     int
	token    int
	patience time.Duration
}

const (
	saysSuccess  = "success"
	saysFailure  = "failure"
	saysRejected = "rejected"
	saysPending  = "pending"
	saysOutage   = "outage"
	saysNonsense = "nonsense"
	panics       = "panics"
)

var (
	answers  = []string{saysSuccess, saysFailure, saysRejected, saysPending, saysOutage, saysNonsense, panics}
	pauses   = []time.Duration{0, 1, time.Millisecond, 500 * time.Millisecond, time.Second - 1, time.Second, 3 * time.Second, 10 * time.Second, time.Minute}
	settings = []time.Duration{0, 0, 0, 0, -time.Hour, -time.Minute, -time.Second, time.Second, time.Minute}
	delays   = []time.Duration{0, 1, 20 * time.Millisecond, 700 * time.Millisecond, 4 * time.Second, time.Hour}
	ttls     = []time.Duration{0, time.Second, 10 * time.Second}
	lives    = []time.Duration{-time.Second, 0, 5 * time.Second, time.Minute, time.Hour}
)

func drawSteps(t *rapid.T) []step {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			pause:    rapid.SampledFrom(pauses).Draw(t, "pause"),
			setWall:  rapid.SampledFrom(settings).Draw(t, "set wall"),
			answer:   rapid.SampledFrom(answers).Draw(t, "answer"),
			delay:    rapid.SampledFrom(delays).Draw(t, "delay"),
			asks:     rapid.IntRange(0, 3).Draw(t, "asks"),
			token:    rapid.IntRange(0, 1).Draw(t, "token"),
			patience: rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, time.Hour}).Draw(t, "patience"),
		}
	}), 1, 30).Draw(t, "steps")
}

// exchange is a call as the service saw it. All times of the model count from its start.
type exchange struct {
	number     int
	token      string
	begun, end time.Duration
	ended      bool
	answer     string
	// lived is how long the token still lived when the answer came, by the wall clock of then.
	lived time.Duration
}

// visit is a request as its sender saw it.
type visit struct {
	token      string
	came, left time.Duration
	patience   time.Duration
	got        evidence.Evidence
}

// world is a service and its visitors. It writes down what happens, and judges it afterwards.
type world struct {
	*machine
	successTTL, failureTTL time.Duration
	expires                time.Time

	mu        sync.Mutex
	answer    string
	delay     time.Duration
	exchanges []*exchange
	visits    []visit
}

func (w *world) clock() time.Duration { return time.Since(w.bubble) }

func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	x := &exchange{number: len(w.exchanges) + 1, token: r.URL.Query().Get("access_token"), begun: w.clock(), answer: w.answer}
	w.exchanges = append(w.exchanges, x)
	delay := w.delay
	w.mu.Unlock()
	if sleep(r.Context(), delay) != nil {
		x.answer = "" // too late
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	x.ended, x.end, x.lived = true, w.clock(), w.expires.Sub(w.now().Round(0))
	status, body := 0, fmt.Sprintf(`{"Action":"verification","BCID":"bioid/1/%d","Success":%t}`, x.number, x.answer == saysSuccess)
	switch x.answer {
	case "":
		return nil, r.Context().Err()
	case panics:
		panic("as told")
	case saysSuccess, saysFailure:
		status = http.StatusOK
	case saysRejected:
		status = http.StatusBadRequest
	case saysPending:
		status = http.StatusNoContent
	case saysOutage:
		return nil, errors.New("reset")
	case saysNonsense:
		status, body = http.StatusOK, "<html>"
	}
	return &http.Response{
		StatusCode: status,
		Header:     http.Header{"Content-Type": {"application/json"}},
		Body:       io.NopCloser(strings.NewReader(body)),
	}, nil
}

// run lets the steps happen to a verifier.
func (w *world) run(t *testing.T, steps []step) {
	w.start()
	s := newSubject(t, func(c *Config) { c.SuccessTTL, c.FailureTTL, c.Now = w.successTTL, w.failureTTL, w.now })
	client, err := bws.NewClient(bws.Config{AppID: "app", AppSecret: secret, Transport: w, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	s.Client, s.claims.Expires = client, w.expires
	for _, step := range steps {
		time.Sleep(step.pause)
		synctest.Wait() // or it would be anybody's guess which time an answer of this moment met
		w.setWall(step.setWall)
		w.mu.Lock()
		w.answer, w.delay = step.answer, step.delay
		w.mu.Unlock()
		for range step.asks {
			go w.visit(s, fmt.Sprint("token ", step.token), step.patience)
		}
	}
	time.Sleep(time.Minute) // until all is over
}

func (w *world) visit(s *subject, token string, patience time.Duration) {
	v := visit{token: token, came: w.clock(), patience: patience}
	if e := s.recall(token); e != nil {
		v.got = *e
	} else {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		v.got = *s.Verify(ctx, s.question(client, token))
	}
	v.left = w.clock()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.visits = append(w.visits, v)
}

// judge returns what has happened that must not.
func (w *world) judge() error {
	for i, x := range w.exchanges {
		for _, y := range w.exchanges[:i] {
			if x.token == y.token && y.begun <= x.begun && x.begun < y.end {
				return fmt.Errorf("calls %d and %d are about one token at once", y.number, x.number)
			}
		}
		if x.end-x.begun > 5*time.Second {
			return fmt.Errorf("call %d took longer than it may", x.number)
		}
	}
	for _, v := range w.visits {
		if err := w.judgeVisit(v); err != nil {
			return fmt.Errorf("%w: %+v", err, v)
		}
	}
	return nil
}

func (w *world) judgeVisit(v visit) error {
	if v.left-v.came > min(v.patience, 5*time.Second) {
		return errors.New("waited too long")
	}
	// What may be reused must be, unless a newer answer came in that very moment.
	last, sure := w.lastAnswer(v.token, v.came)
	reusable := last != nil && v.came-last.end < w.life(last)
	if reusable && sure && (v.got.Source != evidence.FromCache || v.left != v.came) {
		return fmt.Errorf("call %d would have done", last.number)
	}
	var said string
	switch v.got.Outcome {
	case evidence.Answered:
		if said = saysFailure; v.got.Success {
			said = saysSuccess
		}
	case evidence.Rejected:
		said = saysRejected
	case evidence.Pending:
		said = saysPending
	default:
		if v.got.Success || !v.got.BCID.IsZero() || v.got.Source != evidence.FromService {
			return errors.New("a result out of nowhere")
		}
		return nil
	}
	newest, _ := w.lastAnswer(v.token, v.left)
	for _, x := range w.exchanges {
		if x.token != v.token || x.answer != said || !x.ended || v.got.Outcome == evidence.Answered && int(v.got.BCID.Class) != x.number {
			continue
		}
		if v.got.Source == evidence.FromService && v.came <= x.end && x.end <= v.left {
			return nil
		}
		if v.got.Source == evidence.FromCache && v.left-x.end < w.life(x) && (newest == nil || x.end >= newest.end) {
			return nil
		}
	}
	return errors.New("no call permits this")
}

// lastAnswer is the last answer about a token before a moment, and whether there is none in that moment itself.
func (w *world) lastAnswer(token string, moment time.Duration) (last *exchange, sure bool) {
	sure = true
	for _, x := range slices.SortedFunc(slices.Values(w.exchanges), func(a, b *exchange) int { return cmp.Compare(a.end, b.end) }) {
		if !x.ended || x.token != token || !slices.Contains([]string{saysSuccess, saysFailure, saysRejected, saysPending}, x.answer) {
			continue
		}
		if x.end == moment {
			sure = false
		}
		if x.end < moment {
			last = x
		}
	}
	return last, sure
}

// life is how long the answer of a call may be reused.
func (w *world) life(x *exchange) time.Duration {
	return min(x.lived, map[string]time.Duration{saysSuccess: w.successTTL, saysFailure: w.failureTTL, saysRejected: w.failureTTL}[x.answer])
}

// Whatever the service says, whoever asks, and however time goes: no request gets evidence that is older than it may be, or
// that a newer answer has replaced. No token is asked about twice at once, and not while its last answer may be reused. That
// an operation is pending is never remembered.
func TestNoEvidenceBeyondItsTime(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{
			machine:    newMachine(),
			successTTL: rapid.SampledFrom(ttls).Draw(rt, "success ttl"),
			failureTTL: rapid.SampledFrom(ttls).Draw(rt, "failure ttl"),
		}
		w.expires = w.boot.Add(rapid.SampledFrom(lives).Draw(rt, "lives")).UTC().Round(0)
		steps := drawSteps(rt)
		synctest.Test(t, func(t *testing.T) { w.run(t, steps) })
		if err := w.judge(); err != nil {
			for _, x := range w.exchanges {
				rt.Logf("call %+v", *x)
			}
			rt.Fatal(err)
		}
	})
}
