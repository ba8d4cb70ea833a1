package caddybws

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws"
)

// A login in JSON is refused as Caddy loads it, also where the Caddyfile could not say the same.
func TestLoadLoginRefuses(t *testing.T) {
	ctx, err := provisionApp(t, `{"services":{"default":{"app_id":"a","app_secret":"s"}}}`)
	if err != nil {
		t.Fatal(err)
	}
	const (
		tries  = " is out of bounds: use 1 to 15"
		shape  = ": write storage/partition/class, or one placeholder alone"
		values = ": write storage/partition/class: letters, digits and _, then 32-bit numbers without leading zeros"
		nobody = ": a token is for one person, and * is not one; write a value or a placeholder instead"
		brace  = ": a brace is not closed, or closed without being opened; write {placeholder}"
		tasks  = "use verify, identify or livenessdetection"
		absent = "login: bcid is required, unless the gate's bcid is one pattern without *"
		enroll = "login: a login never enrolls, and enrollment is all that is allowed"
	)
	for _, test := range []struct{ config, want string }{
		{`{"login":null}`, ""},
		{`{"bcid":["bioid/1/1"],"login":{}}`, ""},
		{`{"bcid":["bioid/1/1"],"login":{"bcid":"","task":"","max_tries":0,"challenge":false,"ui":""}}`, ""},
		{`{"login":{"bcid":"bioid/1/-1","task":"verify","max_tries":15,"challenge":true,"ui":"https://bws.example.com"}}`, ""},
		{`{"login":{"bcid":"{user_bcid}"}}`, ""},
		{`{"login":{"bcid":"bioid.1.{user.id}"}}`, ""},
		{`{"login":{"bcid":"bioid/{user_partition}x/{a}{b}"}}`, ""},
		{`{"allow":["identification"],"min_score":1,"login":{"bcid":"bioid/1/0"}}`, ""},
		{`{"allow":["identification","enrollment"],"min_score":1,"login":{"bcid":"bioid/1/0","task":"identify"}}`, ""},
		{`{"allow":["livenessdetection"],"login":{}}`, ""},

		{`{"bcid":["bioid/1/1"],"login":true}`, "login"},
		{`{"bcid":["bioid/1/1"],"login":{"maxTries":3}}`, `unknown field "maxTries"`},
		{`{"login":{"bcid":["bioid/1/1"]}}`, "login.bcid"},

		{`{"bcid":["bioid/1/1"],"login":{"max_tries":-1}}`, "login: max_tries: -1" + tries},
		{`{"bcid":["bioid/1/1"],"login":{"max_tries":16}}`, "login: max_tries: 16" + tries},
		{`{"bcid":["bioid/1/1"],"login":{"max_tries":1.5}}`, "max_tries"},
		{`{"bcid":["bioid/1/1"],"login":{"max_tries":"3"}}`, "max_tries"},

		{`{"bcid":["bioid/1/1"],"login":{"task":"verification"}}`, `login: task: unknown value "verification": ` + tasks},
		{`{"bcid":["bioid/1/1"],"login":{"task":"Verify"}}`, `login: task: unknown value "Verify": ` + tasks},
		{`{"bcid":["bioid/1/1"],"login":{"task":"enroll"}}`, "login: task: a login never enrolls, since"},
		{`{"allow":["enrollment"],"login":{"bcid":"bioid/1/1","task":"enroll"}}`, "login: task: a login never enrolls, since"},
		{`{"allow":["enrollment"],"login":{"bcid":"bioid/1/1"}}`, enroll},
		{`{"allow":["enrollment"],"login":{"bcid":"bioid/1/1","task":"verify"}}`, enroll},
		{`{"allow":["verification","enrollment"],"login":{"bcid":"bioid/1/1"}}`, "login: task is required where several"},
		{`{"bcid":["bioid/1/1"],"login":{"task":"identify"}}`, "login: task: identify leads to none of the allowed actions"},
		{`{"allow":["livenessdetection"],"login":{"task":"verify"}}`, "login: task: verify leads to none of the allowed actions"},

		{`{"login":{}}`, absent},
		{`{"bcid":["bioid/1/*"],"login":{}}`, absent},
		{`{"bcid":["bioid/1/1","bioid/1/2"],"login":{}}`, absent},
		{`{"allow":["identification"],"min_score":1,"login":{}}`, absent},
		{`{"login":{"bcid":"bioid/1/*"}}`, `login: bcid "bioid/1/*"` + nobody},
		{`{"login":{"bcid":"*/1/{user.id}"}}`, `login: bcid "*/1/{user.id}"` + nobody},
		{`{"login":{"bcid":"bioid/1/1/1"}}`, `login: bcid "bioid/1/1/1"` + shape},
		{`{"login":{"bcid":"bioid/{user.id}"}}`, `login: bcid "bioid/{user.id}"` + shape},
		{`{"login":{"bcid":"{a}{b}"}}`, `login: bcid "{a}{b}"` + shape},
		{`{"login":{"bcid":"alice"}}`, `login: bcid "alice"` + shape},
		{`{"login":{"bcid":"bio-id/1/1"}}`, `login: bcid "bio-id/1/1"` + values},
		{`{"login":{"bcid":"bioid/01/{user.id}"}}`, `login: bcid "bioid/01/{user.id}"` + values},
		{`{"login":{"bcid":"bioid/1/2147483648"}}`, `login: bcid "bioid/1/2147483648"` + values},
		{`{"login":{"bcid":"bioid//{user.id}"}}`, `login: bcid "bioid//{user.id}"` + values},
		{`{"login":{"bcid":"bioid/1/{user.id"}}`, `login: bcid "bioid/1/{user.id"` + brace},
		{`{"login":{"bcid":"bioid/1/1}"}}`, `login: bcid "bioid/1/1}"` + brace},
		{`{"login":{"bcid":"bioid/1/0"}}`, `login: bcid "bioid/1/0": class 0 is nobody to verify`},
		{`{"login":{"bcid":"bioid.{user.id}.0"}}`, `login: bcid "bioid.{user.id}.0": class 0 is nobody to verify`},
		{`{"allow":["livenessdetection"],"login":{"bcid":"bioid/1/1"}}`, "login: bcid: livenessdetection proves nobody's identity"},
	} {
		_, err := ctx.LoadModuleByID("http.handlers.bws", json.RawMessage(test.config))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.config, err, test.want)
		}
	}
}

