package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/caddy-bws/caddy-bws/internal/browsertest"
)

const (
	gate   = "http://localhost:8080"
	images = "docs/images"
)

type action = chromedp.Action[chromedp.Void]

// look is how a page is looked at: with a window of some size and a preference.
type look struct {
	device        string
	width, height int64
	scale         float64
	scheme        string
}

var looks = []look{
	{"desktop", 1280, 800, 1, "light"},
	{"desktop", 1280, 800, 1, "dark"},
	{"phone", 390, 844, 2, "light"},
	{"phone", 390, 844, 2, "dark"},
}

// ofApp is how the app is looked at, which is small and knows nothing of dark.
var ofApp = look{"desktop", 800, 340, 1, "light"}

// makeScreenshots makes the pictures of pages in docs/images, from the quickstart, which must be running: `docs/screenshots` starts
// both.
func makeScreenshots() error {
	dir, err := os.MkdirTemp("", "screenshots")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	film := filepath.Join(dir, "camera.mjpeg")
	if err := os.WriteFile(film, somebody(), 0o600); err != nil {
		return err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("use-fake-device-for-media-stream", true), chromedp.Flag("use-file-for-fake-video-capture", film),
		chromedp.Flag("use-fake-ui-for-media-stream", true))
	browser, stop := chromedp.NewExecAllocator(context.Background(), options...)
	defer stop()
	for _, l := range looks {
		if err := visit(browser, l.denied()); err != nil {
			return fmt.Errorf("%s, %s: %w", l.device, l.scheme, err)
		}
	}
	return visit(browser, ofApp.recognized())
}

// visit does something with a browser that has been nowhere before.
func visit(browser context.Context, actions []action) error {
	ctx, end := chromedp.NewContext(browser)
	defer end()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	return chromedp.Do(ctx, actions...)
}

// denied goes to the camera page, and back without a verification.
func (l look) denied() []action {
	return append(l.begin(),
		l.shoot("capture"),
		chromedp.Click(chromedp.CSS("#cancel")),
		chromedp.WaitVisible(chromedp.CSS(`a[href="/?"]`)),
		l.shoot("deny"),
	)
}

// recognized goes to the camera page, and from there to the app.
func (l look) recognized() []action {
	return append(l.begin(),
		chromedp.Click(chromedp.CSS("#recognized")),
		chromedp.WaitVisible(chromedp.CSS(`a[href="/logout"]`)),
		l.shoot("app"),
	)
}

func (l look) begin() []action {
	return []action{
		chromedp.EmulateViewport(l.width, l.height, chromedp.EmulateScale(l.scale)),
		browsertest.Prefers("prefers-color-scheme", l.scheme),
		chromedp.Navigate(gate),
		chromedp.WaitVisible(chromedp.CSS("#video")),
		chromedp.WaitVisible(chromedp.CSS("#stage:not(.empty)")),
		chromedp.Sleep(time.Second), // for the camera's first picture
	}
}

func (l look) shoot(page string) action {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
		if err != nil {
			return err
		}
		name := filepath.Join(images, fmt.Sprintf("%s-%s-%s.png", page, l.device, l.scheme))
		return os.WriteFile(name, picture, 0o644) //nolint:gosec // for everybody to see
	})
}

// somebody is what the camera sees: a head and shoulders, and nobody in particular.
func somebody() []byte {
	const width, height = 640, 480
	picture := image.NewRGBA(image.Rect(0, 0, width, height))
	inside := func(x, y, centerY, radiusX, radiusY float64) bool {
		return math.Hypot((x-width/2)/radiusX, (y-centerY)/radiusY) < 1
	}
	for y := range height {
		for x := range width {
			c := color.RGBA{0xb9, 0xc7, 0xd6, 0xff}
			switch x, y := float64(x), float64(y); {
			case inside(x, y, 210, 88, 112):
				c = color.RGBA{0xd9, 0xb0, 0x92, 0xff}
			case inside(x, y, 300, 40, 60):
				c = color.RGBA{0xc4, 0x9a, 0x7c, 0xff}
			case inside(x, y, 195, 100, 128):
				c = color.RGBA{0x4a, 0x3b, 0x32, 0xff}
			case inside(x, y, 500, 200, 170):
				c = color.RGBA{0x3b, 0x5b, 0x7d, 0xff}
			}
			picture.SetRGBA(x, y, c)
		}
	}
	var film bytes.Buffer
	_ = jpeg.Encode(&film, picture, &jpeg.Options{Quality: 90}) // a buffer does not fail
	return film.Bytes()
}
