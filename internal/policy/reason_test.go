package policy

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
)

func TestJudgeClaims(t *testing.T) {
	good := func() bws.UnverifiedClaims {
		return bws.UnverifiedClaims{App: "app", NotBefore: now, Expires: now.Add(10 * time.Minute)}
	}
	for name, test := range map[string]struct {
		edit func(*bws.UnverifiedClaims)
		want Reason
	}{
		"good":                       {func(*bws.UnverifiedClaims) {}, ""},
		"no app":                     {func(c *bws.UnverifiedClaims) { c.App = "" }, ""},
		"another app":                {func(c *bws.UnverifiedClaims) { c.App = "APP" }, ForeignToken},
		"last moment before the end": {func(c *bws.UnverifiedClaims) { c.Expires = now.Add(-Skew + 1) }, ""},
		"at the end":                 {func(c *bws.UnverifiedClaims) { c.Expires = now.Add(-Skew) }, ExpiredToken},
		"first valid moment":         {func(c *bws.UnverifiedClaims) { c.NotBefore = now.Add(Skew) }, ""},
		"a moment too early":         {func(c *bws.UnverifiedClaims) { c.NotBefore = now.Add(Skew + 1) }, NotYetValid},
		"ends before it begins": {func(c *bws.UnverifiedClaims) {
			c.NotBefore, c.Expires = now.Add(time.Hour), now.Add(-time.Hour)
		}, ExpiredToken},
		"expired and of another app":  {func(c *bws.UnverifiedClaims) { c.App, c.Expires = "other", now.Add(-time.Hour) }, ExpiredToken},
		"too early and another app's": {func(c *bws.UnverifiedClaims) { c.App, c.NotBefore = "other", now.Add(time.Hour) }, NotYetValid},
	} {
		t.Run(name, func(t *testing.T) {
			claims := good()
			test.edit(&claims)
			if got := JudgeClaims(&claims, "app", now); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// Every reason is either one that judging comes to or one of those that the gate gives before there is anything to judge.
func TestReasonsAreComplete(t *testing.T) {
	known := map[Reason]bool{
		NoToken: true, AmbiguousToken: true, MalformedToken: true, ForeignToken: true,
		SessionExpired: true, TooEarly: true, LedgerUnavailable: true, Revoked: true, Spent: true,
	}
	for _, fault := range faults {
		known[fault.reason] = true
	}
	source, err := os.ReadFile("reason.go")
	if err != nil {
		t.Fatal(err)
	}
	declared := make(map[Reason]bool)
	for _, match := range regexp.MustCompile(`\bReason\s+= "(\w+)"`).FindAllSubmatch(source, -1) {
		declared[Reason(match[1])] = true
	}
	if !maps.Equal(declared, known) {
		t.Errorf("declared are\n%q, tested are\n%q", slices.Sorted(maps.Keys(declared)), slices.Sorted(maps.Keys(known)))
	}
}
