package caddybws

import (
	"net/http"
	"time"

	"github.com/caddy-bws/caddy-bws/internal/adminapi"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
)

func (a *Admin) services(w http.ResponseWriter, _ *http.Request) error {
	services := running()
	statuses := make([]adminapi.Service, 0, len(services))
	for _, s := range services {
		statuses = append(statuses, s.status(s.name))
	}
	return writeBody(w, http.StatusOK, statuses)
}

func (s *Service) status(name string) adminapi.Service {
	now, state, limits := s.now(), s.verifier.State(), s.limits()
	status := adminapi.Service{
		Name: name, Endpoint: s.client.Endpoint(), Breaker: state.Breaker,
		Remembered: state.Remembered, CacheSize: limits.Size, Inflight: state.Inflight, MaxInflight: limits.Inflight,
		Keys: []adminapi.Key{},
	}
	for _, purpose := range ledger.Purposes() {
		for _, key := range s.ledger.Keys(purpose).All() {
			status.Keys = append(status.Keys, adminapi.Key{
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

func (a *Admin) health(w http.ResponseWriter, _ *http.Request) error {
	health := adminapi.Health{Status: "ready"}
	for _, s := range running() {
		health.Problems = append(health.Problems, s.problems(s.name)...)
	}
	if len(health.Problems) > 0 {
		health.Status = "not ready"
		return writeBody(w, http.StatusServiceUnavailable, health)
	}
	return writeBody(w, http.StatusOK, health)
}

func (s *Service) problems(name string) (problems []adminapi.Problem) {
	add := func(reason, detail string) {
		problems = append(problems, adminapi.Problem{Service: name, Reason: reason, Detail: detail})
	}
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
