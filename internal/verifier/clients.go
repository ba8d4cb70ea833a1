package verifier

import (
	"net/netip"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"
)

const (
	// maxClients bounds how many clients are remembered.
	maxClients = 100_000
	// clientPrefix is the part of an IPv6 address that a client cannot choose freely.
	clientPrefix = 64
)

// clientLimits bounds how often each client may cause a call for a token that the service has not accepted before. All clients
// whose address is unknown share one limit.
type clientLimits struct {
	limiters *otter.Cache[netip.Addr, *rate.Limiter]
	now      func() time.Time
	calls    int
	per      time.Duration
}

func newClientLimits(config *Config) *clientLimits {
	return &clientLimits{
		limiters: otter.Must(&otter.Options[netip.Addr, *rate.Limiter]{
			MaximumSize: maxClients,
			// A limiter that nobody used for that time is as good as new.
			ExpiryCalculator: otter.ExpiryAccessing[netip.Addr, *rate.Limiter](config.ClientPer),
		}),
		now:   config.Now,
		calls: config.ClientCalls,
		per:   config.ClientPer,
	}
}

// allow takes one call off the client's allowance, and reports false if nothing is left of it.
func (c *clientLimits) allow(client netip.Addr) bool {
	limiter, _ := c.limiters.ComputeIfAbsent(ClientOf(client), func() (*rate.Limiter, bool) {
		return rate.NewLimiter(rate.Limit(float64(c.calls)/c.per.Seconds()), c.calls), false
	})
	return limiter.AllowN(c.now(), 1)
}

func (c *clientLimits) close() {
	c.limiters.StopAllGoroutines()
	c.limiters.InvalidateAll()
}

// ClientOf returns the address that stands for a client, who may use many: of an IPv6 address its network.
func ClientOf(address netip.Addr) netip.Addr {
	address = address.Unmap().WithZone("")
	if !address.Is6() {
		return address
	}
	prefix, _ := address.Prefix(clientPrefix)
	return prefix.Addr()
}
