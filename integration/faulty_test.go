package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/caddy-bws/caddy-bws/internal/dnstest"
)

// faultyBinary builds a Caddy with storages that fail as told, once for all tests.
var faultyBinary = sync.OnceValues(func() (string, error) {
	program := filepath.Join(filepath.Dir(binary), "faultycaddy")
	if out, err := exec.Command("go", "build", "-race", "-o", program, "./faultycaddy").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return program, nil
})

// newFaultyCaddy sets up a Caddy with storages that fail as told, which asks the test's name server if there is one.
func newFaultyCaddy(t *testing.T, names *dnstest.Server) *caddyProcess {
	t.Helper()
	program, err := faultyBinary()
	if err != nil {
		t.Fatal(err)
	}
	c := &caddyProcess{t: t, Addr: freeAddr(t), Admin: freeAddr(t), Program: program}
	if names != nil {
		c.Env = []string{"NAME_SERVER=" + names.Addr}
	}
	return c
}

// tellStorage says to the storage in a folder how to fail, "" for not any more.
func tellStorage(t *testing.T, folder, word string) {
	t.Helper()
	if err := os.WriteFile(folder+".fault", []byte(word), 0o600); err != nil {
		t.Fatal(err)
	}
}
