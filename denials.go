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
	policy.NoToken:        {http.StatusUnauthorized, "Please verify yourself", "This page opens after your face or eyes have been verified.", 0},
	policy.AmbiguousToken: {http.StatusBadRequest, "Two different verifications", "Your browser sent two different verifications at once. Remove this site's cookies and verify yourself again.", 0},
	policy.MalformedToken: {http.StatusUnauthorized, "Please verify yourself", "What was sent as a verification is none. " + verifyAgain, 0},
	policy.ExpiredToken:   {http.StatusUnauthorized, "Your verification has expired", verifyAgain, 0},
	policy.NotYetValid:    {http.StatusUnauthorized, "Your verification is not valid yet", "The clocks involved disagree. Please try again later.", 0},
	policy.ForeignToken:   {http.StatusUnauthorized, "Your verification belongs elsewhere", "It was made for another application. " + verifyAgain, 0},
	policy.RejectedToken:  {http.StatusUnauthorized, "Your verification is not valid", verifyAgain, 0},
	policy.Pending:        {http.StatusUnauthorized, "Your verification is not finished", "Complete it, then load this page again.", 2 * time.Second},
	policy.TooOld:         {http.StatusUnauthorized, "Your verification is too old", "This page asks for a recent one. " + verifyAgain, 0},

	policy.ServiceUnavailable:   {http.StatusServiceUnavailable, "The verification service cannot be reached", tryLater, 10 * time.Second},
	policy.ServiceTimeout:       {http.StatusGatewayTimeout, "The verification service did not answer in time", tryLater, 0},
	policy.ServiceMisconfigured: {http.StatusBadGateway, "Verification is out of order", "The operator of this site has to mend it.", 0},
	policy.ServiceInvalid:       {http.StatusBadGateway, "Verification is out of order", "The verification service gave an answer that makes no sense. " + tryLater, 0},
	policy.RateLimited:          {http.StatusTooManyRequests, "Too many verifications", "From where you are, there have been many in a short time. Please try again in a moment.", 10 * time.Second},
	policy.ServiceBusy:          {http.StatusServiceUnavailable, "Many people are being verified right now", tryLater, 2 * time.Second},
	policy.InternalError:        {http.StatusInternalServerError, "Something went wrong", "This page cannot be shown right now.", 0},

	policy.NotRecognized:           {http.StatusForbidden, "You were not recognized", verifyAgain, 0},
	policy.LiveDetectionFailed:     {http.StatusForbidden, "Live detection failed", "The camera must see a living person. " + verifyAgain, 0},
	policy.ChallengeResponseFailed: {http.StatusForbidden, "The head movements did not match", verifyAgain, 0},
	policy.NoTemplate:              {http.StatusForbidden, "You are not enrolled", "Ask the operator of this site how to enroll.", 0},
	policy.NotEnoughSamples:        {http.StatusForbidden, "The camera did not see enough", "Make sure that your face is well lit. " + verifyAgain, 0},
	policy.OperationFailed:         {http.StatusForbidden, "The verification failed", verifyAgain, 0},
	policy.JobTimedOut:             {http.StatusServiceUnavailable, "The verification service is busy", tryLater, 5 * time.Second},

	policy.Contradiction:    {http.StatusForbidden, "The verification does not add up", verifyAgain, 0},
	policy.ActionNotAllowed: {http.StatusForbidden, "Another kind of verification is needed", "The one you performed does not open this page.", 0},
	policy.BCIDNotAllowed:   {http.StatusForbidden, "This page is not open to you", notYourTurn, 0},
	policy.ScoreTooLow:      {http.StatusForbidden, "You were not recognized clearly enough", verifyAgain, 0},
	policy.MarginTooSmall:   {http.StatusForbidden, "You were not recognized clearly enough", verifyAgain, 0},
	policy.NotLive:          {http.StatusForbidden, "Live detection is needed", "The verification you performed did not ask for it.", 0},
	policy.NoChallenge:      {http.StatusForbidden, "A challenge is needed", "The verification you performed did not ask for one.", 0},
}
