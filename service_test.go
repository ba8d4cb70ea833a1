package caddybws

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

func TestResolve(t *testing.T) {
	t.Setenv("BWS_TEST_SECRET", "s3cret{not.again}")
	t.Setenv("BWS_TEST_EMPTY", "")
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]string{
		"plain":                     "plain",
		"{env.BWS_TEST_SECRET}":     "s3cret{not.again}",
		"":                          "",
		"pre{env.BWS_TEST_SECRET}-": "pres3cret{not.again}-",
		"{file." + file + "}":       "from a file",
		`\{plain\}`:                 "{plain}",
	} {
		if got, err := resolve(value); err != nil || got != want {
			t.Errorf("%q: got %q, %v; want %q", value, got, err, want)
		}
	}
	for _, value := range []string{"{env.BWS_TEST_EMPTY}", "x{env.BWS_TEST_UNSET}", "{http.request.host}"} {
		if got, err := resolve(value); err == nil {
			t.Errorf("%q: got %q, want an error", value, got)
		}
	}
	// A secret with braces that nobody has escaped
	if _, err := resolve("hunt{er}2"); err == nil || strings.Contains(err.Error(), "er}") {
		t.Errorf("got %v, want an error that does not quote the value", err)
	}
}

func TestParseProxy(t *testing.T) {
	for _, value := range []string{"http://proxy:3128", "https://user:pass@proxy.example", "socks5://127.0.0.1:1080"} {
		if u, err := parseProxy(value); err != nil || u.String() != value {
			t.Errorf("%q: got %v, %v", value, u, err)
		}
	}
	const secret = "hunter2"
	for _, value := range []string{
		"", "proxy:3128", "//proxy", "http://", "ftp://user:" + secret + "@proxy", "socks5://", "http://user:" + secret + "@proxy:x",
		"http://" + secret + "\x00",
	} {
		if u, err := parseProxy(value); err == nil {
			t.Errorf("%q: got %v, want an error", value, u)
		} else if !strings.HasPrefix(err.Error(), "proxy: ") || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: the error is %q", value, err)
		}
	}
}

func TestCheckServiceName(t *testing.T) {
	for _, name := range []string{"default", "BWS-2_eu", "0", "-"} {
		if err := checkServiceName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "a b", "a.b", "a/b", "..", "é", "a\n", "{env.X}"} {
		if checkServiceName(name) == nil {
			t.Errorf("%q is accepted", name)
		}
	}
}

func TestCheckService(t *testing.T) {
	for want, s := range map[string]Service{
		"":           {AppID: "app", AppSecret: "secret"},
		"app_id":     {AppSecret: "secret"},
		"app_secret": {AppID: "app"},
		"timeout: 99ms is out of bounds: use 100ms to 1m0s": {AppID: "app", AppSecret: "secret", Timeout: caddy.Duration(99 * time.Millisecond)},
		"timeout: 1m1s is out of bounds: use 100ms to 1m0s": {AppID: "app", AppSecret: "secret", Timeout: caddy.Duration(61 * time.Second)},
		"timeout: -1ns is out of bounds: use 100ms to 1m0s": {AppID: "app", AppSecret: "secret", Timeout: -1},
		"storage_grace: 9.999999999s is out of bounds: use 10s to 24h0m0s": {
			AppID: "app", AppSecret: "secret", StorageGrace: caddy.Duration(10*time.Second - 1),
		},
		"storage_grace: 24h0m0.000000001s is out of bounds: use 10s to 24h0m0s": {
			AppID: "app", AppSecret: "secret", StorageGrace: caddy.Duration(24*time.Hour + 1),
		},
		"storage_grace: -1ns is out of bounds: use 10s to 24h0m0s": {AppID: "app", AppSecret: "secret", StorageGrace: -1},
	} {
		err := s.check()
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", s, err, want)
		}
	}
}

