package emulator

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

func TestUnmarshalCaddyfile(t *testing.T) {
	tests := []struct {
		name, input string
		want        Emulator
	}{
		{
			"required options", "bws_emulator {\n app_id id\n app_secret {env.SECRET}\n}",
			Emulator{AppID: "id", AppSecret: "{env.SECRET}"},
		},
		{
			"all options", "bws_emulator {\n enrolled bws/1/42 bws.1.-7\n app_secret \"a b\"\n app_id id\n}",
			Emulator{AppID: "id", AppSecret: "a b", Enrolled: []string{"bws/1/42", "bws.1.-7"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var e Emulator
			if err := e.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tt.input)); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(e, tt.want) {
				t.Errorf("got %+v, want %+v", e, tt.want)
			}
		})
	}
}

func TestUnmarshalCaddyfileErrors(t *testing.T) {
	tests := []struct{ name, block, want string }{
		{"nothing", "", "app_id is missing; give the one that the services under test have, at Testfile:3"},
		{"no app_id", "app_secret hush", "app_id is missing; give the one that the services under test have, at Testfile:3"},
		{"no app_secret", "app_id id", "app_secret is missing; give the one that the services under test have, at Testfile:3"},
		{"app_id without a value", "app_id", "app_id takes exactly one value; write one, at Testfile:2"},
		{"empty app_id", `app_id ""`, "app_id takes exactly one value; write one, at Testfile:2"},
		{"app_id twice", "app_id id\napp_id id", "app_id is given twice; keep one, at Testfile:3"},
		{"app_secret twice", "app_secret hush\napp_secret hush", "app_secret is given twice; keep one, at Testfile:3"},
		{"app_secret with two values", "app_secret hush hush", "app_secret takes exactly one value; write one, at Testfile:2"},
		{"enrolled without a value", "enrolled", "enrolled names nobody; give at least one BCID, at Testfile:2"},
		{"enrolled twice", "enrolled bws/1/42\nenrolled bws/1/43", "enrolled is given twice; list everybody in one line, at Testfile:3"},
		{"enrolled rubbish", "enrolled bws/1/42 bob", `enrolled: "bob" is not a BCID: write storage/partition/class with 32-bit numbers and no leading zeros, at Testfile:2`},
		{"enrolled partition", "enrolled bws/1/0", `enrolled: "bws/1/0" is a whole partition; give a class other than 0, at Testfile:2`},
		{"unknown option", "secret hush", `unknown option "secret": use one of app_id, app_secret, enrolled, at Testfile:2`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := caddyfile.NewTestDispenser("bws_emulator {\n" + tt.block + "\n}")
			err := new(Emulator).UnmarshalCaddyfile(d)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hush") {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	err := new(Emulator).UnmarshalCaddyfile(caddyfile.NewTestDispenser("bws_emulator id {\n}"))
	if err == nil || !strings.Contains(err.Error(), "Testfile:1") {
		t.Errorf("error %v for an argument", err)
	}
}

// The emulator answers before respond, and after what changes requests or routes them.
func TestDirectiveOrder(t *testing.T) {
	adapter := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
	config, _, err := adapter.Adapt([]byte(`http://localhost:9080 {
	respond "not here"
	bws_emulator {
		app_id id
		app_secret hush
	}
	error /secret 404
	vars a b
}
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	var handlers []string
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			if name, ok := v["handler"].(string); ok && name != "subroute" {
				handlers = append(handlers, name)
			}
			for _, key := range []string{"apps", "http", "servers", "srv0", "routes", "handle"} {
				walk(v[key])
			}
		}
	}
	var tree any
	if err := json.Unmarshal(config, &tree); err != nil {
		t.Fatal(err)
	}
	walk(tree)
	if want := []string{"vars", "error", "bws_emulator", "static_response"}; !reflect.DeepEqual(handlers, want) {
		t.Errorf("handlers %v, want %v\n%s", handlers, want, config)
	}
}

// Any bytes may stand in the block. What is accepted says the same in JSON.
func FuzzUnmarshalCaddyfile(f *testing.F) {
	f.Add("app_id id\napp_secret {env.SECRET}\nenrolled bws/1/42 bws.1.-7")
	f.Add("app_id \"\"\napp_secret {\n}")
	f.Add("enrolled {\n\tbws/1/0\n}\n}\n{")
	f.Fuzz(func(t *testing.T, block string) {
		tokens, err := caddyfile.Tokenize([]byte("bws_emulator {\n"+block+"\n}"), "Caddyfile")
		if err != nil {
			return
		}
		e, again := new(Emulator), new(Emulator)
		if e.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)) != nil {
			return
		}
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, again); err != nil || !reflect.DeepEqual(e, again) {
			t.Fatalf("%+v became %+v by way of %s, %v", e, again, text, err)
		}
	})
}
