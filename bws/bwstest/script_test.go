package bwstest_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

func TestScript(t *testing.T) {
	s := bwstest.New(bwstest.Config{})
	s.ScriptAlways("/status", bwstest.Answer{Status: 503})
	s.Script("/status", bwstest.Answer{Body: []byte(`{}`)}, bwstest.Answer{
		Status: 302, Header: http.Header{"Location": {"http://a.example/"}, "Content-Type": nil},
	})
	status := get("/status", "app")

	w := status.send(s)
	if w.Code != 200 || w.Body.String() != `{}` || !strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		t.Errorf("the first answer is %d %v %q", w.Code, w.Header(), w.Body)
	}
	w = status.send(s)
	if w.Code != 302 || w.Header().Get("Location") != "http://a.example/" || w.Header().Get("Content-Type") != "" {
		t.Errorf("the second answer is %d %v %q", w.Code, w.Header(), w.Body)
	}
	for i := range 2 {
		if w = status.send(s); w.Code != 503 {
			t.Errorf("answer %d after the script is %d, want 503", i, w.Code)
		}
	}
	if w := get("/result", "app").send(s); w.Code != 400 {
		t.Errorf("another path answers %d, want 400", w.Code)
	}
	if n := s.Calls("/status"); n != 4 {
		t.Errorf("%d calls, want 4", n)
	}

	s.NextFor(alice, bwstest.Outcome{Error: "Forgotten"})
	s.Enroll(alice)
	s.Reset()
	if n := s.Calls("/status"); n != 0 {
		t.Errorf("%d calls after the reset", n)
	}
	if w = status.send(s); w.Code != 200 {
		t.Errorf("status %d after the reset, want 200", w.Code)
	}
	if w = perform(s, "/verify", s.Token(bwstest.TokenSpec{BCID: alice})); w.Body.String() != `{"Success":true}` {
		t.Errorf("an operation ended with %s after the reset", w.Body)
	}
}

func TestScriptOfUnknownPathPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a misspelled path was accepted")
		}
	}()
	bwstest.New(bwstest.Config{}).Script("result")
}

func TestLastRequest(t *testing.T) {
	s := bwstest.New(bwstest.Config{})
	if last := s.LastRequest("/result"); last.Method != "" {
		t.Errorf("a request before the first: %+v", last)
	}
	get("/result?access_token=a%2Bb&x=1", "app").send(s)
	last := s.LastRequest("/result")
	if last.Method != http.MethodGet || last.RawQuery != "access_token=a%2Bb&x=1" || last.Query.Get("access_token") != "a+b" ||
		len(last.Header.Values("Authorization")) != 1 {
		t.Errorf("recorded %+v", last)
	}
}

// Faults that need a connection.
func TestBrokenAnswers(t *testing.T) {
	tests := []struct {
		name   string
		answer bwstest.Answer
		check  func(*testing.T, *http.Response, []byte, error)
	}{
		{
			"raw", bwstest.Answer{Raw: []byte("HTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\nok")},
			func(t *testing.T, r *http.Response, body []byte, err error) {
				if err != nil || r.Status != "200 Fine" || string(body) != "ok" {
					t.Errorf("got %v with %q, %v", r, body, err)
				}
			},
		},
		{
			"raw, byte by byte", bwstest.Answer{Raw: []byte("HTTP/1.1 200 OK\r\n\r\nok"), Drip: time.Microsecond},
			func(t *testing.T, _ *http.Response, body []byte, err error) {
				if err != nil || string(body) != "ok" {
					t.Errorf("got %q, %v", body, err)
				}
			},
		},
		{
			"closed without an answer", bwstest.Answer{Raw: []byte{}},
			func(t *testing.T, _ *http.Response, _ []byte, err error) {
				if !errors.Is(err, io.EOF) {
					t.Errorf("got %v, want the end of the connection", err)
				}
			},
		},
		{
			"truncated", bwstest.Answer{Raw: []byte("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")},
			func(t *testing.T, _ *http.Response, _ []byte, err error) {
				if !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("got %v, want an early end", err)
				}
			},
		},
		{
			"byte by byte", bwstest.Answer{Body: []byte("slow"), Drip: time.Microsecond, Delay: time.Microsecond},
			func(t *testing.T, r *http.Response, body []byte, err error) {
				if err != nil || string(body) != "slow" || r.ContentLength != -1 {
					t.Errorf("got %q, %v in one piece", body, err)
				}
			},
		},
	}
	s := bwstest.NewServer(t, bwstest.Config{})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.Script("/status", tt.answer)
			response, err := client.Get(s.URL + "/status")
			if err != nil {
				tt.check(t, nil, nil, err)
				return
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			tt.check(t, response, body, err)
		})
	}
}

