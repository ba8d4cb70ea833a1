package bws

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const (
	testAppID     = "1001513735.bws.bioid.com"
	testAppSecret = "s3cret-of-the-app"
	// serverBytes is put into wrong answers, to be looked for in errors.
	serverBytes = "BYTES-OF-THE-SERVER"
	// brief is the timeout of clients that are meant to run into it.
	brief = 100 * time.Millisecond
)

var testToken = makeToken(testHeader, testPayload)

// newTestClient returns a client for endpoint with a connection pool of its own.
func newTestClient(t *testing.T, endpoint string, timeout time.Duration) *Client {
	t.Helper()
	return newClientWith(t, Config{Endpoint: endpoint, Timeout: timeout, Transport: NewTransport(TransportConfig{})})
}

func newClientWith(t *testing.T, cfg Config) *Client {
	t.Helper()
	cfg.AppID, cfg.AppSecret = testAppID, testAppSecret
	c, err := NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// wantError checks that err is an *Error of the kind, and that its text tells nothing secret. It returns the error.
func wantError(t *testing.T, err, kind error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, kind) {
		t.Fatalf("got error %v, want one of kind %q", err, kind)
	}
	text := err.Error()
	if testing.Verbose() {
		t.Log(text)
	}
	secrets := []string{testToken, testToken[:20], testAppSecret, "Basic", "access_token", "?", serverBytes, "\n", "\r"}
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("the error shows %q: %s", secret, text)
		}
	}
	return e
}

// answer returns a handler that gives one answer.
func answer(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestResult(t *testing.T) {
	for _, contentType := range []string{
		"application/json", "text/json", "Application/JSON", "application/json; charset=utf-8", `text/json;charset="UTF-8"`,
		"application/json; q=1",
	} {
		t.Run(contentType, func(t *testing.T) {
			server := httptest.NewServer(answer(200, contentType, identified))
			defer server.Close()
			got, err := newTestClient(t, server.URL, 0).Result(t.Context(), testToken)
			if err != nil || got.Action != Identification || !got.Success || len(got.Matches) != 2 {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestResultRequest(t *testing.T) {
	good := testToken
	for name, token := range map[string]string{
		"a real token":                       good,
		"case 38: ampersand":                 good + "&x=1",
		"case 38: second access_token":       good + "&access_token=other",
		"case 38: fragment":                  good + "#x",
		"case 38: NUL, percent-encoded":      good + "%00",
		"case 38: NUL":                       good + "\x00",
		"case 38: line break and a header":   good + "\r\nX-Admin: 1",
		"case 38: semicolon, plus and space": good + ";a=b+c d",
		"case 38: path":                      "../../" + good,
		"case 38: not UTF-8":                 good + "\xff",
		"case 38: one byte":                  "x",
	} {
		t.Run(name, func(t *testing.T) {
			var got *http.Request
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got = r
				answer(200, "application/json", identified)(w, r)
			}))
			defer server.Close()
			if _, err := newTestClient(t, server.URL+"/extension/", 0).Result(t.Context(), token); err != nil {
				t.Fatal(err)
			}
			if got.Method != http.MethodGet || got.URL.Path != "/extension/result" || got.ContentLength != 0 {
				t.Errorf("got %s %s with %d bytes", got.Method, got.URL.Path, got.ContentLength)
			}
			query := got.URL.Query()
			if values := query["access_token"]; len(query) != 1 || len(values) != 1 || values[0] != token {
				t.Errorf("got parameters %q, want access_token %q alone", query, token)
			}
			// Case 97: credentials once, and nowhere but in their header.
			id, secret, ok := got.BasicAuth()
			if len(got.Header["Authorization"]) != 1 || !ok || id != testAppID || secret != testAppSecret {
				t.Errorf("got credentials %q", got.Header["Authorization"])
			}
			if strings.Contains(got.RequestURI, testAppSecret) || strings.Contains(got.RequestURI, testAppID) {
				t.Errorf("the URL shows the credentials: %s", got.RequestURI)
			}
			want := map[string]string{
				"Accept": "application/json", "User-Agent": "caddy-bws", "Referer": "", "Accept-Encoding": "", "Cookie": "",
			}
			for name, value := range want {
				if got.Header.Get(name) != value {
					t.Errorf("got header %s %q, want %q", name, got.Header.Get(name), value)
				}
			}
		})
	}
}

func TestResultOfEmptyTokenAsksNobody(t *testing.T) {
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	defer server.Close()
	_, err := newTestClient(t, server.URL, 0).Result(t.Context(), "")
	if e := wantError(t, err, ErrTokenRejected); e.Status != 0 || e.API != "result" {
		t.Errorf("got %+v", e)
	}
	if calls.Load() != 0 {
		t.Error("the service was asked")
	}
}

func TestNewClient(t *testing.T) {
	c, err := NewClient(Config{AppID: "id", AppSecret: "secret: with ünicode"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Endpoint() != DefaultEndpoint || c.AppID() != "id" || c.timeout != DefaultTimeout || c.transport == nil {
		t.Errorf("got %s, %s, %v, %v", c.Endpoint(), c.AppID(), c.timeout, c.transport)
	}
	c.CloseIdleConnections()
}

func TestNewClientRefuses(t *testing.T) {
	const secret = "hunter2-is-no-secret"
	for name, test := range map[string]struct {
		cfg   Config
		field string
	}{
		"no app id":                        {Config{AppSecret: secret}, "app_id:"},
		"case 97: app id with a colon":     {Config{AppID: "id:" + secret, AppSecret: secret}, "app_id:"},
		"app id with a line break":         {Config{AppID: "id\n", AppSecret: secret}, "app_id:"},
		"app id with DEL":                  {Config{AppID: "id\x7f", AppSecret: secret}, "app_id:"},
		"no app secret":                    {Config{AppID: "id"}, "app_secret:"},
		"case 104: secret and line break":  {Config{AppID: "id", AppSecret: secret + "\n"}, "app_secret:"},
		"app secret with NUL":              {Config{AppID: "id", AppSecret: secret + "\x00"}, "app_secret:"},
		"negative timeout":                 {Config{AppID: "id", AppSecret: secret, Timeout: -1}, "timeout:"},
		"case 90: http to another machine": {Config{Endpoint: "http://h/extension", AppID: "id", AppSecret: secret}, "endpoint:"},
		"credentials in the endpoint":      {Config{Endpoint: "https://u:" + secret + "@h/", AppID: "id", AppSecret: "x"}, "endpoint:"},
		"endpoint that does not parse":     {Config{Endpoint: "https://u:" + secret + "%@h", AppID: "id", AppSecret: "x"}, "endpoint:"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := NewClient(test.cfg)
			if err == nil || c != nil {
				t.Fatalf("got %v, %v", c, err)
			}
			if text := err.Error(); !strings.HasPrefix(text, test.field) || strings.Contains(text, secret) {
				t.Errorf("got %q, want it to begin with %q and not to show the secret", text, test.field)
			}
		})
	}
}
