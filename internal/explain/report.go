package explain

import (
	"net/http"

	"github.com/caddy-bws/caddy-bws/internal/policy"
)

// Report is what would become of a request.
type Report struct {
	// Request is the request in one line.
	Request string `json:"request"`
	// Server is the name of the server that gets it.
	Server string `json:"server"`
	// Decision is "allow" or "deny", or "open" if nothing holds the request up though no gate has looked at it.
	Decision string `json:"decision"`
	// Reason is that of the first gate that denies.
	Reason policy.Reason `json:"reason,omitempty"`
	// Steps are what the request meets, in this order, and the gates that it does not meet.
	Steps []Step `json:"steps"`
	// Notes say what was assumed.
	Notes []string `json:"notes,omitempty"`
	// Warnings are about what is allowed but probably not meant.
	Warnings []string `json:"warnings,omitempty"`
}

// The decisions of a report.
const (
	Allow = "allow"
	Deny  = "deny"
	Open  = "open"
)

// Denied reports whether the request would not reach the app.
func (r *Report) Denied() bool { return r.Decision == Deny }

// Step is a handler that a request meets, or a gate that it does not.
type Step struct {
	// Path is where the handler stands in the JSON of the server.
	Path string `json:"path"`
	// Handler is the name of the module.
	Handler string `json:"handler"`
	// Remark says what the handler does with the request, as far as that matters.
	Remark string `json:"remark,omitempty"`
	// NotMatched names the matchers that keep the request from a gate.
	NotMatched []string `json:"not_matched,omitempty"`
	// NotReached says that another handler answers before.
	NotReached bool `json:"not_reached,omitempty"`
	// Gate is what a gate decides, nil for other handlers and for gates that do not match.
	Gate *Gate `json:"gate,omitempty"`
}

// Gate is what a gate decides about a request.
type Gate struct {
	// Service is the name of the service.
	Service string `json:"service"`
	// ReportOnly says that the gate denies nothing.
	ReportOnly bool `json:"report_only,omitempty"`
	// Decision is "allow" or "deny".
	Decision string `json:"decision"`
	// Reason says why the gate denies.
	Reason policy.Reason `json:"reason,omitempty"`
	// Found and Demanded say in words what decided.
	Found    string `json:"found,omitempty"`
	Demanded string `json:"demanded,omitempty"`
	// Meaning and Remedy are what [Entry] says about the reason.
	Meaning string `json:"meaning,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
	// Options are what the gate looks at, in this order.
	Options []Option `json:"options"`
	// Answer is what the client gets from the gate, nil if the request goes on.
	Answer *Answer `json:"answer,omitempty"`
	// Warnings are about what is allowed but probably not meant.
	Warnings []string `json:"warnings,omitempty"`
}

// Option is what one option of a gate demands of a request, and what there is.
type Option struct {
	// Name is the option as in a Caddyfile, or what else is looked at.
	Name string `json:"name"`
	// Demanded and Found are in words.
	Demanded string `json:"demanded"`
	Found    string `json:"found"`
	// Verdict is one of those below.
	Verdict Verdict `json:"verdict"`
}

// Verdict is what comes of one option.
type Verdict string

// The verdicts.
const (
	OK Verdict = "ok"
	// Failed is what decides.
	Failed Verdict = "failed"
	// AlsoFails would decide if nothing before did.
	AlsoFails Verdict = "also fails"
	// Skipped is not looked at.
	Skipped Verdict = "not looked at"
)

// Answer is what a client gets from a gate.
type Answer struct {
	// Kind is "page", "problem", "redirect", "login", "error" or "detour".
	Kind string `json:"kind"`
	// Status is the HTTP status.
	Status int `json:"status"`
	// Header are the header fields that say something.
	Header http.Header `json:"header,omitempty"`
}
