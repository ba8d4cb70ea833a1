// Package loopback tells which hosts are this machine: only to these may anything secret go without TLS.
package loopback

import (
	"net/netip"
	"strings"
)

// Is reports whether a host, as a URL names it, is this machine.
func Is(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}
