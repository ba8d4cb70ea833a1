package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Every configuration that the README and the pages in docs show is whole, formatted, and loads.
func TestReadmeConfigurations(t *testing.T) {
	t.Setenv("BWS_APP_ID", "id")
	t.Setenv("BWS_APP_SECRET", "secret")
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, page := range append(pages, "../README.md") {
		text := readFile(t, page)
		blocks := regexp.MustCompile("(?s)```(caddyfile|json)\n(.*?\n)```\n").FindAllStringSubmatchIndex(text, -1)
		shown += len(blocks)
		for _, b := range blocks {
			line := 1 + strings.Count(text[:b[4]], "\n")
			t.Run(filepath.Base(page)+" line "+strconv.Itoa(line), func(t *testing.T) {
				loadShown(t, text[b[2]:b[3]], text[b[4]:b[5]])
			})
		}
	}
	if shown == 0 {
		t.Fatal("the pages show no configuration")
	}
}

// loadShown loads what a page shows, as far as it is a configuration.
func loadShown(t *testing.T, kind, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), kind)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if kind == "caddyfile" {
		caddy(t, "adapt", "--adapter", "caddyfile", "--config", file)
		return
	}
	var config struct {
		Apps json.RawMessage `json:"apps"`
	}
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		t.Fatal(err)
	}
	if config.Apps != nil {
		caddy(t, "validate", "--config", file)
	}
}
