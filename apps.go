package caddybws

import (
	"slices"
	"sync"
)

// apps are those that have been started and not stopped: while a configuration replaces another, two of them; and again the old
// one if the new one is refused.
var apps startedApps

type startedApps struct {
	mu      sync.Mutex
	started []*App
}

func (s *startedApps) add(a *App) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = append(s.started, a)
}

func (s *startedApps) remove(a *App) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = slices.DeleteFunc(s.started, func(other *App) bool { return other == a })
}

// latest returns the app that was started last, or one without services.
func (s *startedApps) latest() *App {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.started); n > 0 {
		return s.started[n-1]
	}
	return new(App)
}
