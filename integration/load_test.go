package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	oneService = `{"services":{"default":{"app_id":"app","app_secret":"s3cret"}}}`
	oneGate    = `{"handler":"bws","bcid":["bioid/9876/*"]}`
)

// configOf is a configuration in JSON of the app and one gate.
func configOf(app, gate string) []byte {
	return fmt.Appendf(nil, `{"apps":{"bws":%s,"http":{"servers":{"s":{"listen":[":80"],"routes":[{"handle":[%s]}]}}}}}`, app, gate)
}

// withService is a configuration whose only service has, besides what is required or in its place, the given members.
func withService(members string) []byte {
	return configOf(`{"services":{"default":{"app_id":"app","app_secret":"s3cret",`+members+`}}}`, oneGate)
}

// withGate is a configuration whose only gate has the given members.
func withGate(members string) []byte {
	return configOf(oneService, `{"handler":"bws",`+members+`}`)
}

// The members of a gate and of a service as they are documented, with every option.
func TestLoadJSON(t *testing.T) {
	setPlaceholders(t)
	app := `{"services":{"default":{"endpoint":"{env.BWS_ENDPOINT}","app_id":"app","app_secret":"{env.BWS_APP_SECRET}",
		"timeout":"5s","cache_ttl":"10s","failure_ttl":"1s","cache_size":100000,"max_inflight":64,
		"client_rate":{"calls":60,"per":"1m"},"proxy":"","tls_trust_pool":{}}}}`
	gate := `{"handler":"bws","service":"default",
		"token":[{"cookie":"bws_token"},{"header":"X-BWS-Token"},{"bearer":true}],
		"allow":["verification"],"bcid":["bioid/9876/*"],"min_score":0.7,"min_margin":0.1,"max_age":"2m","require":"live_detection",
		"deny":{"mode":"redirect","to":"https://login.example.com/"},"identity_headers":{"Remote-User":["{http.bws.bcid}"]},
		"report_only":false}`
	if err := load(configOf(app, gate)); err != nil {
		t.Error(err)
	}
}

// Security cases 97 and 104: mistakes in JSON are refused as those in a Caddyfile are.
func TestLoadRefusesApps(t *testing.T) {
	covers(t, 104)
	for _, tt := range []struct{ app, want string }{
		{`{}`, `no default service … app_id`},
		{`{"services":{"step-up":{"app_id":"app","app_secret":"s3cret"}}}`, `no default service … app_id`},
		{`{"services":{"a b":{"app_id":"app","app_secret":"s3cret"}}}`, `service name "a b" … letters`},
		{`{"services":{"":{"app_id":"app","app_secret":"s3cret"}}}`, `service name "" … letters`},
		{`{"services":{"default":null}}`, `service "default" … null`},
		{`{"services":{"default":{"app_secret":"s3cret"}}}`, `service "default" … app_id is missing`},
		{`{"services":{"default":{"app_id":"app"}}}`, `service "default" … app_secret is missing`},
		{`{"service":{}}`, `unknown field "service"`},
	} {
		t.Run(tt.app, func(t *testing.T) { assertDoesNotLoad(t, configOf(tt.app, oneGate), tt.want) })
	}
}

func TestLoadRefusesServices(t *testing.T) {
	covers(t, 90, 97, 104)
	for _, tt := range []struct{ members, want string }{
		{`"timeout":"99ms"`, `timeout: 99ms … 100ms to 1m0s`},
		{`"timeout":"61s"`, `timeout: 1m1s … 100ms to 1m0s`},
		{`"timeout":-1`, `timeout: -1ns … 100ms to 1m0s`},
		{`"timeout":"5"`, `missing unit … 5`},
		{`"cache_ttl":-1`, `cache_ttl: -1ns … 0s to 10m0s`},
		{`"cache_ttl":"601s"`, `cache_ttl: 10m1s … 0s to 10m0s`},
		{`"failure_ttl":"61s"`, `failure_ttl: 1m1s … 0s to 1m0s`},
		{`"cache_size":-1`, `cache_size: -1 … 1 to 10000000`},
		{`"max_inflight":10001`, `max_inflight: 10001 … 1 to 10000`},
		{`"client_rate":{"calls":60}`, `client_rate: 0s … 1s to 24h0m0s`},
		{`"client_rate":{"per":"1m"}`, `client_rate: 0 … 1 to 1000000`},
		{`"client_rate":{"calls":60,"per":"1m","burst":5}`, `unknown field "burst"`},
		{`"app_id":"app:s3cret"`, `app_id … colon`},
		{`"app_secret":1`, `app_secret … string`},
		{`"endpoint":"http://bws.example.com"`, `endpoint … https`},
		{`"endpoint":"https://bws.example.com/?key=s3cret"`, `endpoint … query`},
		{`"proxy":"s3cret@proxy:3128"`, `proxy … socks5://host:port`},
		{`"tls_trust_pool":{"provider":"vault"}`, `tls_trust_pool … vault`},
		{`"tls_trust_pool":{"pem_files":["testdata/ca.pem"]}`, `tls_trust_pool … provider`},
		{`"tls_trust_pool":{"provider":"file","pem_files":["nowhere.pem"]}`, `tls_trust_pool … nowhere.pem`},
		{`"secret":"s3cret"`, `unknown field "secret"`},
	} {
		t.Run(tt.members, func(t *testing.T) { assertDoesNotLoad(t, withService(tt.members), tt.want) })
	}
}

