package bwstest_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// The flags that give Chromium a camera with a moving picture and a person who allows its use, or one who allows nothing.
var (
	withCamera    = []string{"use-fake-device-for-media-stream", "use-fake-ui-for-media-stream"}
	withoutCamera = []string{"deny-permission-prompts"}
)

// patience is how long a page on a busy machine may take for what it does at once.
const patience = 2 * time.Minute

// newBrowser starts Debian's Chromium, which ends with the test.
func newBrowser(t *testing.T, flags []string) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("there is no chromium: install it, with Debian's `apt-get install chromium`")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.WSURLReadTimeout(patience))
	for _, flag := range flags {
		options = append(options, chromedp.Flag(flag, true))
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, quit := chromedp.NewContext(allocator)
	t.Cleanup(quit)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// site is a service, its capture page, and the application that a browser returns to.
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

// tab is a page in a browser.
type tab struct {
	t    *testing.T
	ctx  context.Context
	site *site
}

// open loads a page in a new tab. The test fails if the page does anything that its policy forbids or that it does not catch.
func (s *site) open(t *testing.T, browser context.Context, url string, before ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	ctx, done := chromedp.NewContext(browser, chromedp.WithListener(func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("exception: %v", e.ExceptionDetails)
		case *log.EventEntryAdded:
			if e.Entry.Source != log.EntrySourceNetwork {
				t.Errorf("%s: %s", e.Entry.Source, e.Entry.Text)
			}
		}
	}))
	t.Cleanup(done)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	t.Cleanup(cancel)
	p := &tab{t, ctx, s}
	p.do(append(before, chromedp.Navigate(url))...)
	return p
}

func (p *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *tab) click(id string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.ID(id), chromedp.NodeVisible))
}

// text returns the result of a script.
func (p *tab) text(script string) string {
	p.t.Helper()
	text, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](script))
	if err != nil {
		p.t.Fatalf("%s: %v", script, err)
	}
	return text
}

// says waits until the page's status contains text.
func (p *tab) says(text string) {
	p.t.Helper()
	p.until(`document.querySelector("[role=status]")?.textContent ?? ""`, text)
}

// until waits until the result of a script, which may fail while the page is being loaded, contains text.
func (p *tab) until(script, text string) {
	p.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		got, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](script))
		if err == nil && strings.Contains(got, text) {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("%s is %q, %v, want %q", script, got, err, text)
		}
	}
}

// comesBack waits for the browser at the application and compares the query that it brings.
func (p *tab) comesBack(want string) {
	p.t.Helper()
	select {
	case got := <-p.site.returned:
		if got != want {
			p.t.Errorf("came back with\n%s, want\n%s", got, want)
		}
	case <-time.After(patience):
		p.t.Fatal("the browser did not come back")
	}
}
