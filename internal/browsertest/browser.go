// Package browsertest drives Chromium, as Debian has it, for tests of pages.
package browsertest

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// Patience is how long a page on a busy machine may take for what it does at once.
const Patience = 2 * time.Minute

// The flags that give Chromium a camera with a moving picture and a person who allows its use, or one who allows nothing.
var (
	WithCamera    = []string{"use-fake-device-for-media-stream", "use-fake-ui-for-media-stream"}
	WithoutCamera = []string{"deny-permission-prompts"}
)

// Browser is a running Chromium, or somebody's profile in it.
type Browser struct{ ctx context.Context }

// Start starts Chromium, which ends with the test.
func Start(t testing.TB, flags ...string) *Browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("there is no chromium: install it, with Debian's `apt-get install chromium`")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.WSURLReadTimeout(Patience))
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
	return &Browser{ctx}
}

// Profile returns the same browser with cookies, a cache and a history of its own, which end with the test.
func (b *Browser) Profile(t testing.TB) *Browser {
	t.Helper()
	ctx, done := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(done)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return &Browser{ctx}
}
