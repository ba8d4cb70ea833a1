package bwstest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/browsertest"
)

// site is a service, its camera page, and the application that a browser returns to.
type site struct {
	*bwstest.Service
	url string // of the service
	app string // where to return to

	mu       sync.Mutex
	uploads  []sample
	returned chan string
}

// sample is an upload.
type sample struct {
	query             url.Values
	contentType, body string
}

// tags are what samples claim to show.
func tags(samples []sample) string {
	var tags []string
	for _, s := range samples {
		tags = append(tags, s.query.Get("tag"))
	}
	return strings.Join(tags, " ")
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{Service: bwstest.New(bwstest.Config{}), returned: make(chan string, 1)}
	s.Enroll(alice)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/upload") {
			body, _ := io.ReadAll(r.Body)
			s.mu.Lock()
			s.uploads = append(s.uploads, sample{r.URL.Query(), r.Header.Get("Content-Type"), string(body)})
			s.mu.Unlock()
			r.Body = io.NopCloser(strings.NewReader(string(body)))
		}
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(service.Close)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/account" {
			http.NotFound(w, r)
			return
		}
		if r.Referer() != "" {
			t.Errorf("the browser says where it comes from: %s", r.Referer())
		}
		_, _ = io.WriteString(w, "<title>back</title>")
		select {
		case s.returned <- r.URL.RawQuery:
		default:
		}
	}))
	t.Cleanup(app.Close)
	s.url, s.app = service.URL, app.URL+"/account"
	return s
}

// sent returns what has been uploaded, and forgets it.
func (s *site) sent() []sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	sent := s.uploads
	s.uploads = nil
	return sent
}

// token returns one for alice.
func (s *site) token(task bws.Task) string {
	return s.Token(bwstest.TokenSpec{BCID: alice, Task: task})
}

// link is where an application sends a browser that holds the token.
func (s *site) link(path, token string) string {
	return s.url + path + "?" + url.Values{"access_token": {token}, "return_url": {s.app}, "state": {"s-1_2"}}.Encode()
}

// tab is a page in a browser that is to return to the application.
type tab struct {
	*browsertest.Tab
	t    *testing.T
	site *site
}

func (s *site) open(t *testing.T, browser *browsertest.Browser, url string, before ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	return &tab{browser.Open(t, url, before...), t, s}
}

// comesBack waits for the browser at the application and compares the query that it brings.
func (p *tab) comesBack(want string) {
	p.t.Helper()
	select {
	case got := <-p.site.returned:
		if got != want {
			p.t.Errorf("came back with\n%s, want\n%s", got, want)
		}
	case <-time.After(browsertest.Patience):
		p.t.Fatal("the browser did not come back")
	}
}
