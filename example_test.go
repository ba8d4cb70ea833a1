package caddybws_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	caddybws "github.com/caddy-bws/caddy-bws"
)

// A program that makes configurations writes the app with its services like this.
func ExampleApp() {
	app := caddybws.App{Services: map[string]*caddybws.Service{
		"default": {AppID: "{env.BWS_APP_ID}", AppSecret: "{file./run/secrets/bws_app_secret}"},
	}}
	fmt.Println(string(caddyconfig.JSON(map[string]any{"bws": app}, nil)))
	// Output:
	// {"bws":{"services":{"default":{"app_id":"{env.BWS_APP_ID}","app_secret":"{file./run/secrets/bws_app_secret}"}}}}
}

// A program that makes configurations writes a gate like this.
func ExampleGate() {
	gate := caddybws.Gate{
		BCID:    []string{"bws/1/{user_class}"},
		Login:   new(caddybws.Login),
		Session: &caddybws.Session{Lifetime: caddy.Duration(30 * time.Minute)},
	}
	fmt.Println(string(caddyconfig.JSONModuleObject(gate, "handler", "bws", nil)))
	// Output:
	// {"bcid":["bws/1/{user_class}"],"handler":"bws","login":{},"session":{"lifetime":1800000000000}}
}

// What a directive becomes in JSON.
func ExampleGate_UnmarshalCaddyfile() {
	d := caddyfile.NewTestDispenser(`
		bws {
			bcid bws/1/42
			max_age 2m
			once POST
			deny redirect /goodbye
		}`)
	var gate caddybws.Gate
	if err := gate.UnmarshalCaddyfile(d); err != nil {
		fmt.Println(err)
		return
	}
	text, _ := json.MarshalIndent(gate, "", "  ")
	fmt.Println(string(text))
	// Output:
	// {
	//   "bcid": [
	//     "bws/1/42"
	//   ],
	//   "max_age": 120000000000,
	//   "once": {
	//     "methods": [
	//       "POST"
	//     ]
	//   },
	//   "deny": {
	//     "mode": "redirect",
	//     "to": "/goodbye"
	//   }
	// }
}
