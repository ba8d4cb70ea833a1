// Command preview draws the panels of a Grafana dashboard with what a Prometheus knows, and takes a picture. So one sees without a
// Grafana whether the dashboard shows what it should: the queries are those of the dashboard, the looks are not.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"html/template"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/chromedp/chromedp"
)

var (
	prometheus = flag.String("prometheus", "http://localhost:9090", "where Prometheus is")
	dashboard  = flag.String("dashboard", "examples/monitoring/dashboard.json", "the dashboard")
	picture    = flag.String("picture", "docs/images/dashboard.png", "the picture to make")
	span       = flag.Duration("span", 5*time.Minute, "how far to look back")
	library    = flag.String("uplot", "tools/node_modules/uplot/dist", "where uPlot is, which draws the curves")
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// panel is what a panel of a dashboard and the page have in common.
type panel struct {
	Type, Title string
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct{ Expr, LegendFormat string }
	FieldConfig struct {
		Defaults struct {
			Unit     string
			Mappings []struct {
				Options map[string]struct{ Text, Color string }
			}
			Thresholds struct {
				Steps []struct {
					Color string
					Value *float64
				}
			}
			Custom struct{ Stacking struct{ Mode string } }
		}
	}
	Series []series
}

// series is a curve. A point is a time and a value, as Prometheus spells them.
type series struct {
	Legend string
	Points [][2]any
}

func main() {
	flag.Parse()
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	text, err := os.ReadFile(*dashboard)
	if err != nil {
		return err
	}
	var d struct{ Panels []*panel }
	if err := json.Unmarshal(text, &d); err != nil {
		return err
	}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			found, err := query(target.Expr, target.LegendFormat)
			if err != nil {
				return fmt.Errorf("%s: %w", p.Title, err)
			}
			p.Series = append(p.Series, found...)
		}
	}
	return takePicture(d.Panels)
}

// query asks Prometheus for the curves of a target, with what Grafana would put in for its variables.
func query(expression, legend string) ([]series, error) {
	now := time.Now()
	expression = strings.NewReplacer("$__rate_interval", "30s", "$instance", ".*").Replace(expression)
	answer, err := http.Get(*prometheus + "/api/v1/query_range?" + url.Values{
		"query": {expression}, "step": {"5"},
		"start": {strconv.FormatInt(now.Add(-*span).Unix(), 10)}, "end": {strconv.FormatInt(now.Unix(), 10)},
	}.Encode())
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var body struct {
		Error string
		Data  struct {
			Result []struct {
				Metric map[string]string
				Values [][2]any
			}
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		return nil, err
	}
	if body.Error != "" {
		return nil, fmt.Errorf("%s: %s", expression, body.Error)
	}
	var found []series
	for _, result := range body.Data.Result {
		name := legend
		for label, value := range result.Metric {
			name = strings.ReplaceAll(name, "{{"+label+"}}", value)
		}
		found = append(found, series{name, result.Values})
	}
	return found, nil
}

func takePicture(panels []*panel) error {
	var text bytes.Buffer
	if err := page.Execute(&text, panels); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/uplot/", http.StripPrefix("/uplot/", http.FileServer(http.Dir(*library))))
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text.Bytes()) })
	server := httptest.NewServer(mux)
	defer server.Close()

	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.WindowSize(1600, 900))
	browser, stop := chromedp.NewExecAllocator(context.Background(), options...)
	defer stop()
	ctx, end := chromedp.NewContext(browser)
	defer end()
	if err := chromedp.Do(ctx, chromedp.Navigate(server.URL), chromedp.WaitVisible(chromedp.CSS("#drawn"))); err != nil {
		return err
	}
	image, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		return err
	}
	return os.WriteFile(*picture, image, 0o644) //nolint:gosec // a picture for everybody
}
