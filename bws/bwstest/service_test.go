package bwstest_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// pngSample is the shortest upload that looks like an image: the signature of a PNG file.
const pngSample = "data:image/png;base64,iVBORw0KGgo="

var (
	alice = bws.BCID{Storage: "bws", Partition: 1, Class: 42}
	bob   = bws.BCID{Storage: "bws", Partition: 1, Class: -7}
	eve   = bws.BCID{Storage: "bws", Partition: 2, Class: 42}
	all   = bws.BCID{Storage: "bws", Partition: 1}
)

// clock is a clock that stands still unless a test moves it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Unix(1_700_000_000, 0)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// request is a call to the service in the form of the tables.
type request struct {
	method, path string // path below the base, with the query
	auth         string // app, bearer <token>, or the header itself
	header       http.Header
	body         string
}

func (q request) send(h http.Handler) *httptest.ResponseRecorder {
	r := httptest.NewRequest(q.method, bwstest.Base+q.path, strings.NewReader(q.body))
	maps.Copy(r.Header, q.header)
	switch q.auth {
	case "":
	case "app":
		r.SetBasicAuth(bwstest.AppID, bwstest.AppSecret)
	default:
		r.Header.Set("Authorization", q.auth)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func get(path, auth string) request { return request{method: http.MethodGet, path: path, auth: auth} }

func upload(token string) request {
	return request{method: http.MethodPost, path: "/upload", auth: "Bearer " + token, body: pngSample}
}

// perform uploads a sample and calls the API of a task.
func perform(h http.Handler, path, token string) *httptest.ResponseRecorder {
	upload(token).send(h)
	return get(path, "Bearer "+token).send(h)
}

// last returns the status and body of /result.
func last(h http.Handler, token string) (int, string) {
	w := get("/result?access_token="+url.QueryEscape(token), "app").send(h)
	return w.Code, w.Body.String()
}

func message(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var body struct{ Message string }
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("the body of status %d is no error message: %q", w.Code, w.Body)
	}
	return body.Message
}

func TestStatuses(t *testing.T) {
	clock := newClock()
	s := bwstest.New(bwstest.Config{Now: clock.Now})
	s.Enroll(alice)

	fresh := func(task bws.Task) string { return s.Token(bwstest.TokenSpec{BCID: alice, Task: task}) }
	used := s.Token(bwstest.TokenSpec{BCID: alice, Task: bws.TaskVerify | 1})
	perform(s, "/verify", used)
	upload(used).send(s)
	done := fresh(0)
	s.Perform(done, bwstest.Outcome{Success: true})
	expired := s.Token(bwstest.TokenSpec{BCID: alice, NotBefore: clock.Now().Add(-time.Hour)})
	future := s.Token(bwstest.TokenSpec{BCID: alice, NotBefore: clock.Now().Add(time.Minute)})
	other := s.Mint(map[string]any{"app": "other", "task": 259, "bcid": "bws/1/42", "nbf": 0, "exp": 9_999_999_999})
	stranger := bwstest.New(bwstest.Config{Now: clock.Now}).Token(bwstest.TokenSpec{BCID: alice})
	basic := func(id, secret string) string {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.SetBasicAuth(id, secret)
		return r.Header.Get("Authorization")
	}

	token := "/token?id=" + bwstest.AppID
	post := func(auth, body string) request {
		return request{method: http.MethodPost, path: "/upload", auth: auth, body: body}
	}
	tests := []struct {
		name   string
		in     request
		status int
	}{
		{"token", get(token+"&bcid=bws/1/42", "app"), 200},
		{"token with dots", get(token+"&bcid=bws.1.42", "app"), 200},
		{"token with everything", get(token+"&bcid=bws/1/42&task=enroll&maxtries=15&livedetection=True&challenge=True"+
			"&challenges="+url.QueryEscape(`[["up","down"]]`)+"&autoenroll=False&traits=Face,Periocular,Voice", "app"), 200},
		{"token for a partition", get(token+"&bcid=bws/1/0&task=identify", "app"), 200},
		{"token for nobody", get(token+"&task=livenessdetection", "app"), 200},
		{"token without credentials", get(token+"&bcid=bws/1/42", ""), 401},
		{"token with a wrong secret", get(token+"&bcid=bws/1/42", basic(bwstest.AppID, "wrong")), 401},
		{"token with a wrong App-ID", get(token+"&bcid=bws/1/42", basic("wrong", bwstest.AppSecret)), 401},
		{"token with empty credentials", get(token+"&bcid=bws/1/42", basic("", "")), 401},
		{"token without id", get("/token?bcid=bws/1/42", "app"), 400},
		{"token of another id", get("/token?id=other&bcid=bws/1/42", "app"), 403},
		{"token without bcid", get(token, "app"), 400},
		{"token with a bad bcid", get(token+"&bcid=bws/1", "app"), 400},
		{"verify token for a partition", get(token+"&bcid=bws/1/0", "app"), 400},
		{"enroll token for a partition", get(token+"&bcid=bws/1/0&task=enroll", "app"), 400},
		{"token for an unknown task", get(token+"&bcid=bws/1/42&task=verification", "app"), 400},
		{"token for no tries", get(token+"&bcid=bws/1/42&maxtries=0", "app"), 400},
		{"token for 16 tries", get(token+"&bcid=bws/1/42&maxtries=16", "app"), 400},
		{"token with a bad boolean", get(token+"&bcid=bws/1/42&livedetection=1", "app"), 400},
		{"token with a bad boolean", get(token+"&bcid=bws/1/42&challenge=yes", "app"), 400},
		{"token with a bad boolean", get(token+"&bcid=bws/1/42&autoenroll=no", "app"), 400},
		{"token with bad challenges", get(token+"&bcid=bws/1/42&challenges=up", "app"), 400},
		{"token with a bad direction", get(token+"&bcid=bws/1/42&challenges="+url.QueryEscape(`[["north"]]`), "app"), 400},
		{"token with a bad trait", get(token+"&bcid=bws/1/42&traits=Iris", "app"), 400},
		{"token by POST", request{method: http.MethodPost, path: token + "&bcid=bws/1/42", auth: "app"}, 405},

		{"upload", upload(fresh(0)), 200},
		{"upload with the other scheme", post("JWT "+fresh(0), pngSample), 200},
		{"upload as a JSON string", post("Bearer "+fresh(0), `"`+pngSample+`"`), 200},
		{"upload without token", post("", pngSample), 401},
		{"upload with credentials", post("app", pngSample), 401},
		{"upload with rubbish", post("Bearer rubbish", pngSample), 401},
		{"upload with an expired token", post("Bearer "+expired, pngSample), 401},
		{"upload with a future token", post("Bearer "+future, pngSample), 401},
		{"upload with a stranger's token", post("Bearer "+stranger, pngSample), 401},
		{"upload of nothing", post("Bearer "+fresh(0), ""), 400},
		{"upload of a bare string", post("Bearer "+fresh(0), "iVBORw0KGgo="), 400},
		{"upload of a broken string", post("Bearer "+fresh(0), `"`+pngSample), 400},
		{"upload of bad base64", post("Bearer "+fresh(0), "data:image/png;base64,%%%%"), 400},
		{"upload without base64", post("Bearer "+fresh(0), "data:image/png,iVBORw0KGgo="), 400},
		{"upload of a text", post("Bearer "+fresh(0), "data:text/plain;base64,aGVsbG8="), 400},
		{"upload of a text that claims to be an image", post("Bearer "+fresh(0), "data:image/png;base64,aGVsbG8="), 400},
		{"upload of 10 MiB", post("Bearer "+fresh(0), pngSample+strings.Repeat("A", 10<<20)), 413},
		{"upload by GET", get("/upload", "Bearer "+fresh(0)), 405},

		{"verify without samples", get("/verify", "Bearer "+fresh(0)), 400},
		{"enroll without samples", get("/enroll", "Bearer "+fresh(bws.TaskEnroll|3)), 400},
		{"identify without samples", get("/identify", "Bearer "+fresh(bws.TaskIdentify|3)), 400},
		{"livenessdetection without samples", get("/livenessdetection", "Bearer "+fresh(bws.TaskLiveOnly|3)), 400},
		{"verify without token", get("/verify", ""), 401},
		{"verify with an expired token", get("/verify", "Bearer "+expired), 401},
		{"verify with a stranger's token", get("/verify", "Bearer "+stranger), 401},
		{"verify once more", get("/verify", "Bearer "+used), 403},
		{"verify with an enroll token", get("/verify", "Bearer "+fresh(bws.TaskEnroll|3)), 403},
		{"enroll with a verify token", get("/enroll", "Bearer "+fresh(0)), 403},
		{"identify with a verify token", get("/identify", "Bearer "+fresh(0)), 403},
		{"livenessdetection with a verify token", get("/livenessdetection", "Bearer "+fresh(0)), 403},
		{"verify by POST", request{method: http.MethodPost, path: "/verify", auth: "Bearer " + fresh(0)}, 405},

		{"result", get("/result?access_token="+done, "app"), 200},
		{"result before the operation", get("/result?access_token="+fresh(0), "app"), 204},
		{"result without token", get("/result", "app"), 400},
		{"result of rubbish", get("/result?access_token=rubbish", "app"), 400},
		{"result of an expired token", get("/result?access_token="+expired, "app"), 400},
		{"result of a stranger's token", get("/result?access_token="+stranger, "app"), 400},
		{"result of another application", get("/result?access_token="+other, "app"), 400},
		{"result without credentials", get("/result?access_token="+done, ""), 401},
		{"result with a wrong secret", get("/result?access_token="+done, basic(bwstest.AppID, "wrong")), 401},
		{"result with the token as credentials", get("/result?access_token="+done, "Bearer "+done), 401},
		{"result by HEAD", request{method: http.MethodHead, path: "/result?access_token=" + done, auth: "app"}, 405},

		{"status", get("/status", "app"), 200},
		{"status without credentials", get("/status", ""), 401},
		{"status with a wrong secret", get("/status", basic(bwstest.AppID, "wrong")), 401},
		{"status with a wrong App-ID", get("/status", basic("wrong", bwstest.AppSecret)), 403},

		{"enrolled", get("/isenrolled?bcid=bws/1/42&trait=FACE", "app"), 200},
		{"not enrolled", get("/isenrolled?bcid=bws/1/43", "app"), 404},
		{"enrolled without bcid", get("/isenrolled", "app"), 400},
		{"enrolled without credentials", get("/isenrolled?bcid=bws/1/42", ""), 401},
		{"delete of nobody", request{method: http.MethodDelete, path: "/deleteclass?bcid=bws/1/43", auth: "app"}, 200},
		{"delete without bcid", request{method: http.MethodDelete, path: "/deleteclass", auth: "app"}, 400},
		{"delete without credentials", request{method: http.MethodDelete, path: "/deleteclass?bcid=bws/1/42"}, 401},
		{"delete by GET", get("/deleteclass?bcid=bws/1/42", "app"), 405},

		{"unknown path", get("/nothing", "app"), 404},
		{"no path", get("", "app"), 404},
		{"double slash", get("//result", "app"), 404},
	}
	noBody := []string{"/isenrolled", "/deleteclass"}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := tt.in.send(s)
			if w.Code != tt.status {
				t.Fatalf("%s %s: status %d, want %d; body %q", tt.in.method, tt.in.path, w.Code, tt.status, w.Body)
			}
			path, _, _ := strings.Cut(tt.in.path, "?")
			switch {
			case w.Code == 204 || w.Code == 404 && slices.Contains(noBody, path) || w.Code == 200 && slices.Contains(noBody, path):
				if w.Body.Len() > 0 {
					t.Errorf("status %d has a body: %q", w.Code, w.Body)
				}
			case w.Code >= 400 && message(t, w) == "":
				t.Errorf("status %d has an empty message", w.Code)
			}
			challenge := w.Header().Get("WWW-Authenticate")
			if (w.Code == 401) != (challenge != "") {
				t.Errorf("status %d with the challenge %q", w.Code, challenge)
			}
			if w.Code == 405 && w.Header().Get("Allow") == "" {
				t.Error("status 405 does not say what is allowed")
			}
		})
	}
}

