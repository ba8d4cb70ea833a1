package integration

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// sessionSite is a site with sessions.
const sessionSite = `{addr} {
	bws {
		session 30m
	}
	respond "hello {http.bws.evidence}"
}`

// ledgerIn returns the entries of ledgers in a storage that is a folder.
func ledgerIn(t *testing.T, folder string) (entries []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(folder, "bws"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			entries = append(entries, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// checkFirstKeys checks that a storage has what a ledger begins with: a key for each purpose.
func checkFirstKeys(t *testing.T, folder string) {
	t.Helper()
	keys := ledgerIn(t, folder)
	if len(keys) != 2 || !strings.Contains(keys[0], "/keys/assertion/") || !strings.Contains(keys[1], "/keys/session/") {
		t.Errorf("the storage has %q, want one key for assertions and one for sessions", keys)
	}
}

func TestStorage(t *testing.T) {
	for name, option := range map[string]string{"Caddy's": "", "a service's own": "storage file_system {dir}"} {
		t.Run(name, func(t *testing.T) {
			own, general := t.TempDir(), t.TempDir()
			service := bwstest.NewServer(t, bwstest.Config{})
			c := startCaddy(t, "storage file_system "+general+"\n"+
				serviceOption("", service.URL, strings.ReplaceAll(option, "{dir}", own)), sessionSite)
			cookie := begin(t, "http://"+c.Addr, good(service))
			if got := do(t, http.MethodGet, "http://"+c.Addr, cookie); got.Body != "hello session" {
				t.Errorf("got %d %s", got.StatusCode, got.Body)
			}
			used, unused := general, own
			if option != "" {
				used, unused = own, general
			}
			checkFirstKeys(t, used)
			if keys := ledgerIn(t, unused); len(keys) > 0 {
				t.Errorf("the other storage has %q", keys)
			}
		})
	}
}

// Another storage is another cluster: what was begun with the one does not open with the other.
func TestStorageReplacedByAReload(t *testing.T) {
	covers(t, 32)
	service := bwstest.NewServer(t, bwstest.Config{})
	c := &caddyProcess{t: t, Addr: freeAddr(t), Admin: freeAddr(t)}
	config := func(folder string) string {
		return "{\n\tadmin " + c.Admin + "\n\tauto_https off\n" + serviceOption("", service.URL, "storage file_system "+folder) + "}\n" +
			strings.ReplaceAll(sessionSite, "{addr}", "http://"+c.Addr)
	}
	first, second := t.TempDir(), t.TempDir()
	c.run(config(first))
	cookie := begin(t, "http://"+c.Addr, good(service))
	c.reload(config(second))
	if got := do(t, http.MethodGet, "http://"+c.Addr, cookie); got.reason() != "no_token" {
		t.Errorf("got %d %s", got.StatusCode, got.Body)
	}
	begin(t, "http://"+c.Addr, good(service))
	checkFirstKeys(t, second)
	c.reload(config(first))
	if got := do(t, http.MethodGet, "http://"+c.Addr, cookie); got.Body != "hello session" {
		t.Errorf("back with the first storage, got %d %s", got.StatusCode, got.Body)
	}
}

func TestValidateTouchesNoStorage(t *testing.T) {
	folder, file := filepath.Join(t.TempDir(), "storage"), filepath.Join(t.TempDir(), "Caddyfile")
	config := "{\n" + serviceOption("", "http://localhost:1/extension", "storage file_system "+folder) + "}\n" +
		strings.ReplaceAll(sessionSite, "{addr}", ":0")
	if err := os.WriteFile(file, caddyfile.Format([]byte(config)), 0o600); err != nil {
		t.Fatal(err)
	}
	caddy(t, "validate", "--adapter", "caddyfile", "--config", file)
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("the storage is there: %v", err)
	}
}
