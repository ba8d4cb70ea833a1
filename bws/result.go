package bws

import (
	"context"
	"net/url"
)

// Action names a biometric operation in a result.
type Action string

// The actions a result may report. The first three are documented, livenessdetection was observed.
const (
	Verification   Action = "verification"
	Identification Action = "identification"
	Enrollment     Action = "enrollment"
	LiveDetection  Action = "livenessdetection"
)

// Known reports whether a is one of the actions above, spelled exactly so.
func (a Action) Known() bool {
	switch a {
	case Verification, Identification, Enrollment, LiveDetection:
		return true
	}
	return false
}

// ErrorCode says why an operation failed. The set is open: a service may report others than those below.
type ErrorCode string

// The documented reasons for a failed operation. A verification that fails without a reason did not recognize the person.
const (
	LiveDetectionFailed     ErrorCode = "LiveDetectionFailed"
	ChallengeResponseFailed ErrorCode = "ChallengeResponseFailed"
	NoTemplateAvailable     ErrorCode = "NoTemplateAvailable"
	NotEnoughSamples        ErrorCode = "NotEnoughSamples"
	ExecutionOfJobTimedOut  ErrorCode = "ExecutionOfJobTimedOut"
)

// Match is one candidate of an identification.
type Match struct {
	// BCID is the candidate.
	BCID BCID
	// Score is the similarity, 0 to 1, higher is better.
	Score float64
}

// OperationResult is the outcome of the last operation performed with a token. It changes when the operation is repeated.
type OperationResult struct {
	// Action is the operation. Always known if Success; may be empty otherwise (observed).
	Action Action
	// BCID is whom the operation was about. For an identification it is the partition that was searched, with class 0
	// (documented) or another (observed); the person found is the first of Matches. Zero for a liveness detection, and for a
	// failure that names nobody.
	BCID BCID
	// Success says that the operation succeeded, which for an identification means only that the search was performed.
	Success bool
	// Error says why the operation failed. Always empty if Success.
	Error ErrorCode
	// Matches are the candidates of an identification, best first.
	Matches []Match
}

// Result returns the outcome of the last operation performed with token. The service checks the token: its signature, and that
// it belongs to this application (documented). Result does not look into the token itself; that is for [ParseToken]. The error
// is an [*Error], and with it the result means nothing.
func (c *Client) Result(ctx context.Context, token string) (OperationResult, error) {
	if token == "" {
		return OperationResult{}, &Error{Kind: ErrTokenRejected, API: apiResult, detail: "it is empty and was not sent"}
	}
	body, err := c.get(ctx, apiResult, acceptJSON, url.Values{"access_token": {token}})
	if err != nil {
		return OperationResult{}, err
	}
	return DecodeResult(body)
}
