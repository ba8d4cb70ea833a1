package caddybws

import (
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Any bytes may follow the name of the directive. What is accepted says the same in JSON, and has no mistake that would be found
// there.
func FuzzUnmarshalLogout(f *testing.F) {
	for _, text := range []string{
		"",
		" step-up",
		" step-up {\n\tredirect https://www.example.com/?from=a#b\n\tcookie __Host-a\n}",
		" {\n\tredirect /\n}",
		" {\n\tredirect {env.BYE}/a\n\tcookie a\n}",
		" \"\" {\n\tredirect //b {\n\t}\n\tredirect\n}",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := caddyfile.Tokenize([]byte("bws_logout"+text), "Caddyfile")
		if err != nil {
			return
		}
		if l := new(Logout); l.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)) == nil {
			assertSameInJSON(t, l, l.check())
		}
	})
}
