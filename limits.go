package caddybws

import (
	"cmp"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// What a service does unless it is told otherwise, and what it can be told.
const (
	defaultTimeout      = 5 * time.Second
	minTimeout          = 100 * time.Millisecond
	maxTimeout          = time.Minute
	defaultCacheTTL     = 10 * time.Second
	maxCacheTTL         = 10 * time.Minute
	wiseCacheTTL        = time.Minute
	defaultFailureTTL   = time.Second
	maxFailureTTL       = time.Minute
	defaultCacheSize    = 100_000
	maxCacheSize        = 10_000_000
	defaultMaxInflight  = 64
	maxMaxInflight      = 10_000
	defaultRateCalls    = 60
	maxRateCalls        = 1_000_000
	defaultRatePer      = time.Minute
	minRatePer          = time.Second
	maxRatePer          = 24 * time.Hour
	defaultStorageGrace = 5 * time.Minute
	minStorageGrace     = 10 * time.Second
	maxStorageGrace     = 24 * time.Hour
)

// limits are the numbers and times of a service, with its defaults filled in.
type limits struct {
	Timeout, SuccessTTL, FailureTTL time.Duration
	Size, Inflight, RateCalls       int
	RatePer                         time.Duration
}

func (s *Service) limits() limits {
	l := limits{
		Timeout:    cmp.Or(time.Duration(s.Timeout), defaultTimeout),
		SuccessTTL: defaultCacheTTL,
		FailureTTL: defaultFailureTTL,
		Size:       cmp.Or(s.CacheSize, defaultCacheSize),
		Inflight:   cmp.Or(s.MaxInflight, defaultMaxInflight),
		RateCalls:  defaultRateCalls,
		RatePer:    defaultRatePer,
	}
	if s.CacheTTL != nil {
		l.SuccessTTL = time.Duration(*s.CacheTTL)
	}
	if s.FailureTTL != nil {
		l.FailureTTL = time.Duration(*s.FailureTTL)
	}
	if s.ClientRate != nil {
		l.RateCalls, l.RatePer = s.ClientRate.Calls, time.Duration(s.ClientRate.Per)
	}
	return l
}

// check finds the first that is out of bounds.
func (l *limits) check() error {
	return cmp.Or(
		checkDuration("timeout", caddy.Duration(l.Timeout), minTimeout, maxTimeout),
		checkDuration("cache_ttl", caddy.Duration(l.SuccessTTL), 0, maxCacheTTL),
		checkDuration("failure_ttl", caddy.Duration(l.FailureTTL), 0, maxFailureTTL),
		checkCount("cache_size", l.Size, maxCacheSize),
		checkCount("max_inflight", l.Inflight, maxMaxInflight),
		checkCount("client_rate", l.RateCalls, maxRateCalls),
		checkDuration("client_rate", caddy.Duration(l.RatePer), minRatePer, maxRatePer),
	)
}