// provisionApp provisions an app as a configuration in JSON does.
func provisionApp(t *testing.T, config string) (caddy.Context, error) {
	t.Helper()
	return caddy.ProvisionContext(&caddy.Config{AppsRaw: caddy.ModuleMap{"bws": json.RawMessage(config)}})
}

func TestProvisionServices(t *testing.T) {
	t.Setenv("BWS_TEST_ID", "an-id")
	ctx, err := provisionApp(t, `{"services":{
		"default":{"app_id":"{env.BWS_TEST_ID}","app_secret":"s"},
		"on-site":{"endpoint":"https://bws.example/extension/","app_id":"other","app_secret":"s","proxy":"http://proxy:3128"}}}`)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := ctx.App("bws")
	if err != nil {
		t.Fatal(err)
	}
	app := loaded.(*App)
	for name, want := range map[string]string{
		"default": "an-id at https://bws.bioid.com/extension",
		"on-site": "other at https://bws.example/extension",
	} {
		s, err := app.service(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.client.AppID() + " at " + s.client.Endpoint(); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	for _, name := range []string{"", "Default", "none"} {
		if s, err := app.service(name); err == nil {
			t.Errorf("%q: got %+v, want an error", name, s)
		}
	}
	if _, err := new(App).service(defaultService); err == nil || !strings.Contains(err.Error(), "app_secret") {
		t.Errorf("without a default service: got %v, want what to add", err)
	}
}

func TestProvisionServicesRefuses(t *testing.T) {
	const secret = "hunter2"
	t.Setenv("BWS_TEST_COLON", "app:"+secret)
	t.Setenv("BWS_TEST_BREAK", secret+"\nX: y")
	for want, service := range map[string]string{
		"is null":               `null`,
		"app_id is missing":     `{"app_secret":"s"}`,
		"app_secret is missing": `{"app_id":"a"}`,
		"app_secret: evaluated placeholder {env.BWS_": `{"app_id":"a","app_secret":"{env.BWS_TEST_UNSET}"}`,
		"app_id: contains a colon":                    `{"app_id":"{env.BWS_TEST_COLON}","app_secret":"s"}`,
		"app_secret: contains a control character":    `{"app_id":"a","app_secret":"{env.BWS_TEST_BREAK}"}`,
		"endpoint: http is for loopback":              `{"endpoint":"http://bws.example","app_id":"a","app_secret":"s"}`,
		"proxy: ":                                     `{"proxy":"gopher://` + secret + `","app_id":"a","app_secret":"s"}`,
		"timeout: ":                                   `{"timeout":"2m","app_id":"a","app_secret":"s"}`,
		"tls_trust_pool: ":                            `{"tls_trust_pool":{"provider":"nonsense"},"app_id":"a","app_secret":"s"}`,
		"storage_grace: ":                             `{"storage_grace":"1s","app_id":"a","app_secret":"s"}`,
		"unknown module: caddy.storage.nonsense":      `{"storage":{"module":"nonsense"},"app_id":"a","app_secret":"s"}`,
		`storage: "module" is missing`:                `{"storage":{"root":"x"},"app_id":"a","app_secret":"s"}`,
		`tls_trust_pool: "provider" is missing`:       `{"tls_trust_pool":{"trusted_ca_certs":["x"]},"app_id":"a","app_secret":"s"}`,
		`unknown field "path"`:                        `{"storage":{"module":"file_system","path":"x"},"app_id":"a","app_secret":"s"}`,
	} {
		_, err := provisionApp(t, `{"services":{"eu":`+service+`}}`)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `"eu"`) {
			t.Errorf("%s: got %v, want %q", service, err, want)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error says %v", service, err)
		}
	}
	if _, err := provisionApp(t, `{"services":{"a b":{"app_id":"a","app_secret":"s"}}}`); err == nil {
		t.Error("an odd name is accepted")
	}
	if _, err := provisionApp(t, `{"services":{"eu":{"app_id":"a","app_secret":"s","grace":"5m"}}}`); err == nil {
		t.Error("an unknown member is accepted")
	}
}
