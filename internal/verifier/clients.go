package verifier

import (
	"net/netip"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"
)

const (
	// maxClients bounds how many clients are told apart.
	maxClients = 100_000
	// clientPrefix is the part of an IPv6 address that a client cannot choose freely.
	clientPrefix = 64
)

// clientLimits bounds how often each client may cause a question about a token that the service has not accepted before. A
// client whose address is unknown shares one limit with all others of that kind.
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
			// After that time a limiter is as good as new.
			ExpiryCalculator: otter.ExpiryAccessing[netip.Addr, *rate.Limiter](config.ClientPer),
		}),
		now:   config.Now,
		calls: config.ClientCalls,
		per:   config.ClientPer,
	}
}

// allow takes one question off the client's allowance.
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

// ClientOf returns what stands for everybody that can use the address.
func ClientOf(address netip.Addr) netip.Addr {
	address = address.Unmap().WithZone("")
	if !address.Is6() {
		return address
	}
	prefix, _ := address.Prefix(clientPrefix)
	return prefix.Addr()
}
