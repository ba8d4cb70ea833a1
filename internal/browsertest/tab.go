package browsertest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Tab is a page in a browser. The test fails if a page in it does anything that its policy forbids, or that it does not catch.
type Tab struct {
	t   testing.TB
	ctx context.Context
}

// Open carries actions out in a new tab, and then loads a page in it.
func (b *Browser) Open(t testing.TB, url string, before ...chromedp.Action[chromedp.Void]) *Tab {
	t.Helper()
	ctx, done := chromedp.NewContext(b.ctx, chromedp.WithListener(func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("exception: %v", e.ExceptionDetails)
		case *runtime.EventConsoleAPICalled:
			t.Errorf("%s on the console", e.Type)
		case *log.EventEntryAdded:
			grave := e.Entry.Level == log.EntryLevelWarning || e.Entry.Level == log.EntryLevelError
			if grave && e.Entry.Source != log.EntrySourceNetwork {
				t.Errorf("%s: %s", e.Entry.Source, e.Entry.Text)
			}
		}
	}))
	t.Cleanup(done)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*Patience)
	t.Cleanup(cancel)
	p := &Tab{t, ctx}
	p.Do(append(before, chromedp.Navigate(url))...)
	return p
}

// In returns the tab for a part of the test.
func (p *Tab) In(t testing.TB) *Tab { return &Tab{t, p.ctx} }

// Do carries actions out.
func (p *Tab) Do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

// Click waits for an element to be visible, and clicks it.
func (p *Tab) Click(id string) {
	p.t.Helper()
	p.Do(chromedp.Click(chromedp.ID(id), chromedp.NodeVisible))
}

// Press presses keys, such as those of package kb.
func (p *Tab) Press(keys string, options ...chromedp.KeyOption) {
	p.t.Helper()
	p.Do(chromedp.KeyEvent(keys, options...))
}

// Text returns the result of a script, which may be a promise.
func (p *Tab) Text(script string) string {
	p.t.Helper()
	text, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", script, err)
	}
	return text
}

// Says waits until the page's status contains text.
func (p *Tab) Says(text string) {
	p.t.Helper()
	p.Until(`document.querySelector("[role=status]")?.textContent ?? ""`, text)
}

// Until waits until the result of a script, which may fail while the page is being loaded, contains text.
func (p *Tab) Until(script, text string) {
	p.t.Helper()
	for end := time.Now().Add(Patience); ; time.Sleep(20 * time.Millisecond) {
		got, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](script))
		if err == nil && strings.Contains(got, text) {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("%s is %q, %v, want %q", script, got, err, text)
		}
	}
}

// Back leads to the page before, without waiting for it: a page that the browser has kept is not loaded.
func (p *Tab) Back() {
	p.t.Helper()
	p.Text(`setTimeout(() => history.back()), ""`) // else the page may be gone before it has answered
}

// History returns the addresses to which the tab's buttons lead, in their order, and that of the page.
func (p *Tab) History() []string {
	p.t.Helper()
	history, err := chromedp.Run(p.ctx, chromedp.NavigationEntries())
	if err != nil {
		p.t.Fatal(err)
	}
	addresses := make([]string, 0, len(history.Entries))
	for _, entry := range history.Entries {
		addresses = append(addresses, entry.URL)
	}
	return addresses
}
