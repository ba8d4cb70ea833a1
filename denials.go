package caddybws

import (
	"net/http"
	"time"

	"github.com/caddy-bws/caddy-bws/internal/policy"
)

// denial is what a client is told about a reason. The texts are a closed list: nothing a client or the service sent is in them.
type denial struct {
	status int
	// title and text say what happened and what the person can do.
	title, text string
	// retryAfter is when asking again may help; 0 if it will not by itself.
	retryAfter time.Duration
}

// isForClient says that the client, and not a service behind the gate, can mend it.
func (d denial) isForClient() bool {
	return d.status == http.StatusUnauthorized || d.status == http.StatusForbidden
}

// denialOf returns what to tell about a reason. One that nobody has described is our own mistake, and denied as such.
func denialOf(reason policy.Reason) denial {
	if d, ok := denials[reason]; ok {
		return d
	}
	return denials[policy.InternalError]
}

const (
	verifyAgain = "Please verify yourself again."
	notYourTurn = "You were recognized, but that does not open this page."
	tryLater    = "This is not your fault. Please try again in a moment."
)

var denials = map[policy.Reason]denial{
	policy.NoToken: {
		status: http.StatusUnauthorized,
		title:  "Please verify yourself",
		text:   "This page opens after your face or eyes have been verified.",
	},
	policy.AmbiguousToken: {
		status: http.StatusBadRequest,
		title:  "Two different verifications",
		text:   "Your browser sent two different verifications at once. Remove this site's cookies and verify yourself again.",
	},
	policy.MalformedToken: {
		status: http.StatusUnauthorized,
		title:  "Please verify yourself",
		text:   "What was sent as a verification is none. " + verifyAgain,
	},
	policy.ExpiredToken: {
		status: http.StatusUnauthorized,
		title:  "Your verification has expired",
		text:   verifyAgain,
	},
	policy.NotYetValid: {
		status: http.StatusUnauthorized,
		title:  "Your verification is not valid yet",
		text:   "The clocks involved disagree. Please try again later.",
	},
	policy.ForeignToken: {
		status: http.StatusUnauthorized,
		title:  "Your verification belongs elsewhere",
		text:   "It was made for another application. " + verifyAgain,
	},
	policy.RejectedToken: {
		status: http.StatusUnauthorized,
		title:  "Your verification is not valid",
		text:   verifyAgain,
	},
	policy.Pending: {
		status:     http.StatusUnauthorized,
		title:      "Your verification is not finished",
		text:       "Complete it, then load this page again.",
		retryAfter: 2 * time.Second,
	},
	policy.TooOld: {
		status: http.StatusUnauthorized,
		title:  "Your verification is too old",
		text:   "This page asks for a recent one. " + verifyAgain,
	},

	policy.SessionExpired: {
		status: http.StatusUnauthorized,
		title:  "Your session has expired",
		text:   verifyAgain,
	},
	policy.Revoked: {
		status: http.StatusUnauthorized,
		title:  "Your verification has been revoked",
		text:   "You have been signed out. " + verifyAgain,
	},
	policy.Spent: {
		status: http.StatusUnauthorized,
		title:  "Your verification has been used",
		text:   "It was good for one request. " + verifyAgain,
	},
	policy.TooEarly: {
		status: http.StatusTooEarly,
		title:  "Too early",
		text:   "Your browser asked for this page before it was needed. Please load it again.",
	},
	policy.LedgerUnavailable: {
		status: http.StatusServiceUnavailable,
		title:  "Your verification cannot be checked right now",
		text:   tryLater,
	},

	policy.ServiceUnavailable: {
		status:     http.StatusServiceUnavailable,
		title:      "The verification service cannot be reached",
		text:       tryLater,
		retryAfter: 10 * time.Second,
	},
	policy.ServiceTimeout: {
		status: http.StatusGatewayTimeout,
		title:  "The verification service did not answer in time",
		text:   tryLater,
	},
	policy.ServiceMisconfigured: {
		status: http.StatusBadGateway,
		title:  "Verification is out of order",
		text:   "The operator of this site has to mend it.",
	},
	policy.ServiceInvalid: {
		status: http.StatusBadGateway,
		title:  "Verification is out of order",
		text:   "The verification service gave an answer that makes no sense. " + tryLater,
	},
	policy.RateLimited: {
		status:     http.StatusTooManyRequests,
		title:      "Too many verifications",
		text:       "From where you are, there have been many in a short time. Please try again in a moment.",
		retryAfter: 10 * time.Second,
	},
	policy.ServiceBusy: {
		status:     http.StatusServiceUnavailable,
		title:      "Many people are being verified right now",
		text:       tryLater,
		retryAfter: 2 * time.Second,
	},
	policy.InternalError: {
		status: http.StatusInternalServerError,
		title:  "Something went wrong",
		text:   "This page cannot be shown right now.",
	},

	policy.NotRecognized: {
		status: http.StatusForbidden,
		title:  "You were not recognized",
		text:   verifyAgain,
	},
	policy.LiveDetectionFailed: {
		status: http.StatusForbidden,
		title:  "Live detection failed",
		text:   "The camera must see a living person. " + verifyAgain,
	},
	policy.ChallengeResponseFailed: {
		status: http.StatusForbidden,
		title:  "The head movements did not match",
		text:   verifyAgain,
	},
	policy.NoTemplate: {
		status: http.StatusForbidden,
		title:  "You are not enrolled",
		text:   "Ask the operator of this site how to enroll.",
	},
	policy.NotEnoughSamples: {
		status: http.StatusForbidden,
		title:  "The camera did not see enough",
		text:   "Make sure that your face is well lit. " + verifyAgain,
	},
	policy.OperationFailed: {
		status: http.StatusForbidden,
		title:  "The verification failed",
		text:   verifyAgain,
	},
	policy.JobTimedOut: {
		status:     http.StatusServiceUnavailable,
		title:      "The verification service is busy",
		text:       tryLater,
		retryAfter: 5 * time.Second,
	},

	policy.Contradiction: {
		status: http.StatusForbidden,
		title:  "The verification does not add up",
		text:   verifyAgain,
	},
	policy.ActionNotAllowed: {
		status: http.StatusForbidden,
		title:  "Another kind of verification is needed",
		text:   "The one you performed does not open this page.",
	},
	policy.BCIDNotAllowed: {
		status: http.StatusForbidden,
		title:  "This page is not open to you",
		text:   notYourTurn,
	},
	policy.ScoreTooLow: {
		status: http.StatusForbidden,
		title:  "You were not recognized clearly enough",
		text:   verifyAgain,
	},
	policy.MarginTooSmall: {
		status: http.StatusForbidden,
		title:  "You were not recognized clearly enough",
		text:   verifyAgain,
	},
	policy.NotLive: {
		status: http.StatusForbidden,
		title:  "Live detection is needed",
		text:   "The verification you performed did not ask for it.",
	},
	policy.NoChallenge: {
		status: http.StatusForbidden,
		title:  "A challenge is needed",
		text:   "The verification you performed did not ask for one.",
	},
}
