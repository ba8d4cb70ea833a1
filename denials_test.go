package caddybws

import (
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/internal/policy"
)

// statuses are part of the public contract.
var statuses = map[policy.Reason]int{
	"no_token":        http.StatusUnauthorized,
	"malformed_token": http.StatusUnauthorized,
	"ambiguous_token": http.StatusBadRequest,
	"expired_token":   http.StatusUnauthorized,
	"not_yet_valid":   http.StatusUnauthorized,
	"foreign_token":   http.StatusUnauthorized,
	"rejected_token":  http.StatusUnauthorized,
	"pending":         http.StatusUnauthorized,
	"too_old":         http.StatusUnauthorized,

	"not_recognized":            http.StatusForbidden,
	"live_detection_failed":     http.StatusForbidden,
	"challenge_response_failed": http.StatusForbidden,
	"no_template":               http.StatusForbidden,
	"not_enough_samples":        http.StatusForbidden,
	"operation_failed":          http.StatusForbidden,
	"job_timed_out":             http.StatusServiceUnavailable,

	"action_not_allowed": http.StatusForbidden,
	"bcid_not_allowed":   http.StatusForbidden,
	"score_too_low":      http.StatusForbidden,
	"margin_too_small":   http.StatusForbidden,
	"not_live":           http.StatusForbidden,
	"no_challenge":       http.StatusForbidden,
	"contradiction":      http.StatusForbidden,

	"service_unavailable":   http.StatusServiceUnavailable,
	"service_timeout":       http.StatusGatewayTimeout,
	"service_misconfigured": http.StatusBadGateway,
	"service_invalid":       http.StatusBadGateway,
	"rate_limited":          http.StatusTooManyRequests,
	"service_busy":          http.StatusServiceUnavailable,

	"session_expired":    http.StatusUnauthorized,
	"revoked":            http.StatusUnauthorized,
	"spent":              http.StatusUnauthorized,
	"ledger_unavailable": http.StatusServiceUnavailable,

	// beyond the contract: a mistake of our own, and what must not spend a token
	"internal_error": http.StatusInternalServerError,
	"too_early":      http.StatusTooEarly,
}

// asksToRetry are the reasons that pass by themselves, also by contract.
var asksToRetry = []policy.Reason{policy.Pending, policy.JobTimedOut, policy.ServiceUnavailable, policy.RateLimited, policy.ServiceBusy}

func TestEveryReasonHasADenial(t *testing.T) {
	source, err := os.ReadFile("internal/policy/reason.go")
	if err != nil {
		t.Fatal(err)
	}
	declared := make(map[policy.Reason]bool)
	for _, match := range regexp.MustCompile(`\bReason\s+= "(\w+)"`).FindAllSubmatch(source, -1) {
		declared[policy.Reason(match[1])] = true
	}
	for _, described := range [][]policy.Reason{slices.Sorted(maps.Keys(denials)), slices.Sorted(maps.Keys(statuses))} {
		if !slices.Equal(described, slices.Sorted(maps.Keys(declared))) {
			t.Errorf("described are\n%q, declared are\n%q", described, slices.Sorted(maps.Keys(declared)))
		}
	}
}

func TestDenials(t *testing.T) {
	titles := make(map[string]policy.Reason)
	for reason, status := range statuses {
		d := denialOf(reason)
		if d.status != status {
			t.Errorf("%s: status %d, want %d", reason, d.status, status)
		}
		if (d.retryAfter > 0) != slices.Contains(asksToRetry, reason) {
			t.Errorf("%s: retry after %s", reason, d.retryAfter)
		}
		if d.isForClient() != (status == 401 || status == 403) {
			t.Errorf("%s: is for the client: %v", reason, d.isForClient())
		}
		if d.title == "" || !strings.HasSuffix(d.text, ".") || strings.HasSuffix(d.title, ".") {
			t.Errorf("%s: %q, %q is no headline with sentences", reason, d.title, d.text)
		}
		titles[d.title] = reason
	}
	if len(titles) < len(statuses)-3 {
		t.Errorf("%d titles for %d reasons tell too little apart", len(titles), len(statuses))
	}
}

// What nobody has thought of is denied, too.
func TestUnknownReason(t *testing.T) {
	for _, reason := range []policy.Reason{"", "surprise"} {
		if d := denialOf(reason); d.status != http.StatusInternalServerError || d.title == "" || d.text == "" || d.isForClient() {
			t.Errorf("%q: got %+v", reason, d)
		}
	}
}
