package dnstest

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"
)

// What a resolver makes of each state is what it would make of such a name server.
func TestStates(t *testing.T) {
	t.Parallel()
	s := Start(t)
	const brief, patience = 50 * time.Millisecond, 10 * time.Second
	for name, test := range map[string]struct {
		patience time.Duration
		set      func()
		// failure says whether it is the right one, nil if there is none.
		failure func(*net.DNSError) bool
	}{
		"here":     {patience, func() { s.Set("name.test", Here) }, nil},
		"slow":     {patience, func() { s.Slow("name.test", brief) }, nil},
		"gone":     {patience, func() { s.Set("name.test", Gone) }, func(e *net.DNSError) bool { return e.IsNotFound }},
		"broken":   {patience, func() { s.Set("name.test", Broken) }, func(e *net.DNSError) bool { return e.IsTemporary && !e.IsTimeout }},
		"silent":   {brief, func() { s.Set("name.test", Silent) }, func(e *net.DNSError) bool { return e.IsTimeout }},
		"too slow": {brief, func() { s.Slow("name.test", time.Second) }, func(e *net.DNSError) bool { return e.IsTimeout }},
	} {
		test.set()
		for _, asked := range []string{"bws.name.test", "bws.name.test.of.the.resolver"} {
			ctx, cancel := context.WithTimeout(t.Context(), test.patience)
			addrs, err := Resolver(s.Addr).LookupHost(ctx, asked)
			cancel()
			failure, failed := errors.AsType[*net.DNSError](err)
			if failed != (test.failure != nil) || failed && !test.failure(failure) || !failed && !slices.Equal(addrs, []string{"127.0.0.1"}) {
				t.Errorf("%s, %s: got %q, %v", name, asked, addrs, err)
			}
		}
	}
	addrs, err := Resolver(s.Addr).LookupHost(t.Context(), "bws.other.test")
	if err != nil || len(addrs) != 1 {
		t.Errorf("another domain: got %q, %v", addrs, err)
	}
}
