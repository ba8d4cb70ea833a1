package cli

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddy-bws/caddy-bws/bws"
)

// diagnosis is what came of a call to BWS, and what to do about it.
type diagnosis struct {
	// Outcome is one of the words below.
	Outcome string `json:"outcome"`
	// Detail says what happened; empty if all is well.
	Detail string `json:"detail"`
	// Remedy says what to do; empty if there is nothing to do.
	Remedy string `json:"remedy"`
}

const (
	outcomeOK            = "ok"
	outcomeRefused       = "refused"
	outcomeUnavailable   = "unavailable"
	outcomeTimedOut      = "timed_out"
	outcomeInvalid       = "invalid"
	outcomeMisconfigured = "misconfigured"
	outcomeSkipped       = "skipped"
)

// diagnose explains the error of a call.
func diagnose(err error) diagnosis {
	if err == nil {
		return diagnosis{Outcome: outcomeOK}
	}
	d := diagnosis{Detail: err.Error()}
	answer, _ := errors.AsType[*bws.Error](err)
	switch {
	case answer != nil && answer.API == "token" && answer.Status == http.StatusBadRequest:
		d.Outcome = outcomeRefused
		d.Remedy = "'caddy bws probe' says which storages, partitions and operations it offers"
	case errors.Is(err, bws.ErrUnauthorized):
		d.Outcome = outcomeRefused
		d.Remedy = "compare app_id, app_secret and endpoint with what BioID issued: they belong together"
	case errors.Is(err, bws.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		d.Outcome = outcomeTimedOut
		d.Remedy = "see whether this machine reaches the endpoint at all; if BWS is merely slow, raise timeout"
	case errors.Is(err, bws.ErrUnavailable):
		d.Outcome = outcomeUnavailable
		d.Remedy = "see whether this machine reaches the endpoint: its name, firewalls, the option proxy, and for a private " +
			"certificate tls_trust_pool; if BWS itself is down, wait"
	case errors.Is(err, bws.ErrInvalidResponse):
		d.Outcome = outcomeInvalid
		d.Remedy = "see whether endpoint is the Web API of BWS, such as " + bws.DefaultEndpoint + ", and no page or proxy in front of it"
	default:
		d.Outcome = outcomeMisconfigured
	}
	return d
}

// exit is what a command exits with that ends with this.
func (d *diagnosis) exit() int {
	switch d.Outcome {
	case outcomeOK, outcomeSkipped:
		return 0
	case outcomeRefused:
		return exitNegative
	}
	return exitFault
}

// failed is the error of a command that can't go on after a failed call.
func failed(err error) error {
	d := diagnose(err)
	text := d.Detail
	if d.Remedy != "" {
		text += ": " + d.Remedy
	}
	return &failure{d.exit(), text}
}
