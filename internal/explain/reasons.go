// Package explain puts into words why a gate denies: what each reason means, and what the person and the operator can do.
package explain

import "github.com/caddy-bws/caddy-bws/internal/policy"

// Entry is what there is to say about a reason. All of it is for operators, except User.
type Entry struct {
	// Reason is the reason as decisions, logs and placeholders show it.
	Reason policy.Reason `json:"reason"`
	// Status is the HTTP status of the denial.
	Status int `json:"status"`
	// Meaning says what was found.
	Meaning string `json:"meaning"`
	// Options are the options on which it depends, as in a Caddyfile.
	Options []string `json:"options,omitempty"`
	// User says what the person who was denied can do.
	User string `json:"user"`
	// Operator says what to look at, and what to change if the denial is not meant.
	Operator string `json:"operator"`
}

// Of returns what there is to say about a reason, and false for what is none.
func Of(reason policy.Reason) (Entry, bool) {
	for _, e := range Reasons {
		if e.Reason == reason {
			return e, true
		}
	}
	return Entry{}, false
}

const (
	verifyAgain = "Verify again."
	waitAndSee  = "Try again in a moment; nothing is wrong with the verification."
	tellSomeone = "Nothing; the operator has to mend it."
)

// Reasons are all reasons, in the order in which they are judged.
var Reasons = []Entry{
	{
		Reason: policy.NoToken, Status: 401,
		Meaning: "The request carries neither a session nor a token in any of the places where the gate looks.",
		Options: []string{"token", "session", "login"},
		User:    "Perform the biometric operation.",
		Operator: "This is the ordinary answer to a first request. If the app sends tokens, compare where with the option token; a gate with " +
			"login looks only at its own cookie unless token is given. Cookies whose names begin with `__Host-` travel over HTTPS only: behind " +
			"a proxy, set trusted_proxies, so that Caddy knows. Use login to send browsers to the camera.",
	},
	{
		Reason: policy.AmbiguousToken, Status: 400,
		Meaning: "One place, or the cookie of the session, holds two different values. The gate does not guess which one another server " +
			"would take.",
		Options: []string{"token", "session"},
		User:    "Remove the cookies of this site and verify again.",
		Operator: "Two apps below one domain may set a cookie of the same name: use a name that begins with `__Host-`, or another one. If " +
			"only one client is concerned, this may be an attack.",
	},
	{
		Reason: policy.MalformedToken, Status: 401,
		Meaning: "What stands in the place of the token is none: a canonical JWT of at most 4 KiB with exp and nbf. BWS is not asked.",
		Options: []string{"token"},
		User:    verifyAgain,
		Operator: "Look for what sends other things in this place: an app that uses Authorization for its own tokens, or a proxy that cuts " +
			"long headers. `caddy bws inspect` shows what a token consists of. Name another place with token.",
	},
	{
		Reason: policy.ExpiredToken, Status: 401,
		Meaning: "The token has ended by its claim exp, more than a minute ago. BWS is not asked.",
		Options: []string{"session"},
		User:    verifyAgain,
		Operator: "Tokens live some ten minutes. Use session to let evidence outlive its token. If fresh tokens are denied, the clock of " +
			"this machine is ahead: have it synchronized.",
	},
	{
		Reason: policy.NotYetValid, Status: 401,
		Meaning:  "The token, or the session, begins more than a minute in the future. BWS is not asked.",
		User:     "Try again in a minute.",
		Operator: "The clock of this machine is behind, or that of another node is ahead: have all clocks synchronized.",
	},
	{
		Reason: policy.ForeignToken, Status: 401,
		Meaning: "The token was issued to another App-ID than the service's. BWS is not asked.",
		Options: []string{"app_id"},
		User:    "Verify for this site.",
		Operator: "Compare the claim app (`caddy bws inspect`) with app_id of the service that the gate names. An app that requests its own " +
			"tokens must use the same App-ID; with several services, the gate may name the wrong one.",
	},
	{
		Reason: policy.SessionExpired, Status: 401,
		Meaning: "The session has lasted for its lifetime, or for its idle time without a request. A token would still count.",
		Options: []string{"session", "idle"},
		User:    verifyAgain,
		Operator: "This is the ordinary end of a session. Its lifetime counts from when its token was seen first, and each gate judges by " +
			"its own. Raise session or idle if people work longer.",
	},
	{
		Reason: policy.TooEarly, Status: 425,
		Meaning:  "The request would spend a token, but nobody wants it yet: the browser makes it in advance, or it may be repeated on its way.",
		Options:  []string{"once"},
		User:     "Load the page again.",
		Operator: "Spend tokens where something is changed, and not where pages are read: once POST.",
	},
	{
		Reason: policy.LedgerUnavailable, Status: 503,
		Meaning: "The storage does not say what is spent or revoked: once cannot be guaranteed, revocations have been unreadable for " +
			"storage_grace, or there is no key to begin a login or sign an assertion with.",
		Options: []string{"once", "session", "login", "assertion", "storage", "storage_grace"},
		User:    waitAndSee,
		Operator: "Look for \"the storage fails\" in the log of http.handlers.bws or bws, and whether the storage can be reached, written to " +
			"and is not full. Until it works again, once and sessions deny, and so do logins and assertions on a node that has no key yet; " +
			"all else goes on.",
	},
	{
		Reason: policy.RejectedToken, Status: 401,
		Meaning: "BWS does not accept the token: it has ended there, was not signed by this BWS, or is invented (status 400).",
		Options: []string{"endpoint", "app_id"},
		User:    verifyAgain,
		Operator: "If all tokens are rejected, endpoint and app_id do not belong to the BWS that issues them. Single ones are expired or " +
			"forged; client_rate bounds how many a client can try.",
	},
	{
		Reason: policy.Pending, Status: 401,
		Meaning: "BWS accepts the token, but nobody has performed its operation yet (status 204).",
		Options: []string{"login"},
		User:    "Complete the verification, then load the page again.",
		Operator: "The app presents the token before the operation has ended, or the person has left the camera page. The denial is never " +
			"remembered: the next request asks again.",
	},
	{
		Reason: policy.ServiceUnavailable, Status: 503,
		Meaning: "BWS could not be reached, answered 5xx or 429, or has failed so often that it is left alone for some seconds.",
		Options: []string{"endpoint", "proxy", "tls_trust_pool"},
		User:    waitAndSee,
		Operator: "Use `caddy bws probe` on this machine: it tells name, network, proxy and TLS faults apart. The log says \"service fault\" " +
			"with the cause. Sessions go on; what needs BWS is denied until it answers.",
	},
	{
		Reason: policy.ServiceTimeout, Status: 504,
		Meaning: "BWS did not answer within timeout, retries included.",
		Options: []string{"timeout"},
		User:    waitAndSee,
		Operator: "Use `caddy bws probe` and compare its time with timeout. Look for a slow proxy or DNS server; raise timeout only if BWS " +
			"is slow from where you are.",
	},
	{
		Reason: policy.ServiceMisconfigured, Status: 502,
		Meaning: "BWS does not accept the App-ID or the App-Secret (status 401 or 403). Nobody gets in with a token.",
		Options: []string{"app_id", "app_secret", "endpoint"},
		User:    tellSomeone,
		Operator: "Correct app_id and app_secret and reload; check both with `caddy bws probe`. Look whether the secret has been replaced at " +
			"BioID, and whether the environment that Caddy runs in has the variable.",
	},
	{
		Reason: policy.ServiceInvalid, Status: 502,
		Meaning: "The answer is not one that the API documents: a redirect, an odd status, or a body that is not exactly a result. Success " +
			"with an Error is one.",
		Options: []string{"endpoint", "proxy"},
		User:    tellSomeone,
		Operator: "The log says \"service fault\" with what is wrong. Usually something else answers: a captive portal, a proxy, a wrong " +
			"path in endpoint. If it is BWS itself, its API has changed: report it.",
	},
	{
		Reason: policy.RateLimited, Status: 429,
		Meaning: "The client has caused more calls than client_rate allows for tokens that BWS had not accepted before.",
		Options: []string{"client_rate"},
		User:    waitAndSee,
		Operator: "A client is an address, or a /64 of IPv6. If many people come from one address, raise client_rate; if all seem to come " +
			"from your proxy, set trusted_proxies. Else somebody is trying tokens.",
	},
	{
		Reason: policy.ServiceBusy, Status: 503,
		Meaning: "As many calls to BWS are under way as max_inflight allows.",
		Options: []string{"max_inflight", "timeout"},
		User:    waitAndSee,
		Operator: "If BWS is slow, that is the cause: see service_timeout. Else raise max_inflight, or use session, so that fewer requests " +
			"need BWS.",
	},
	{
		Reason: policy.InternalError, Status: 500,
		Meaning:  "The gate itself has failed. It denies whatever it cannot decide.",
		User:     tellSomeone,
		Operator: "The log has an ERROR with a stack: report it. Restarting Caddy does no harm; sessions outlive it.",
	},
	{
		Reason: policy.NotRecognized, Status: 403,
		Meaning:  "The operation was performed, and the person is not the one whom the token names (Success false without an Error).",
		User:     "Look into the camera in good light and verify again; have yourself enrolled again if it keeps failing.",
		Operator: "If it happens to one person, the enrollment is poor: enroll again. Compare whom the token was requested for (login: bcid).",
	},
	{
		Reason: policy.LiveDetectionFailed, Status: 403,
		Meaning:  "Live detection did not see a living person.",
		User:     "Move the head as the page asks, in good light, without a picture or a screen in view; then verify again.",
		Operator: "Single ones are ordinary. Many for one person or address may be somebody with a photograph.",
	},
	{
		Reason: policy.ChallengeResponseFailed, Status: 403,
		Meaning:  "The movements of the head were not those that were asked for.",
		Options:  []string{"require", "challenge"},
		User:     "Follow the movements that the page shows, and verify again.",
		Operator: "If people cannot follow, require live_detection without a challenge is easier, and proves less.",
	},
	{
		Reason: policy.NoTemplate, Status: 403,
		Meaning: "Nobody is enrolled under the BCID of the token.",
		Options: []string{"bcid"},
		User:    "Have yourself enrolled.",
		Operator: "Compare the BCID of the token with that of the enrollment; look whether login: bcid makes the right one of the user. " +
			"Templates may have been deleted at BWS.",
	},
	{
		Reason: policy.NotEnoughSamples, Status: 403,
		Meaning:  "The camera did not deliver enough usable images.",
		User:     "Look into the camera, in good light, alone in the picture; then verify again.",
		Operator: "Many of these hint at a camera page that sends too little, or at cameras that do not work there.",
	},
	{
		Reason: policy.JobTimedOut, Status: 503,
		Meaning:  "BWS did not finish the operation in time (ExecutionOfJobTimedOut). It is nobody's fault.",
		User:     "Verify again in a moment.",
		Operator: "If it lasts, BWS is overloaded: tell BioID, or whoever runs your installation.",
	},
	{
		Reason: policy.OperationFailed, Status: 403,
		Meaning:  "The operation was performed and failed with an Error that has no reason of its own.",
		User:     verifyAgain,
		Operator: "Ask BWS for the Error of the token: `caddy bws result`.",
	},
	{
		Reason: policy.Contradiction, Status: 403,
		Meaning: "Two pieces of evidence disagree: the result is about another operation or person than the token, or the token names " +
			"another person than the session.",
		Options: []string{"session", "login"},
		User:    "Log out, then verify again.",
		Operator: "After a change of persons in one browser, log the former out (bws_logout). A result that does not belong to its token is " +
			"a fault of BWS, or an attack: report it.",
	},
	{
		Reason: policy.TooOld, Status: 401,
		Meaning: "The biometric act is older than max_age, counted from when its token was issued.",
		Options: []string{"max_age"},
		User:    verifyAgain,
		Operator: "That is what max_age is for; sessions do not make an act younger. Use login to have browsers verify again by themselves, " +
			"or raise max_age.",
	},
	{
		Reason: policy.Revoked, Status: 401,
		Meaning:  "The session, the token or everything of the person has been revoked: by logging out, or by an operator.",
		Options:  []string{"session", "bws_logout"},
		User:     verifyAgain,
		Operator: "A token that was issued after the revocation counts again. Who must not come back has to be removed at BWS or from bcid.",
	},
	{
		Reason: policy.ActionNotAllowed, Status: 403,
		Meaning: "The operation is none of those that allow names, or the token also enrolls, which is not allowed.",
		Options: []string{"allow"},
		User:    "Perform the operation that the page asks for.",
		Operator: "Name the operation with allow, or request tokens for the one that is allowed. Tokens with AutoEnroll need enrollment in " +
			"allow.",
	},
	{
		Reason: policy.BCIDNotAllowed, Status: 403,
		Meaning: "The person was verified and is none of those that bcid names; or a login would be for nobody who could pass.",
		Options: []string{"bcid"},
		User:    "Use the account whose face you have.",
		Operator: "Compare the person with the patterns of bcid. A placeholder that is empty, holds * or / or is no number matches nobody: " +
			"look whether the first factor comes before the gate, and what map makes of its user.",
	},
	{
		Reason: policy.ScoreTooLow, Status: 403,
		Meaning:  "The best match of the identification is poorer than min_score, or there is none.",
		Options:  []string{"min_score"},
		User:     "Verify again in better light.",
		Operator: "Lower min_score only with figures of your own: it is what keeps strangers out. Use verification where the person is known.",
	},
	{
		Reason: policy.MarginTooSmall, Status: 403,
		Meaning:  "The two best matches of the identification are closer together than min_margin.",
		Options:  []string{"min_margin"},
		User:     "Verify again in better light.",
		Operator: "The same person may be enrolled twice, or two look alike. Use verification for them, or lower min_margin.",
	},
	{
		Reason: policy.NotLive, Status: 403,
		Meaning:  "The token did not demand live detection, so that a photograph could have passed.",
		Options:  []string{"require"},
		User:     "Verify with live detection.",
		Operator: "Request tokens with livedetection=true, as login does. require none would accept it, and photographs too.",
	},
	{
		Reason: policy.NoChallenge, Status: 403,
		Meaning:  "The token did not demand challenge-response.",
		Options:  []string{"require", "challenge"},
		User:     "Verify with the movements of the head.",
		Operator: "Request tokens with challenge=true, as login does at a gate with require challenge; or demand less: require live_detection.",
	},
	{
		Reason: policy.Spent, Status: 401,
		Meaning: "The token is good for one request, and another one has used it.",
		Options: []string{"once"},
		User:    verifyAgain,
		Operator: "If people are denied at their first try, something makes two requests: a page that loads itself, a retrying proxy. Name " +
			"the methods that spend: once POST.",
	},
}
