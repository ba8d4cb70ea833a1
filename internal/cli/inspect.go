package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/policy"
)

// claims are what a token says. Nobody has verified it.
type claims struct {
	TokenID       string     `json:"token_id"`
	Client        string     `json:"client"`
	App           string     `json:"app"`
	BCID          string     `json:"bcid"`
	Action        string     `json:"action"`
	Task          int32      `json:"task"`
	MaxTries      int        `json:"max_tries"`
	LiveDetection bool       `json:"live_detection"`
	Challenge     bool       `json:"challenge"`
	AutoEnroll    bool       `json:"auto_enroll"`
	Traits        []string   `json:"traits"`
	NotBefore     time.Time  `json:"not_before"`
	Expires       time.Time  `json:"expires"`
	IssuedAt      *time.Time `json:"issued_at"`
	Issuer        string     `json:"issuer"`
	Audience      string     `json:"audience"`
	// AgeSeconds is the time since NotBefore, negative before it.
	AgeSeconds int64 `json:"age_seconds"`
	// Valid says that the time is right, with the tolerance that gates have.
	Valid bool `json:"valid_now"`
}

// inspected is a decoded token.
type inspected struct {
	// Verified is always false: nobody but BWS can verify a token.
	Verified bool `json:"verified"`
	claims
}

func (e *environment) inspect() *cobra.Command {
	var flags tokenFlags
	var out output
	cmd := &cobra.Command{
		Use:   "inspect [--token-file <path>] [--json]",
		Short: "Decodes a token, and verifies nothing",
		Long: `
Decodes a BWS token: for whom it is, for which operation under which conditions,
and until when. Nobody is asked. What a token says is proven by nothing here: the
signature can be checked by BWS alone, which 'caddy bws result' asks.
` + tokenHelp + `
Exits with 0 for a well-formed token, whether it has expired or not, and with 3 for
anything else.`,
		Example: `  caddy bws inspect <token
  caddy bws inspect --json --token-file token`,
		Args: NoArguments,
		RunE: Run(func(cmd *cobra.Command, _ []string) error {
			token, err := flags.read(cmd)
			if err != nil {
				return err
			}
			parsed, err := bws.ParseToken(token)
			if err != nil {
				return negative("%v", err)
			}
			c := e.claimsOf(&parsed)
			return out.print(cmd, inspected{claims: c}, func(w io.Writer) {
				c.print(w, e.now())
				fmt.Fprintln(w, "\nNothing of this is verified: anybody can write such a token. Ask BWS with 'caddy bws result'.")
			})
		}),
	}
	flags.add(cmd)
	out.add(cmd)
	return cmd
}

func (e *environment) claimsOf(c *bws.UnverifiedClaims) claims {
	now := e.now()
	action, _ := c.Task.Action()
	decoded := claims{
		TokenID: c.TokenID, Client: c.Client, App: c.App, BCID: c.BCID,
		Action: string(action), Task: int32(c.Task), MaxTries: c.Task.Tries(), LiveDetection: c.Task.LiveDetection(),
		Challenge: c.Task.Challenge(), AutoEnroll: c.Task.AutoEnroll(), Traits: traitsOf(c.Traits),
		NotBefore: c.NotBefore, Expires: c.Expires, Issuer: c.Issuer, Audience: c.Audience,
		AgeSeconds: int64(now.Sub(c.NotBefore) / time.Second),
		Valid:      policy.JudgeClaims(c, c.App, now) == "",
	}
	if !c.IssuedAt.IsZero() {
		decoded.IssuedAt = &c.IssuedAt
	}
	return decoded
}

// traitsOf names the bits of the traits claim.
func traitsOf(bits int32) []string {
	names := []string{}
	for i, name := range []string{"face", "periocular", "voice"} {
		if bits&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

func (c *claims) print(w io.Writer, now time.Time) {
	row(w, "app", orNone(c.App))
	row(w, "bcid", orNone(c.BCID))
	row(w, "operation", c.operation())
	row(w, "traits", orNone(strings.Join(c.Traits, ", ")))
	row(w, "issued", point(c.NotBefore, now))
	row(w, "expires", point(c.Expires, now))
	row(w, "now", c.validity(now))
	row(w, "token id", orNone(c.TokenID))
	row(w, "client", orNone(c.Client))
	row(w, "issuer", orNone(c.Issuer))
	row(w, "audience", orNone(c.Audience))
}

// operation writes the flags of the task in words.
func (c *claims) operation() string {
	words := []string{c.Action}
	if c.Action == "" {
		words[0] = "unknown"
	}
	with := func(present bool, yes, no string) {
		if present {
			words = append(words, yes)
		} else if no != "" {
			words = append(words, no)
		}
	}
	with(c.LiveDetection, "with live detection", "without live detection")
	with(c.Challenge, "with challenges", "")
	with(c.AutoEnroll, "enrolls, too", "")
	return fmt.Sprintf("%s, up to %d tries (task %d)", strings.Join(words, ", "), c.MaxTries, c.Task)
}

func (c *claims) validity(now time.Time) string {
	switch {
	case c.Valid:
		return "within its time"
	case now.Before(c.NotBefore):
		return "not valid yet"
	}
	return "expired"
}
