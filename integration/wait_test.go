package integration

import (
	"net"
	"testing"
	"time"
)

// eventually waits for something that happens soon, or not at all.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for range 600 {
		if happened() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("it did not happen that %s", what)
}

// within waits for something that has a time limit.
func within(t *testing.T, limit time.Duration, what string, happened func() bool) {
	t.Helper()
	start := time.Now()
	eventually(t, what, happened)
	if took := time.Since(start); took > limit {
		t.Errorf("it took %s that %s, want at most %s", took, what, limit)
	}
}

// listens reports whether somebody listens on an address.
func listens(addr string) bool {
	conn, err := net.Dial("tcp", addr)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}
