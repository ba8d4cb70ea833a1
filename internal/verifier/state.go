package verifier

// State is what a verifier is doing, for those who watch it.
type State struct {
	// Breaker is closed, open or half-open.
	Breaker string
	// Remembered is how many tokens something is remembered of.
	Remembered int
	// Inflight is how many calls to the service are under way.
	Inflight int
	// Refused says that the service did not accept the credentials when it was asked last.
	Refused bool
}

// State returns what the verifier is doing.
func (v *Verifier) State() State {
	return State{
		Breaker:    v.breaker.State().String(),
		Remembered: v.known.cache.EstimatedSize(),
		Inflight:   int(v.inflight.Load()),
		Refused:    v.refused.Load(),
	}
}
