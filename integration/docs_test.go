package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-bws/caddy-bws/emulator"
)

// What pages show can be used as it stands: a Caddyfile is whole, formatted, and loads; JSON is JSON, and loads if it is a
// configuration; a shell understands what is for it. The walkthroughs in .ci run what is meant to be done step by step.
func TestDocuments(t *testing.T) {
	shown := map[string]int{}
	for _, b := range blocksOfPages(t) {
		check, ok := shownChecks[b.kind]
		if !ok {
			continue
		}
		shown[b.kind]++
		t.Run(b.file+" line "+strconv.Itoa(b.line), func(t *testing.T) { check(t, b.text) })
	}
	for kind := range shownChecks {
		if shown[kind] == 0 {
			t.Errorf("no page shows any %s", kind)
		}
	}
}

var shownChecks = map[string]func(t *testing.T, content string){
	"caddyfile": loadsAsCaddyfile,
	"json":      loadsAsJSON,
	"sh":        isShell,
}

func loadsAsCaddyfile(t *testing.T, content string) {
	t.Helper()
	if _, different := caddyfile.FormattingDifference("Caddyfile", []byte(content)); different {
		t.Error("the Caddyfile is not formatted as caddy fmt does")
	}
	config, err := adapt(fillIn(t, content))
	if err != nil {
		t.Fatal(err)
	}
	assertLoads(t, config)
}

func loadsAsJSON(t *testing.T, content string) {
	t.Helper()
	var config struct {
		Apps json.RawMessage `json:"apps"`
	}
	if err := json.Unmarshal([]byte(content), &config); err != nil {
		t.Fatal(err)
	}
	if config.Apps != nil {
		assertLoads(t, []byte(fillIn(t, content)))
	}
}

func isShell(t *testing.T, content string) {
	t.Helper()
	bash := exec.CommandContext(t.Context(), "bash", "-n")
	bash.Stdin = strings.NewReader(content)
	if out, err := bash.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

var (
	shownVariable = regexp.MustCompile(`\{(?:env\.|\$)(\w+)`)
	shownFile     = regexp.MustCompile(`\{file\.([^}]+)\}`)
)

// fillIn gives what a configuration takes from its environment some value.
func fillIn(t *testing.T, config string) string {
	t.Helper()
	for _, variable := range shownVariable.FindAllStringSubmatch(config, -1) {
		t.Setenv(variable[1], "value")
	}
	return shownFile.ReplaceAllStringFunc(config, func(placeholder string) string {
		file := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(file, []byte("value"), 0o600); err != nil {
			t.Fatal(err)
		}
		return "{file." + file + "}"
	})
}

// assertLoads provisions a configuration with a storage of its own.
func assertLoads(t *testing.T, config []byte) {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal(config, &members); err != nil {
		t.Fatal(err)
	}
	if members == nil {
		members = make(map[string]any)
	}
	members["storage"] = map[string]string{"module": "file_system", "root": t.TempDir()}
	config, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	if err := load(config); err != nil {
		t.Error(err)
	}
}
