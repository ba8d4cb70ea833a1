package caddybws

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// Any bytes may stand in the block of the directive or of the global option. What is accepted says the same in JSON, and has no
// mistake that would be found there.
func FuzzUnmarshalCaddyfile(f *testing.F) {
	for _, block := range []string{
		"token cookie bws_token\ntoken header X-BWS-Token\ntoken bearer",
		"allow verification identification enrollment livenessdetection\nmin_score 0.7\nmin_margin 1e-1",
		"bcid bioid/9876/1 */*/* bioid.-1.{http.auth.user.id} {user_bcid}",
		"max_age 1d\nrequire challenge\nreport_only",
		"assertion",
		"assertion X-Signed {\n\taudience {http.request.host}\n\tlifetime 10m\n}",
		"deny redirect https://login.example.com/?to=a\nidentity_headers off",
		"deny error\nidentity_headers {\n\tRemote-User {http.bws.bcid}\n\tX-Person \"{http.bws.class} \\\"x\\\"\"\n}",
		"identity_headers {\n\tX-User a {\n\t}\n}",
		"max_age 5m {\n}\n}\n{ {",
		"app_id app\napp_secret {env.BWS_APP_SECRET}\nendpoint http://[::1]:9080/extension/\ntimeout 100ms",
		"app_id app\napp_secret x\nproxy socks5://user:{file.password}@proxy:1080",
		"app_id app\napp_secret x\ntls_trust_pool file ca.pem",
		"app_id app\napp_secret x\ntls_trust_pool inline {\n\ttrust_der MIIB\n}",
		"once",
		"once POST PUT M-SEARCH\nallow enrollment",
		"once POST {\n}\nsession",
		"session\ntoken cookie a",
		"session 1m {\n\tidle 1m\n\tcookie __Host-a\n\tsame_site strict\n}",
		"session 30d {\n}\nsession 0.5d {\n\tidle {\n\t}\n}",
		"session {\n\tcookie a\n\tsame_site lax\n}\ntoken bearer\ntoken cookie a",
		"bcid bioid/1/{user}\nlogin {\n\tmax_tries 15\n\tchallenge\n\tui http://[::1]:9080/bws/performtask?a=b\n}",
		"login {\n\tbcid {a.b}/1/0\n\ttask identify\n}\nallow identification verification\nmin_score 0.7",
		"login {\n\ttask enroll\n\tui {env.UI}\n\tbcid {\n}\nlogin {\n}",
		"app_id app\napp_secret x\nstorage file_system /var/lib/bws\nstorage_grace 10s",
		"app_id app\napp_secret x\nstorage file_system {\n\troot \"{env.DIR}/a b\"\n}\nstorage_grace 1d",
	} {
		f.Add(block)
	}
	f.Fuzz(func(t *testing.T, block string) {
		tokens, err := caddyfile.Tokenize([]byte("bws {\n"+block+"\n}"), "Caddyfile")
		if err != nil {
			return
		}
		if g := new(Gate); g.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)) == nil {
			assertSameInJSON(t, g, g.check())
		}
		if value, err := parseService(caddyfile.NewDispenser(tokens), nil); err == nil {
			app := new(App)
			if err := caddy.StrictUnmarshalJSON(value.(httpcaddyfile.App).Value, app); err != nil {
				t.Fatal(err)
			}
			assertSameInJSON(t, app, app.Services[defaultService].check())
		}
	})
}

// assertSameInJSON marshals a configuration that was accepted, and reads it as Caddy does.
func assertSameInJSON[T any](t *testing.T, config *T, mistake error) {
	t.Helper()
	if mistake != nil {
		t.Errorf("accepted %+v in spite of: %v", config, mistake)
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	again := new(T)
	if err := caddy.StrictUnmarshalJSON(text, again); err != nil {
		t.Fatalf("reading %s: %v", text, err)
	}
	if !reflect.DeepEqual(config, again) {
		t.Errorf("%+v became %+v by way of %s", config, again, text)
	}
	if textAgain, _ := json.Marshal(again); !bytes.Equal(text, textAgain) {
		t.Errorf("%s became %s", text, textAgain)
	}
}