func TestAnyPrefix(t *testing.T) {
	s := bwstest.New(bwstest.Config{})
	r := httptest.NewRequest(http.MethodGet, "/some/where/extension/status", nil)
	r.SetBasicAuth(bwstest.AppID, bwstest.AppSecret)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Errorf("status %d below a prefix, want 200", w.Code)
	}
}

func TestTokenEndsWhileInUse(t *testing.T) {
	clock := newClock()
	s := bwstest.New(bwstest.Config{Now: clock.Now})
	token := s.Token(bwstest.TokenSpec{BCID: alice})
	s.Perform(token, bwstest.Outcome{Success: true})

	clock.Advance(bwstest.DefaultLifetime - time.Second)
	if status, _ := last(s, token); status != 200 {
		t.Errorf("status %d in the last second of the token, want 200", status)
	}
	clock.Advance(time.Second)
	if status, _ := last(s, token); status != 400 {
		t.Errorf("status %d after the end of the token, want 400", status)
	}
}

func TestOtherOrigins(t *testing.T) {
	s := bwstest.New(bwstest.Config{})
	for _, path := range []string{"/upload", "/verify", "/identify", "/enroll", "/livenessdetection"} {
		preflight := request{method: http.MethodOptions, path: path, header: http.Header{
			"Origin": {"https://www.bioid.com"}, "Access-Control-Request-Method": {"POST"},
		}}
		w := preflight.send(s)
		if w.Code != http.StatusNoContent || w.Header().Get("Access-Control-Allow-Origin") != "*" ||
			!strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), "Authorization, Content-Type") ||
			w.Header().Get("Access-Control-Allow-Methods") == "" {
			t.Errorf("%s: the preflight got status %d with %v", path, w.Code, w.Header())
		}
		if n := s.Calls(path); n != 0 {
			t.Errorf("%s: the preflight counted as a call", path)
		}
		w = get(path, "").send(s)
		if w.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: a page of another origin cannot read status %d", path, w.Code)
		}
	}
	for _, path := range []string{"/token", "/result", "/status", "/emulator/outcome"} {
		w := request{method: http.MethodOptions, path: path, header: http.Header{"Origin": {"https://a.example"}}}.send(s)
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: open to pages of other origins", path)
		}
	}
}