// endless are answers that take longer than any test waits.
var endless = map[string]bwstest.Answer{
	"hang":  {Hang: true},
	"delay": {Delay: time.Hour},
	"drip":  {Body: []byte("slow"), Drip: time.Hour},
}

// What never answers ends as soon as the client gives up.
func TestClientGivesUp(t *testing.T) {
	for name, answer := range endless {
		t.Run(name, func(t *testing.T) {
			s := bwstest.New(bwstest.Config{})
			s.Script("/upload", answer)
			begun, ended := make(chan struct{}), make(chan struct{})
			base, stop := context.WithCancel(context.Background())
			defer stop()
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(begun)
				defer close(ended)
				s.ServeHTTP(w, r)
			}))
			server.Config.BaseContext = func(net.Listener) context.Context { return base }
			server.Start()
			defer server.Close()
			ctx, giveUp := context.WithCancel(t.Context())
			go func() {
				<-begun
				giveUp()
			}()
			if err := post(ctx, server.URL+bwstest.Base+"/upload"); err == nil {
				t.Error("the answer was complete")
			}
			select {
			case <-ended:
			case <-time.After(10 * time.Second):
				t.Error("the service still answers")
				stop()
			}
		})
	}
}

// An answer that was broken off must not look complete, even if the connection is still good.
func TestBrokenOffAnswer(t *testing.T) {
	for name, answer := range endless {
		t.Run(name, func(t *testing.T) {
			s := bwstest.New(bwstest.Config{})
			s.Script("/upload", answer)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx, cancel := context.WithCancel(r.Context())
				defer cancel()
				time.AfterFunc(10*time.Millisecond, cancel)
				s.ServeHTTP(w, r.WithContext(ctx))
			}))
			defer server.Close()
			if err := post(t.Context(), server.URL+bwstest.Base+"/upload"); err == nil {
				t.Error("the answer was complete")
			}
		})
	}
}

// What never answers does not keep the server from closing.
func TestServerCloses(t *testing.T) {
	answers := maps.Clone(endless)
	answers["raw"] = bwstest.Answer{Raw: []byte("slow"), Drip: time.Hour}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			s := bwstest.NewServer(t, bwstest.Config{})
			s.Script("/upload", answer)
			done := make(chan error)
			go func() { done <- post(t.Context(), s.URL+"/upload") }()
			for s.Calls("/upload") == 0 {
				time.Sleep(time.Millisecond)
			}
			s.Close()
			if err := <-done; err == nil {
				t.Error("the answer was complete")
			}
		})
	}
}

// post uploads a sample and reads the answer to its end.
func post(ctx context.Context, target string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(pngSample))
	if err != nil {
		return err
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

func TestRawNeedsAConnection(t *testing.T) {
	s := bwstest.New(bwstest.Config{})
	s.Script("/status", bwstest.Answer{Raw: []byte("HTTP/1.1 200 OK\r\n\r\n")})
	if w := get("/status", "app").send(s); w.Code != http.StatusInternalServerError {
		t.Errorf("status %d from a recorder, want 500", w.Code)
	}
}

func TestConcurrentUse(t *testing.T) {
	s := bwstest.New(bwstest.Config{})
	s.Enroll(alice)
	token := s.Token(bwstest.TokenSpec{BCID: alice, Task: 15})
	done := make(chan struct{})
	for i := range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			for range 10 {
				perform(s, "/verify", token)
				last(s, token)
				s.Perform(token, bwstest.Outcome{Success: i%2 == 0})
				s.NextFor(alice, bwstest.Outcome{Error: bws.NotEnoughSamples})
				s.Script("/status", bwstest.Answer{Status: 503})
				get("/status", "app").send(s)
				get("/token?id="+bwstest.AppID+"&bcid=bws/1/42", "app").send(s)
				s.LastRequest("/verify")
			}
		}()
	}
	for range 8 {
		<-done
	}
	if n := s.Calls("/verify"); n != 80 {
		t.Errorf("%d calls, want 80", n)
	}
}

var (
	_ http.Handler = (*bwstest.Server)(nil)
	_ bwstest.TB   = (testing.TB)(nil)
)