func TestLoadRefusesGates(t *testing.T) {
	covers(t, 104)
	for _, tt := range []struct{ members, want string }{
		{`"service":"step-up"`, `no service "step-up" … bws step-up`},
		{`"service":"a b"`, `service name "a b" … letters`},
		{`"token":[{}]`, `token … exactly one of cookie, header and bearer`},
		{`"token":[{"cookie":"a","bearer":true}]`, `token … exactly one of cookie, header and bearer`},
		{`"token":[{"header":"X-A"},{"header":"x-a"}]`, `token … x-a … twice`},
		{`"token":[{"header":"x_user"}],"identity_headers":{"X-User":["a"]}`, `token … x_user … identity header`},
		{`"token":[{"query":"t"}]`, `unknown field "query"`},
		{`"allow":["verify"]`, `allow: unknown action "verify" … verification`},
		{`"allow":["enrollment","enrollment"]`, `allow … enrollment … twice`},
		{`"bcid":[""]`, `bcid "" … storage/partition/class`},
		{`"bcid":["bioid/9876/0"]`, `bcid "bioid/9876/0" … class other than 0`},
		{`"bcid":["bioid/9876/*"],"allow":["enrollment"]`, `bcid … enrollment`},
		{`"bcid":["{http.auth.user.id}"],"allow":["livenessdetection"]`, `bcid … livenessdetection`},
		{`"allow":["identification"]`, `min_score … required … identification`},
		{`"min_score":-0.1`, `min_score: -0.1 … 0 to 1`},
		{`"min_score":1.1`, `min_score: 1.1 … 0 to 1`},
		{`"min_score":"0.7"`, `min_score … float64`},
		{`"min_margin":-0.1`, `min_margin: -0.1 … 0 to 1`},
		{`"min_margin":1.1`, `min_margin: 1.1 … 0 to 1`},
		{`"max_age":"999ms"`, `max_age: 999ms … 1s to 24h0m0s`},
		{`"max_age":"1d1s"`, `max_age: 24h0m1s … 1s to 24h0m0s`},
		{`"max_age":"-1m"`, `max_age: -1m0s … 1s to 24h0m0s`},
		{`"max_age":"300"`, `missing unit … 300`},
		{`"max_ages":"5m"`, `unknown field "max_ages"`},
		{`"require":"liveness"`, `require … "liveness" … live_detection`},
		{`"deny":{"mode":"forbid"}`, `deny … "forbid" … respond`},
		{`"deny":{"to":"/login"}`, `deny … "/login"`},
		{`"deny":{"mode":"redirect"}`, `deny redirect … missing`},
		{`"deny":{"status":302}`, `unknown field "status"`},
		{`"identity_headers":{"X-User":[]}`, `identity_headers … X-User … no value`},
		{`"identity_headers":{"X-User":["a\r\nb: c"]}`, `identity_headers … X-User … control character`},
		{`"identity_headers":{"X-User":["a"],"x.user":["b"]}`, `identity_headers … X-User … X.user`},
		{`"assertion":{"header":"a b"}`, `assertion: "a b" … letters`},
		{`"assertion":{"header":"X-A"},"identity_headers":{"x.a":["b"]}`, `assertion: X-A … identity header`},
		{`"assertion":{"header":"X-A"},"token":[{"header":"x_a"}]`, `assertion: X-A … token`},
		{`"assertion":{"lifetime":"4s"}`, `assertion: lifetime: 4s … 5s to 10m0s`},
		{`"assertion":{"ttl":"1m"}`, `unknown field "ttl"`},
	} {
		t.Run(tt.members, func(t *testing.T) { assertDoesNotLoad(t, withGate(tt.members), tt.want) })
	}
}

