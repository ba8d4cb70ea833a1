package caddybws

import (
	"net/http"
	"time"

	"github.com/caddy-bws/caddy-bws/internal/ledger"
)

// serviceStatus is how a service is doing.
type serviceStatus struct {
	Name        string      `json:"name"`
	Endpoint    string      `json:"endpoint"`
	Breaker     string      `json:"breaker"`
	Remembered  int         `json:"remembered_tokens"`
	CacheSize   int         `json:"cache_size"`
	Inflight    int         `json:"inflight"`
	MaxInflight int         `json:"max_inflight"`
	Keys        []keyStatus `json:"keys"`
	// LastSync is when the storage was read last, nil if never.
	LastSync *time.Time `json:"last_storage_sync"`
}

type keyStatus struct {
	ID string `json:"id"`
	// Purpose is what the key is for: session or assertion.
	Purpose   string    `json:"purpose"`
	UseFrom   time.Time `json:"use_from"`
	OpenUntil time.Time `json:"open_until"`
	// Age is in seconds, and negative for a key that is not used yet.
	Age int64 `json:"age"`
}

func (a *Admin) services(w http.ResponseWriter, _ *http.Request) error {
	services := running()
	statuses := make([]serviceStatus, 0, len(services))
	for _, s := range services {
		statuses = append(statuses, s.status(s.name))
	}
	return writeBody(w, http.StatusOK, statuses)
}

func (s *Service) status(name string) serviceStatus {
	now, state, limits := s.now(), s.verifier.State(), s.limits()
	status := serviceStatus{
		Name: name, Endpoint: s.client.Endpoint(), Breaker: state.Breaker,
		Remembered: state.Remembered, CacheSize: limits.Size, Inflight: state.Inflight, MaxInflight: limits.Inflight,
		Keys: []keyStatus{},
	}
	for _, purpose := range ledger.Purposes() {
		for _, key := range s.ledger.Keys(purpose).All() {
			status.Keys = append(status.Keys, keyStatus{
				ID: key.ID.String(), Purpose: purpose.Name, UseFrom: key.UseFrom, OpenUntil: key.OpenUntil,
				Age: int64(now.Sub(key.UseFrom) / time.Second),
			})
		}
	}
	if age, read := s.ledger.StaleFor(now); read {
		at := now.Add(-age).UTC().Truncate(time.Millisecond)
		status.LastSync = &at
	}
	return status
}

type healthStatus struct {
	Status   string        `json:"status"`
	Problems []healthTrait `json:"problems,omitempty"`
}

// healthTrait is one thing that keeps a service from working, in the words of the denials it leads to.
type healthTrait struct {
	Service string `json:"service"`
	Reason  string `json:"reason"`
	Detail  string `json:"detail"`
}

func (a *Admin) health(w http.ResponseWriter, _ *http.Request) error {
	health := healthStatus{Status: "ready"}
	for _, s := range running() {
		health.Problems = append(health.Problems, s.problems(s.name)...)
	}
	if len(health.Problems) > 0 {
		health.Status = "not ready"
		return writeBody(w, http.StatusServiceUnavailable, health)
	}
	return writeBody(w, http.StatusOK, health)
}

func (s *Service) problems(name string) (problems []healthTrait) {
	add := func(reason, detail string) { problems = append(problems, healthTrait{name, reason, detail}) }
	state, now := s.verifier.State(), s.now()
	if state.Breaker == "open" {
		add("service_unavailable", "BWS has failed several times in a row and is left alone for some seconds")
	}
	if state.Refused {
		add("service_misconfigured", "BWS refuses app_id and app_secret")
	}
	switch age, read := s.ledger.StaleFor(now); {
	case !read:
		add("ledger_unavailable", "the storage has not been read since the start")
	case age > s.grace:
		add("ledger_unavailable", "the storage has not been readable for longer than storage_grace")
	}
	for _, purpose := range ledger.Purposes() {
		if _, err := s.ledger.Keys(purpose).Current(); err != nil {
			add("ledger_unavailable", "there is no "+purpose.Name+" key")
		}
	}
	return problems
}
