// Package adminapi is what the admin API says, to those who answer and to those who ask.
package adminapi

import "time"

// Service is how a service is doing: an element of what GET /bws/services answers.
type Service struct {
	Name        string `json:"name"`
	Endpoint    string `json:"endpoint"`
	Breaker     string `json:"breaker"`
	Remembered  int    `json:"remembered_tokens"`
	CacheSize   int    `json:"cache_size"`
	Inflight    int    `json:"inflight"`
	MaxInflight int    `json:"max_inflight"`
	Keys        []Key  `json:"keys"`
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
	// Age is in seconds, and negative for a key that is not used yet.
	Age int64 `json:"age"`
}

// Health is what GET /bws/health answers.
type Health struct {
	Status   string    `json:"status"`
	Problems []Problem `json:"problems,omitempty"`
}

// Problem is one thing that keeps a service from working, in the words of the denials it leads to.
type Problem struct {
	Service string `json:"service"`
	Reason  string `json:"reason"`
	Detail  string `json:"detail"`
}

// Rotated is a new key: an element of what POST /bws/rotate answers.
type Rotated struct {
	Service string `json:"service"`
	ID      string `json:"id"`
	// Purpose is what the key is for: session or assertion.
	Purpose string `json:"purpose"`
	// UseFrom is when nodes begin to use it.
	UseFrom time.Time `json:"use_from"`
}