// The camera page is given the token: it must be reached safely, whatever placeholders hold, and nothing that they hold shows.
func TestLoginUI(t *testing.T) {
	const (
		secret = "s3cret"
		url    = "login: ui: not a URL with a scheme and a host; write one such as https://www.bioid.com/bws/performtask"
		plain  = "login: ui: use https, since the token is sent there; http is for loopback addresses only"
		extra  = "login: ui: neither credentials nor a fragment belong in the URL; remove them"
	)
	for name, value := range map[string]string{
		"URL": "https://bws.example.com/s3cret", "PLAIN": "http://s3cret.example.com/", "WORD": secret, "HOST": "bws.example.com",
		"FRAGMENT": "https://bws.example.com/#s3cret",
	} {
		t.Setenv("BWS_TEST_"+name, value)
	}
	for _, test := range []struct{ ui, want, refused string }{
		{"", "https://www.bioid.com/bws/performtask", ""},
		{"https://bws.example.com", "https://bws.example.com/", ""},
		{"HTTPS://bws.example.com:8443/a?b=c", "https://bws.example.com:8443/a?b=c", ""},
		{"http://localhost:9080/bws/uui", "http://localhost:9080/bws/uui", ""},
		{"http://LOCALHOST/", "http://LOCALHOST/", ""},
		{"http://127.1.2.3/", "http://127.1.2.3/", ""},
		{"http://[::1]:9080", "http://[::1]:9080/", ""},
		{"{env.BWS_TEST_URL}", "https://bws.example.com/s3cret", ""},
		{"https://{env.BWS_TEST_HOST}/bws/performtask", "https://bws.example.com/bws/performtask", ""},

		{"bws.example.com/a", "", url},
		{"/bws/performtask", "", url},
		{"//bws.example.com/", "", url},
		{"https:bws.example.com", "", url},
		{"https:///a", "", url},
		{"https://:443/a", "", url},
		{"https://bws example.com/", "", url},
		{"javascript:alert(1)", "", url},
		{"http://bws.example.com/", "", plain},
		{"http://localhost.example.com/", "", plain},
		{"http://127.0.0.1.example.com/", "", plain},
		{"http://0.0.0.0/", "", plain},
		{"ftp://localhost/", "", plain},
		{"https://user:s3cret@bws.example.com/", "", extra},
		{"https://s3cret@bws.example.com/", "", extra},
		{"https://bws.example.com/#s3cret", "", extra},
		{"{env.BWS_TEST_WORD}", "", url},
		{"{env.BWS_TEST_PLAIN}", "", plain},
		{"{env.BWS_TEST_FRAGMENT}", "", extra},
		{"https://user:{env.BWS_TEST_WORD}@bws.example.com/", "", extra},
		{"{env.BWS_TEST_URL}{env.BWS_TEST_UNSET}", "", "login: ui: evaluated placeholder {env.BWS_TEST_UNSET} is empty"},
		{"{env.BWS_TEST_URL}{http.request.host}", "", "login: ui: holds an unknown placeholder"},
		{"{env.BWS_TEST_URL}{bws_test}", "", "login: ui: holds an unknown placeholder"},
	} {
		text, _ := json.Marshal(map[string]any{"bcid": []string{"bioid/1/1"}, "login": map[string]string{"ui": test.ui}})
		g, err := provisionGate(t, string(text))
		switch {
		case err == nil && test.refused != "":
			t.Errorf("%q is accepted, want %q", test.ui, test.refused)
		case err == nil && g.login.ui.String() != test.want:
			t.Errorf("%q: got %s, want %s", test.ui, g.login.ui, test.want)
		case err != nil && (test.refused == "" || !strings.Contains(err.Error(), test.refused) || strings.Contains(err.Error(), secret)):
			t.Errorf("%q: got %v, want %q", test.ui, err, test.refused)
		}
	}
}

