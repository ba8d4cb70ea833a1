// Package adminapi has the bodies of the admin API's answers: the module writes them, the command line reads them.
package adminapi

import "time"

// Service is how a service is doing. GET /bws/services answers with a list of them.
type Service struct {
	Name     string `json:"name"`
	Endpoint string `json:"endpoint"`
	// Breaker is closed, open or half-open.
	Breaker string `json:"breaker"`
	// Remembered is how many tokens something is remembered of, of CacheSize at most.
	Remembered int `json:"remembered_tokens"`
	CacheSize  int `json:"cache_size"`
	// Inflight is how many calls to BWS are under way, of MaxInflight at most.
	Inflight    int   `json:"inflight"`
	MaxInflight int   `json:"max_inflight"`
	Keys        []Key `json:"keys"`
	// LastSync is when the storage was read last, nil if never.
	LastSync *time.Time `json:"last_storage_sync"`
}

// Key is a key of a service.
type Key struct {
	ID string `json:"id"`
	// Purpose is what the key is for: session or assertion.
	Purpose   string    `json:"purpose"`
	UseFrom   time.Time `json:"use_from"`
	OpenUntil time.Time `json:"open_until"`
	// Age is in seconds since UseFrom, and so negative for a key that is not used yet.
	Age int64 `json:"age"`
}

// Health is what GET /bws/health answers.
type Health struct {
	// Status is ready, or not ready if there are problems.
	Status   string    `json:"status"`
	Problems []Problem `json:"problems,omitempty"`
}

// Problem is one thing that keeps a service from working.
type Problem struct {
	Service string `json:"service"`
	// Reason is that of the denials which the problem leads to.
	Reason string `json:"reason"`
	// Detail says what is wrong, in words.
	Detail string `json:"detail"`
}

// Rotated is a new key. POST /bws/rotate answers with a list of them.
type Rotated struct {
	Service string `json:"service"`
	ID      string `json:"id"`
	// Purpose is what the key is for: session or assertion.
	Purpose string `json:"purpose"`
	// UseFrom is when nodes begin to use the key.
	UseFrom time.Time `json:"use_from"`
}
