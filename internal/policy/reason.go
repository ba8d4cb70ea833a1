package policy

import (
	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

// Reason says why a request was denied. The values are part of the public contract.
type Reason string

// The reasons, in the order in which they are judged.
const (
	NoToken        Reason = "no_token"
	AmbiguousToken Reason = "ambiguous_token"
	MalformedToken Reason = "malformed_token"

	ExpiredToken Reason = "expired_token"
	NotYetValid  Reason = "not_yet_valid"
	ForeignToken Reason = "foreign_token"

	SessionExpired    Reason = "session_expired"
	TooEarly          Reason = "too_early"
	LedgerUnavailable Reason = "ledger_unavailable"

	RejectedToken        Reason = "rejected_token"
	Pending              Reason = "pending"
	ServiceUnavailable   Reason = "service_unavailable"
	ServiceTimeout       Reason = "service_timeout"
	ServiceMisconfigured Reason = "service_misconfigured"
	ServiceInvalid       Reason = "service_invalid"
	RateLimited          Reason = "rate_limited"
	ServiceBusy          Reason = "service_busy"
	InternalError        Reason = "internal_error"

	NotRecognized           Reason = "not_recognized"
	LiveDetectionFailed     Reason = "live_detection_failed"
	ChallengeResponseFailed Reason = "challenge_response_failed"
	NoTemplate              Reason = "no_template"
	NotEnoughSamples        Reason = "not_enough_samples"
	JobTimedOut             Reason = "job_timed_out"
	OperationFailed         Reason = "operation_failed"

	Contradiction    Reason = "contradiction"
	TooOld           Reason = "too_old"
	ActionNotAllowed Reason = "action_not_allowed"
	BCIDNotAllowed   Reason = "bcid_not_allowed"
	ScoreTooLow      Reason = "score_too_low"
	MarginTooSmall   Reason = "margin_too_small"
	NotLive          Reason = "not_live"
	NoChallenge      Reason = "no_challenge"

	Revoked Reason = "revoked"
	Spent   Reason = "spent"
)

// ofOutcome returns the reason to deny when the service gave no result.
func ofOutcome(outcome evidence.Outcome) Reason {
	switch outcome {
	case evidence.Pending:
		return Pending
	case evidence.Rejected:
		return RejectedToken
	case evidence.Unavailable:
		return ServiceUnavailable
	case evidence.TimedOut:
		return ServiceTimeout
	case evidence.Misconfigured:
		return ServiceMisconfigured
	case evidence.RateLimited:
		return RateLimited
	case evidence.Busy:
		return ServiceBusy
	case evidence.Crashed:
		return InternalError
	case evidence.None, evidence.Answered, evidence.Invalid:
	}
	return ServiceInvalid
}

// ofFailure returns the reason to deny an operation that was performed and failed.
func ofFailure(code bws.ErrorCode) Reason {
	switch code {
	case "":
		return NotRecognized
	case bws.LiveDetectionFailed:
		return LiveDetectionFailed
	case bws.ChallengeResponseFailed:
		return ChallengeResponseFailed
	case bws.NoTemplateAvailable:
		return NoTemplate
	case bws.NotEnoughSamples:
		return NotEnoughSamples
	case bws.ExecutionOfJobTimedOut:
		return JobTimedOut
	}
	return OperationFailed
}