func TestLoginDefaults(t *testing.T) {
	const verify, three = bws.TaskLiveDetect, bws.Task(3)
	for config, want := range map[string]struct {
		task bws.Task
		bcid string
	}{
		`{"bcid":["bioid/1/1"],"login":{}}`:                                             {verify | three, "bioid/1/1"},
		`{"bcid":["{user_bcid}"],"login":{}}`:                                           {verify | three, "{user_bcid}"},
		`{"bcid":["bioid/1/*"],"login":{"bcid":"bioid/1/{id}"}}`:                        {verify | three, "bioid/1/{id}"},
		`{"bcid":["bioid/1/1"],"login":{"bcid":"bioid/1/{id}"}}`:                        {verify | three, "bioid/1/{id}"},
		`{"bcid":["bioid/1/1"],"login":{"max_tries":15}}`:                               {verify | 15, "bioid/1/1"},
		`{"bcid":["bioid/1/1"],"login":{"challenge":true}}`:                             {verify | bws.TaskChallenge | three, "bioid/1/1"},
		`{"bcid":["bioid/1/1"],"require":"challenge","login":{}}`:                       {verify | bws.TaskChallenge | three, "bioid/1/1"},
		`{"bcid":["bioid/1/1"],"require":"none","login":{}}`:                            {verify | three, "bioid/1/1"},
		`{"allow":["identification"],"min_score":1,"login":{"bcid":"bioid/1/0"}}`:       {verify | bws.TaskIdentify | three, "bioid/1/0"},
		`{"allow":["identification"],"min_score":1,"bcid":["bioid/1/{id}"],"login":{}}`: {verify | bws.TaskIdentify | three, "bioid/1/{id}"},
		`{"allow":["livenessdetection"],"login":{}}`:                                    {verify | bws.TaskLiveOnly | three, ""},
	} {
		g, err := provisionGate(t, config)
		if err != nil {
			t.Errorf("%s: %v", config, err)
		} else if g.login.task != want.task || g.login.bcid != want.bcid {
			t.Errorf("%s: the task is %#x for %q, want %#x for %q", config, g.login.task, g.login.bcid, want.task, want.bcid)
		}
	}

	g, err := provisionGate(t, `{"bcid":["bioid/1/1"],"login":{},"report_only":true}`)
	if err != nil || g.login != nil {
		t.Errorf("with report_only: got %+v and the error %v, want no logins", g.login, err)
	}
	// What a gate would be refused for later, it is refused for while it is tried out.
	if _, err := provisionGate(t, `{"bcid":["bioid/1/1"],"login":{"ui":"{env.BWS_TEST_UNSET}"},"report_only":true}`); err == nil {
		t.Error("with report_only: a login whose page is unknown is accepted")
	}
}
