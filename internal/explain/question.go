package explain

import (
	"slices"
	"time"

	"github.com/caddy-bws/caddy-bws/internal/policy"
)

// Question is a request that nobody has sent, and what BWS and the storage would say about it.
type Question struct {
	// Server is the name of the server that gets the request, or an address it listens on. Default: by the port of URL.
	Server string
	// Method and URL are those of the request, Header its lines as "Name: value", each name in its canonical spelling.
	Method, URL string
	Header      []string
	// Client is the address that the request comes from.
	Client string
	// User is whom a first factor would say that the request comes from.
	User string

	// Token is presented as it is. Otherwise one is made up from Claims, if there is a need for one.
	Token  string
	Claims Claims
	// Result is BWS's answer in JSON. Without one nobody has performed the operation.
	Result []byte
	// Fault is a reason of [Faults] that is to come about in place of, or in spite of, the result.
	Fault policy.Reason
	// SessionAge is how long ago the session began that the request brings along, and Idle how long ago it was used last; nil for
	// none.
	SessionAge *time.Duration
	Idle       time.Duration
	// Now is the time of the request.
	Now time.Time
}

// Claims are what a token says that is made up. The zero value is a new token for whatever the result is about.
type Claims struct {
	// Given says that a token is wanted though there is neither a result nor a fault.
	Given bool
	// Age is how long ago the token was issued, less than 0 for the future.
	Age time.Duration
	// Lifetime is from then to the token's end. Default: 10m.
	Lifetime time.Duration
	// Task is the operation: verify, identify, enroll or livenessdetection. Default: that of the result.
	Task string
	// Conditions are of live_detection, challenge and autoenroll. Default: live_detection.
	Conditions []string
	// BCID is whom the token is for. Default: whom the result names.
	BCID string
	// App is the App-ID. Default: the service's.
	App string
}

// Faults are the reasons that neither a request nor a result leads to.
var Faults = []policy.Reason{
	policy.Pending, policy.RejectedToken, policy.ServiceUnavailable, policy.ServiceTimeout, policy.ServiceMisconfigured,
	policy.ServiceInvalid, policy.RateLimited, policy.ServiceBusy, policy.InternalError, policy.LedgerUnavailable, policy.Revoked,
	policy.Spent,
}

// PresentsToken reports whether the request carries a token.
func (q *Question) PresentsToken() bool {
	return q.Token != "" || q.Claims.Given || q.SessionAge == nil && (q.Result != nil || q.Fault != "")
}

// NeedsResult reports whether the fault concerns only what would be allowed otherwise.
func (q *Question) NeedsResult() bool {
	return slices.Contains([]policy.Reason{policy.LedgerUnavailable, policy.Revoked, policy.Spent}, q.Fault)
}
