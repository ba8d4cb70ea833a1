package caddybws

import (
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// saysWhatToDo are the words with which an error says what to do.
var saysWhatToDo = regexp.MustCompile(`\b(add|change|choose|correct|give|keep|name|remove|shorten|use|write)\b`)

// Whatever is wrong with an option, the error names the option, the value, and a remedy. Values that may be secrets, or hold some by
// mistake, are not shown.
func TestLoadErrorsNameOptionValueAndRemedy(t *testing.T) {
	const hidden = ""
	for block, rows := range map[string][]struct{ line, option, value string }{
		"gate": {
			{"token query t", "token", "query"},
			{"token", "token", hidden},
			{"token cookie a=b", "token", "a=b"},
			{"token cookie a\ntoken cookie a", "token", "cookie a"},
			{"token header Cookie", "token", "Cookie"},
			{"token header Upgrade", "token", "Upgrade"},
			{"token header X-BWS-BCID", "token", "X-BWS-BCID"},
			{"allow verify", "allow", "verify"},
			{"allow enrollment enrollment", "allow", "enrollment"},
			{"allow identification", "min_score", hidden},
			{"bcid bioid/1/0", "bcid", "bioid/1/0"},
			{"bcid {a", "bcid", "{a"},
			{"bcid bioid/{a}", "bcid", "bioid/{a}"},
			{"bcid bioid/x/{a}", "bcid", "bioid/x/{a}"},
			{"bcid a/1/1\nallow enrollment", "bcid", "enrollment"},
			{"min_score 2", "min_score", "2"},
			{"min_score high", "min_score", "high"},
			{"min_margin -1", "min_margin", "-1"},
			{"max_age 2d", "max_age", "48h"},
			{"max_age x", "max_age", "x"},
			{"require all", "require", "all"},
			{"once post", "once", "post"},
			{"once POST POST", "once", "POST"},
			{"once\nsession", "once and session", hidden},
			{"session 1s", "session", "1s"},
			{"session {\nidle 1ms\n}", "session: idle", "1ms"},
			{"session 1m {\nidle 2m\n}", "session: idle", "2m0s"},
			{"session {\ncookie a=b\n}", "session: cookie", "a=b"},
			{"session {\ncookie a\n}\ntoken cookie a", "session: cookie", "a is"},
			{"session {\nsame_site none\n}", "session: same_site", "none"},
			{"session {\nx\n}", "session", "x"},
			{"bcid a/1/1\nlogin {\ntask enroll\n}", "login: task", "enroll"},
			{"bcid a/1/1\nlogin {\ntask x\n}", "login: task", "x"},
			{"bcid a/1/1\nlogin {\ntask identify\n}", "login: task", "identify"},
			{"login {\nbcid a/1/*\n}", "login: bcid", "a/1/*"},
			{"login {\nbcid a/x/1\n}", "login: bcid", "a/x/1"},
			{"login {\nbcid a/1\n}", "login: bcid", "a/1"},
			{"login {\nbcid a/1/0\n}", "login: bcid", "a/1/0"},
			{"login {\nbcid {a\n}", "login: bcid", "{a"},
			{"login", "login: bcid", hidden},
			{"allow livenessdetection\nlogin {\nbcid a/1/1\n}", "login: bcid", "livenessdetection"},
			{"allow enrollment\nlogin", "login", "enrollment"},
			{"allow verification enrollment\nlogin", "login: task", hidden},
			{"bcid a/1/1\nlogin {\nmax_tries 16\n}", "login: max_tries", "16"},
			{"login {\nui http://example.com\n}", "login: ui", hidden},
			{"login {\nui https://user@example.com\n}", "login: ui", hidden},
			{"login {\nui x\n}", "login: ui", hidden},
			{"login {\nx\n}", "login", "x"},
			{"deny forbid", "deny", "forbid"},
			{"deny redirect x", "deny redirect", "x"},
			{"deny", "deny", hidden},
			{"identity_headers on", "identity_headers", "on"},
			{"identity_headers {\nHost a\n}", "identity_headers", "Host"},
			{"identity_headers {\nA@ a\n}", "identity_headers", "A@"},
			{"identity_headers {\nX-A a\nX_a b\n}", "identity_headers", "X_a"},
			{"identity_headers {\nX-A \"\ta\x01\"\n}", "identity_headers", `\x01`},
			{"report_only on", "report_only", hidden},
			{"x", "option", "x"},
			{"require challenge\nrequire none", "require", "line 2"},
		},
		"service": {
			{"app_id a:b\napp_secret b", "app_id", hidden},
			{"app_secret b", "app_id", hidden},
			{"app_id a", "app_secret", hidden},
			{"app_id a\napp_secret s3cret s3cret", "app_secret", hidden},
			{"endpoint http://example.com", "endpoint", hidden},
			{"endpoint https://user:s3cret@example.com", "endpoint", hidden},
			{"endpoint ftp://example.com", "endpoint", hidden},
			{"timeout 1ms", "timeout", "1ms"},
			{"cache_ttl 1h\napp_id a\napp_secret b", "cache_ttl", "1h"},
			{"failure_ttl 1h", "failure_ttl", "1h"},
			{"cache_size 0", "cache_size", "0"},
			{"cache_size many", "cache_size", "many"},
			{"max_inflight 10001", "max_inflight", "10001"},
			{"client_rate 1", "client_rate", "1"},
			{"client_rate 0 1m", "client_rate", "0"},
			{"client_rate 1 1ms", "client_rate", "1ms"},
			{"proxy s3cret", "proxy", hidden},
			{"tls_trust_pool vault", "tls_trust_pool", "vault"},
			{"storage redis", "storage", "redis"},
			{"storage_grace 1s", "storage_grace", "1s"},
			{"x s3cret", "option", "x"},
		},
		"logout": {
			{"redirect x", "redirect", "x"},
			{"cookie a;b", "cookie", "a;b"},
			{"x", "option", "x"},
		},
	} {
		for _, row := range rows {
			t.Run(block+" "+row.line, func(t *testing.T) {
				d := caddyfile.NewTestDispenser("bws {\n" + row.line + "\n}")
				var err error
				switch block {
				case "gate":
					err = new(Gate).UnmarshalCaddyfile(d)
				case "service":
					_, err = parseService(d, nil)
				default:
					err = new(Logout).UnmarshalCaddyfile(d)
				}
				if err == nil {
					t.Fatal("accepted")
				}
				text := err.Error()
				if !strings.Contains(text, row.option) || !strings.Contains(text, row.value) || !saysWhatToDo.MatchString(text) {
					t.Errorf("%q leaves out one of option %q, value %q and remedy", text, row.option, row.value)
				}
				if strings.Contains(text, "s3cret") {
					t.Errorf("%q shows a secret", text)
				}
			})
		}
	}
}
