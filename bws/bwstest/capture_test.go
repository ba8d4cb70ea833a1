package bwstest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// load asks h for the camera page.
func load(h http.Handler, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, http.NoBody))
	return w
}

// between returns what stands between two texts.
func between(t *testing.T, s, before, after string) string {
	t.Helper()
	_, s, found := strings.Cut(s, before)
	s, _, ended := strings.Cut(s, after)
	if !found || !ended {
		t.Fatalf("nothing between %q and %q", before, after)
	}
	return s
}

func TestCapturePage(t *testing.T) {
	s := bwstest.New(bwstest.Config{})
	want := load(s, http.MethodGet, bwstest.PerformTask)
	const attack = `"><script>alert(1)</script>`
	for _, tt := range []struct {
		name, method, target string
		status               int
	}{
		{"older path", "GET", "/bws/performtask", 200},
		{"newer path", "GET", "/bws/uui", 200},
		{"below a prefix", "GET", "/some/where/bws/uui", 200},
		{"parameters", "GET", "/bws/performtask?access_token=a.b.c&return_url=https%3A%2F%2Fa.example%2F&state=s", 200},
		{"attacks", "GET", "/bws/uui?access_token=" + url.QueryEscape(attack) + "&state=" + url.QueryEscape(attack) + "&" + url.QueryEscape(attack), 200},
		{"a query that is none", "GET", "/bws/uui?%zz;&&=", 200},
		{"the header alone", "HEAD", "/bws/performtask", 200},
		{"a form", "POST", "/bws/performtask", 405},
		{"a preflight", "OPTIONS", "/bws/uui", 405},
		{"below the page", "GET", "/bws/performtask/", 404},
		{"no page", "GET", "/bws/", 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := load(s, tt.method, tt.target)
			if w.Code != tt.status {
				t.Fatalf("status %d, want %d", w.Code, tt.status)
			}
			if w.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Error("pages of other origins can read it")
			}
			switch {
			case tt.status == 405:
				if w.Header().Get("Allow") != "GET, HEAD" || message(t, w) == "" {
					t.Errorf("got %v", w.Header())
				}
			case tt.method == "HEAD":
				if w.Body.Len() != 0 || w.Header().Get("Content-Length") != strconv.Itoa(want.Body.Len()) {
					t.Errorf("%d bytes, announced as %s", w.Body.Len(), w.Header().Get("Content-Length"))
				}
			case tt.status == 200 && w.Body.String() != want.Body.String():
				t.Error("it depends on the request")
			}
		})
	}
}

func TestCapturePageSecurity(t *testing.T) {
	for name, tt := range map[string]struct {
		page    http.Handler
		connect string
	}{
		"emulated": {bwstest.New(bwstest.Config{}), "'self'"},
		"real":     {bwstest.CapturePage("https://bws.bioid.com/extension"), "https://bws.bioid.com"},
	} {
		t.Run(name, func(t *testing.T) {
			w := load(tt.page, http.MethodGet, bwstest.PerformTask)
			body := w.Body.String()
			if len(body) > 20_000 {
				t.Errorf("the page has %d bytes", len(body))
			}
			hash := func(element string) string {
				sum := sha256.Sum256([]byte(between(t, body, "<"+element+">", "</"+element+">")))
				return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
			}
			policy := "default-src 'none'; script-src " + hash("script") + "; style-src " + hash("style") + "; connect-src " + tt.connect +
				"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
			for name, want := range map[string]string{
				"Content-Security-Policy": policy,
				"Content-Type":            "text/html; charset=utf-8",
				"Permissions-Policy":      "camera=(self)",
				"Cache-Control":           "no-store",
				"Referrer-Policy":         "no-referrer",
				"X-Content-Type-Options":  "nosniff",
			} {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			markup := strings.ToLower(strings.Replace(body, between(t, body, "<script>", "</script>"), "", 1))
			for _, foreign := range []string{"<link", "<img", "<form", " style=", " src=", " href=", "url(", "@import", " onload", " onclick"} {
				if strings.Contains(markup, foreign) {
					t.Errorf("the page contains %q", foreign)
				}
			}
			if strings.Contains(body, `<button id="recognized"`) != (name == "emulated") {
				t.Error("buttons to choose the outcome belong to the emulator alone")
			}
		})
	}
}

func TestCapturePageEndpoint(t *testing.T) {
	body := load(bwstest.CapturePage(`https://a.example/"><b>`), http.MethodGet, "/").Body.String()
	if strings.Contains(body, "<b>") || !strings.Contains(body, `data-endpoint="https://a.example/&#34;&gt;&lt;b&gt;"`) {
		t.Error("the endpoint is not escaped")
	}
	for _, endpoint := range []string{"", "/extension", "bws.bioid.com", "https:///extension", "https://a b/"} {
		t.Run(endpoint, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it is accepted")
				}
			}()
			bwstest.CapturePage(endpoint)
		})
	}
}
