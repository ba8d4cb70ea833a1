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

// Every configuration that the README shows is whole, formatted, and loads.
func TestReadmeConfigurations(t *testing.T) {
	t.Setenv("BWS_APP_ID", "id")
	t.Setenv("BWS_APP_SECRET", "secret")
	readme := readFile(t, "../README.md")
	blocks := regexp.MustCompile("(?s)```(caddyfile|json)\n(.*?\n)```\n").FindAllStringSubmatchIndex(readme, -1)
	if len(blocks) == 0 {
		t.Fatal("the README shows no configuration")
	}
	for _, b := range blocks {
		kind, text := readme[b[2]:b[3]], readme[b[4]:b[5]]
		line := 1 + strings.Count(readme[:b[4]], "\n")
		t.Run("line "+strconv.Itoa(line), func(t *testing.T) {
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
		})
	}
}
