package caddybws

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/internal/policy"
)

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

func TestPage(t *testing.T) {
	d := refusal{
		denial: denial{status: http.StatusUnauthorized, title: "Pending", text: "Wait.", retryAfter: time.Second}, reason: policy.Pending,
	}
	w := httptest.NewRecorder()
	if err := d.writePage(w, get()); err != nil {
		t.Fatal(err)
	}
	if w.Code != http.StatusUnauthorized || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("got %d, %s", w.Code, w.Header())
	}
	body := w.Body.String()
	for _, text := range []string{
		"<title>Pending</title>", "<h1>Pending</h1>", "<p>Wait.</p>", "<code>pending</code>", "Status 401", "Try again",
	} {
		if !strings.Contains(body, text) {
			t.Errorf("the page lacks %q", text)
		}
	}

	w = httptest.NewRecorder()
	if err := refusalFor("no_token").writePage(w, get()); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(w.Body.String(), "Try again") {
		t.Error("the page asks to try again what will not help")
	}
}

// The page's own style is the only thing that its policy lets a browser load.
func TestPageSecurity(t *testing.T) {
	w := httptest.NewRecorder()
	if err := refusalFor("no_token").writePage(w, get()); err != nil {
		t.Fatal(err)
	}
	style := between(t, w.Body.String(), "<style>", "</style>")
	if !strings.Contains(style, "prefers-color-scheme: dark") {
		t.Errorf("the style is %q", style)
	}
	sum := sha256.Sum256([]byte(style))
	directives := make(map[string]string)
	for directive := range strings.SplitSeq(w.Header().Get("Content-Security-Policy"), ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), " ")
		directives[name] = value
	}
	for name, want := range map[string]string{
		"default-src":     "'none'",
		"style-src":       "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'",
		"base-uri":        "'none'",
		"form-action":     "'none'",
		"frame-ancestors": "'none'",
	} {
		if directives[name] != want {
			t.Errorf("%s is %q, want %q", name, directives[name], want)
		}
	}
	for _, external := range []string{"<script", "<link", "<img", "style=", "src=", "url(", "http:", "https:", "@import", "onload"} {
		if strings.Contains(strings.ToLower(w.Body.String()), external) {
			t.Errorf("the page contains %q", external)
		}
	}
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestPageEscapes(t *testing.T) {
	const script = `<script>alert("1")</script>&'`
	told := refusal{denial: denial{status: http.StatusForbidden, title: script, text: script}, reason: script}
	w := httptest.NewRecorder()
	if err := told.writePage(w, get()); err != nil {
		t.Fatal(err)
	}
	body := w.Body.String()
	if strings.Contains(body, "<script") || strings.Contains(body, "&'") || !strings.Contains(body, "&lt;script&gt;") {
		t.Errorf("the page is %s", body)
	}
}

func TestProblem(t *testing.T) {
	w := httptest.NewRecorder()
	told := refusalFor("too_old")
	told.maxAge = 120
	if err := told.writeProblem(w, get()); err != nil {
		t.Fatal(err)
	}
	if w.Code != http.StatusUnauthorized || w.Header().Get("Content-Type") != "application/problem+json" ||
		w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("got %d, %s", w.Code, w.Header())
	}
	const want = `{"title":"Unauthorized","status":401,` +
		`"detail":"Your verification is too old. This page asks for a recent one. Please verify yourself again.",` +
		`"reason":"too_old","max_age":120}` + "\n"
	if got := w.Body.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for reason, status := range statuses {
		w := httptest.NewRecorder()
		if err := refusalFor(reason).writeProblem(w, get()); err != nil {
			t.Fatal(err)
		}
		var members map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &members); err != nil {
			t.Fatal(err)
		}
		if members["reason"] != string(reason) || members["status"] != float64(status) || members["title"] != http.StatusText(status) {
			t.Errorf("%s: got %v", reason, members)
		}
		if _, present := members["max_age"]; present {
			t.Errorf("%s: got %v, want no max_age", reason, members)
		}
	}
}

// An answer to HEAD has the header of the answer to GET and no body.
func TestAnswerToHead(t *testing.T) {
	for name, write := range map[string]func(http.ResponseWriter, *http.Request) error{
		"page": func(w http.ResponseWriter, r *http.Request) error {
			return refusalFor("pending").writePage(w, r)
		},
		"problem": func(w http.ResponseWriter, r *http.Request) error {
			return refusalFor("pending").writeProblem(w, r)
		},
	} {
		full, head := httptest.NewRecorder(), httptest.NewRecorder()
		r := get()
		if err := write(full, r); err != nil {
			t.Fatal(err)
		}
		r.Method = http.MethodHead
		if err := write(head, r); err != nil {
			t.Fatal(err)
		}
		length := full.Header().Get("Content-Length")
		if length != strconv.Itoa(full.Body.Len()) || head.Header().Get("Content-Length") != length || head.Body.Len() != 0 {
			t.Errorf("%s: announced %s, %s; sent %d, %d", name, length, head.Header().Get("Content-Length"), full.Body.Len(), head.Body.Len())
		}
	}
}