// Placeholders are resolved when the configuration is loaded. What they yield is held to the same rules, and never shown.
func TestLoadRefusesPlaceholders(t *testing.T) {
	covers(t, 104)
	t.Setenv("EMPTY", "")
	t.Setenv("COLON", "app:s3cret")
	t.Setenv("LINES", "s3cret\ns3cret")
	t.Setenv("PLAIN_HTTP", "http://s3cret.example.com")
	t.Setenv("FTP", "ftp://s3cret.example.com")

	for _, tt := range []struct{ members, want string }{
		{`"app_id":"{env.NOT_SET}"`, `app_id … {env.NOT_SET} is empty`},
		{`"app_id":"{env.EMPTY}"`, `app_id … {env.EMPTY} is empty`},
		{`"app_id":"{env.COLON}"`, `app_id … colon`},
		{`"app_secret":"{env.NOT_SET}"`, `app_secret … {env.NOT_SET} is empty`},
		{`"app_secret":"s3cret{env.NOT_SET}"`, `app_secret … {env.NOT_SET} is empty`},
		{`"app_secret":"{file.nowhere}"`, `app_secret … {file.nowhere} is empty`},
		{`"app_secret":"{env.LINES}"`, `app_secret … control character`},
		{`"app_secret":"a{s3cret}b"`, `app_secret … unknown placeholder`},
		{`"endpoint":"{env.NOT_SET}"`, `endpoint … {env.NOT_SET} is empty`},
		{`"endpoint":"{env.PLAIN_HTTP}"`, `endpoint … https`},
		{`"endpoint":"https://{bws.host}/"`, `endpoint … unknown placeholder`},
		{`"proxy":"{env.NOT_SET}"`, `proxy … {env.NOT_SET} is empty`},
		{`"proxy":"{env.FTP}"`, `proxy … socks5://host:port`},
	} {
		t.Run(tt.members, func(t *testing.T) { assertDoesNotLoad(t, withService(tt.members), tt.want) })
	}
	for _, tt := range []struct{ to, want string }{
		{"{env.NOT_SET}", `deny redirect … {env.NOT_SET} is empty`},
		{"{env.FTP}", `deny redirect … "{env.FTP}" … http or https`},
		{"{http.request.uri.query.to}", `deny redirect … unknown placeholder`},
	} {
		t.Run(tt.to, func(t *testing.T) {
			assertDoesNotLoad(t, withGate(`"deny":{"mode":"redirect","to":"`+tt.to+`"}`), tt.want)
		})
	}
}

// assertDoesNotLoad wants an error that says, in order, what stands between the dots.
func assertDoesNotLoad(t *testing.T, config []byte, want string) {
	t.Helper()
	err := load(config)
	if err == nil {
		t.Fatal("loaded")
	}
	rest := err.Error()
	for part := range strings.SplitSeq(want, " … ") {
		var found bool
		if _, rest, found = strings.Cut(rest, part); !found {
			t.Fatalf("want the error %q, got %q", want, err)
		}
	}
	if !caddysOwn.MatchString(err.Error()) {
		assertHelps(t, err)
	}
	if strings.Contains(err.Error(), secretMark) {
		t.Errorf("the error shows a secret: %v", err)
	}
}

// caddysOwn are errors of reading JSON, in which the module has no say.
var caddysOwn = regexp.MustCompile(`unknown field|missing unit|cannot unmarshal`)

// Loading a configuration must work while the service or the network is down, and `caddy validate` must not reach out.
func TestLoadOpensNoConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	url := "http://" + l.Addr().String()
	for _, members := range []string{`"endpoint":"` + url + `"`, `"proxy":"` + url + `"`} {
		if err := load(withService(members)); err != nil {
			t.Fatal(err)
		}
	}
	// Connections are accepted in the order in which they were made: ours must be the first.
	ours, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	first, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if first.RemoteAddr().String() != ours.LocalAddr().String() {
		t.Error("loading the configuration opened a connection")
	}
}

// What is allowed but probably not meant is said once, when the configuration is loaded.
func TestLoadWarnings(t *testing.T) {
	dir := t.TempDir()
	log, config := filepath.Join(dir, "log"), filepath.Join(dir, "Caddyfile")
	text := `{
	log {
		output file ` + log + `
		format json
	}
	bws {
		app_id app
		app_secret s3cret
		cache_ttl 61s
	}
	bws wise {
		app_id app
		app_secret s3cret
		cache_ttl 1m
	}
}

:80

bws /bound {
	bcid bioid/9876/*
}

bws /alive {
	allow livenessdetection
}

bws /anyone

bws /photo {
	bcid bioid/9876/*
	require none
}
`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	caddy(t, "validate", "--config", config)

	for text, n := range map[string]int{
		"no bcid: whoever is enrolled may pass":              1,
		"require none: a photograph may pass for the person": 1,
		"cache_ttl is above a minute":                        1,
		`"logger":"http.handlers.bws"`:                       2,
		secretMark:                                           0,
	} {
		if got := strings.Count(readFile(t, log), text); got != n {
			t.Errorf("the log has %q %d times, want %d:\n%s", text, got, n, readFile(t, log))
		}
	}
}

func TestListModules(t *testing.T) {
	modules := strings.Fields(caddy(t, "list-modules"))
	for _, want := range []string{"bws", "http.handlers.bws", "http.handlers.bws_jwks", "http.handlers.bws_logout"} {
		if !slices.Contains(modules, want) {
			t.Errorf("caddy list-modules does not show %s", want)
		}
	}
}
