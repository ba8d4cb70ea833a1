package integration

import (
	"net/http"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// Several gates on one request, of one service and of two: all must agree, what one takes away the next still finds, and what the
// app is told is what the last of them knows. Rule of evidence 1, and security case 116 beyond its own example.
func TestSeveralGates(t *testing.T) {
	covers(t, 116)
	second := bwstest.NewServer(t, bwstest.Config{AppID: "second"})
	app := newApp(t)
	first := bwstest.NewServer(t, bwstest.Config{})
	service := func(name, endpoint, id string) string {
		return "\tbws " + name + " {\n\t\tendpoint " + endpoint + "\n\t\tapp_id " + id + "\n\t\tapp_secret " + bwstest.AppSecret +
			"\n\t\tcache_ttl 0\n\t\tfailure_ttl 0\n\t\tclient_rate 100000 1m\n\t}\n"
	}
	c := startCaddy(t, service("", first.URL, bwstest.AppID)+service("second", second.URL, "second"), `{addr} {
	header +X-Seen "{http.bws.decision} {http.bws.bcid}"
	route /two/* {
		bws {
			token cookie one
		}
		bws second {
			token cookie two
		}
	}
	route /both/* {
		bws
		bws second
	}
	route /same/* {
		bws
		bws {
			token header X-Step-Up
			allow livenessdetection
		}
	}
	route /reported/* {
		bws {
			identity_headers {
				Remote-User {http.bws.bcid}
				X-BWS-BCID {http.bws.bcid}
			}
		}
		bws {
			bcid `+bob.String()+`
			report_only
		}
	}
	route /own/* {
		bws {
			identity_headers {
				Remote-User {http.bws.bcid}
				X-Gate one
			}
		}
		bws {
			identity_headers {
				Remote-User {http.bws.bcid}
			}
		}
	}
	route /denied/* {
		bws
		bws {
			bcid `+bob.String()+`
		}
	}
	reverse_proxy `+app.Listener.Addr().String()+"\n}")
	s := &gatedSite{c, t, first, app}

	verified := func() string { return goodToken(first) }
	alive := func() string { return performed(first.Service, bwstest.TokenSpec{Task: bws.TaskLiveOnly}, success) }
	elsewhere := func() string { return goodOf(second.Service, bob) }

	for _, test := range []struct {
		name, path string
		headers    []string
		reason     string // "" if the request passes
		app        map[string]string
		calls      int
	}{
		{"two services, both agree", "/two/", []string{"Cookie: one=" + verified() + "; two=" + elsewhere() + "; a=1"}, "",
			map[string]string{"X-Bws-Bcid": bob.String(), "Cookie": "a=1"}, 2},
		{"two services, the first token alone", "/two/", []string{"Cookie: one=" + verified()}, "no_token", nil, 1},
		{"two services, the second token alone", "/two/", []string{"Cookie: two=" + elsewhere()}, "no_token", nil, 0},
		{"two services, one token for both", "/two/", []string{"Cookie: one=" + verified() + "; two=" + verified()}, "foreign_token", nil, 1},
		{"two services, exchanged", "/two/", []string{"Cookie: one=" + elsewhere() + "; two=" + verified()}, "foreign_token", nil, 0},
		{"two services, one source", "/both/", []string{"X-BWS-Token: " + verified()}, "foreign_token", nil, 1},
		{"one service, a second token for more", "/same/", []string{"X-BWS-Token: " + verified(), "X-Step-Up: " + alive()}, "",
			map[string]string{"X-Bws-Action": "livenessdetection", "X-Bws-Bcid": "", "X-Bws-Token": "", "X-Step-Up": ""}, 2},
		{"one service, without the second token", "/same/", []string{"X-BWS-Token: " + verified()}, "action_not_allowed", nil, 1},
		{"one service, a bad second token", "/same/", []string{"X-BWS-Token: " + verified(), "X-Step-Up: x"}, "malformed_token", nil, 1},
		{"the second only reports", "/reported/", []string{"X-BWS-Token: " + verified(), "X-BWS-BCID: admin"}, "",
			map[string]string{"X-Bws-Bcid": "", "X-Bws-Action": "", "X-Bws-Verified-At": "", "X-Bws-Token": "", "Remote-User": ""}, 1},
		{"headers of one's own", "/own/", []string{"X-BWS-Token: " + verified(), "X-Gate: x", "Remote_User: admin"}, "",
			map[string]string{"Remote-User": alice.String(), "X-Gate": "one"}, 1},
		{"the second denies", "/denied/", []string{"X-BWS-Token: " + verified()}, "bcid_not_allowed", nil, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			calls := first.Calls("/result") + second.Calls("/result")
			got := s.raw(t, "GET "+test.path+" HTTP/1.1", test.headers...)
			if asked := first.Calls("/result") + second.Calls("/result") - calls; asked != test.calls {
				t.Errorf("BWS was asked %d times, want %d", asked, test.calls)
			}
			if test.reason != "" {
				s.checkKeptOut(t, got, test.reason)
				if cache := got.Header.Values("Cache-Control"); len(cache) != 1 || cache[0] != "no-store" {
					t.Errorf("Cache-Control is %q", cache)
				}
				return
			}
			if got.StatusCode != http.StatusOK {
				t.Fatalf("got %d %s", got.StatusCode, got.Body)
			}
			header := s.reached(t).Header
			for name, want := range test.app {
				if values := header.Values(name); header.Get(name) != want || len(values) > 1 {
					t.Errorf("the app gets %s: %q, want %q", name, values, want)
				}
			}
		})
	}
}
