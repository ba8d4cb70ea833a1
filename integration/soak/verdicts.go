package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// What clients tell the app with each request, so that it can say whether it should have got it.
const (
	headerKind   = "X-Soak-Kind"
	headerNever  = "X-Soak-Never" // the request is not authorized
	headerRedeem = "X-Soak-Redeem"
	headerBCID   = "X-BWS-BCID"
)

// verdicts are what was found out about the rules.
type verdicts struct {
	mu       sync.Mutex
	failures []string
	// redeemed counts requests that have reached the app by token, where it is good for one; reached counts all, by their kind.
	redeemed map[string]int
	reached  map[string]int
}

func newVerdicts() *verdicts {
	return &verdicts{redeemed: make(map[string]int), reached: make(map[string]int)}
}

// fail tells of a rule that was broken.
func (v *verdicts) fail(format string, arguments ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.failures = append(v.failures, fmt.Sprintf(format, arguments...))
}

func (v *verdicts) broken() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.failures)
}

// serveApp is the app behind the gates: it has a look at whatever reaches it.
func (s *soak) serveApp(w http.ResponseWriter, r *http.Request) {
	kind, gated := r.Header.Get(headerKind), !strings.HasPrefix(r.URL.Path, "/control")
	switch {
	case r.Header.Get(headerNever) != "":
		s.verdicts.fail("a request that is not authorized has reached the app: %s, %s", kind, r.URL.Path)
	case gated && !slices.Equal(r.Header.Values(headerBCID), []string{alice.String()}):
		s.verdicts.fail("the app got a request of %s for %q", kind, r.Header.Values(headerBCID))
	case r.Header.Get("Cookie") != "" || r.Header.Get("X-BWS-Token") != "":
		s.verdicts.fail("the app got credentials: %s", kind)
	}
	s.verdicts.count(kind, r.Header.Get(headerRedeem))
	if r.Header.Get("Upgrade") != "" {
		echo(w)
	}
}

// count counts what has reached the app.
func (v *verdicts) count(kind, token string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reached[kind]++
	if token == "" {
		return
	}
	if v.redeemed[token]++; v.redeemed[token] > 1 {
		v.failures = append(v.failures, "a token was used twice where it is good for one request")
	}
}

// echo sends back whatever comes, on a connection that has left HTTP.
func echo(w http.ResponseWriter) {
	connection, buffer, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer connection.Close()
	_, _ = buffer.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	_ = buffer.Flush()
	for {
		b, err := buffer.ReadByte()
		if err != nil {
			return
		}
		if buffer.WriteByte(b) != nil || buffer.Flush() != nil {
			return
		}
	}
}
