package bws

import (
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/internal/loopback"
)

func TestParseEndpoint(t *testing.T) {
	for in, want := range map[string]string{
		DefaultEndpoint:                            DefaultEndpoint,
		"https://bws.bioid.com/extension/":         DefaultEndpoint,
		"https://bws.bioid.com/extension///":       DefaultEndpoint,
		"HTTPS://BWS.BioID.com:443/extension":      DefaultEndpoint,
		"https://bws.bioid.com:0443/extension":     DefaultEndpoint,
		"https://bws.bioid.com:/extension":         DefaultEndpoint,
		"https://bws.bioid.com//./x/../extension/": DefaultEndpoint,
		"https://bws.bioid.com/Extension":          "https://bws.bioid.com/Extension",
		"https://bws.bioid.com:8443/extension":     "https://bws.bioid.com:8443/extension",
		"https://bws.bioid.com:80":                 "https://bws.bioid.com:80",
		"https://h/a%2fb/":                         "https://h/a%2fb",
		"https://h":                                "https://h",
		"https://h/":                               "https://h",
		"https://[2001:DB8::1]:443/":               "https://[2001:db8::1]",
		"https://[2001:db8::1]:444/x":              "https://[2001:db8::1]:444/x",
		"http://localhost:80/extension/":           "http://localhost/extension",
		"http://LocalHost:8080":                    "http://localhost:8080",
		"http://127.0.0.1:9000/extension":          "http://127.0.0.1:9000/extension",
		"http://127.1.2.3":                         "http://127.1.2.3",
		"http://[::1]:9000":                        "http://[::1]:9000",
	} {
		u, err := ParseEndpoint(in)
		if err != nil || u.String() != want {
			t.Errorf("ParseEndpoint(%q) = %v, %v; want %s", in, u, err, want)
			continue
		}
		if again, err := ParseEndpoint(want); err != nil || again.String() != want {
			t.Errorf("ParseEndpoint(%q) = %v, %v; want no change", want, again, err)
		}
		client := newClientWith(t, Config{Endpoint: in})
		if api := client.request(t.Context(), apiResult, acceptJSON, nil).URL; api.String() != want+"/result" {
			t.Errorf("the result API of %q is at %s", in, api)
		}
	}
}

func TestParseEndpointRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"empty":                              "",
		"no scheme":                          "bws.bioid.com/extension",
		"no scheme but a port":               "bws.bioid.com:443/extension",
		"no host":                            "https:///extension",
		"no host but a port":                 "https://:443/extension",
		"opaque":                             "https:bws.bioid.com/extension",
		"other scheme":                       "ftp://bws.bioid.com/extension",
		"other scheme, loopback":             "unix://localhost/extension",
		"query":                              "https://bws.bioid.com/extension?a=hunter2",
		"empty query":                        "https://bws.bioid.com/extension?",
		"fragment":                           "https://bws.bioid.com/extension#hunter2",
		"empty fragment":                     "https://bws.bioid.com/extension#",
		"user":                               "https://hunter2@bws.bioid.com/extension",
		"user and password":                  "https://user:hunter2@bws.bioid.com/extension",
		"user and a bad escape":              "https://user:hunter2%zz@bws.bioid.com/extension",
		"port zero":                          "https://bws.bioid.com:0/extension",
		"port too large":                     "https://bws.bioid.com:65536/extension",
		"port a name":                        "https://bws.bioid.com:https/extension",
		"space":                              "https://bws.bioid.com/ext ension\x00",
		"line break":                         "https://bws.bioid.com/extension\n",
		"unresolved placeholder as host":     "https://{env.HOST}:hunter2/extension",
		"case 90: http":                      "http://bws.bioid.com/extension",
		"case 90: http, name like localhost": "http://localhost.example.com/extension",
		"case 90: http, name like loopback":  "http://127.0.0.1.example.com/extension",
		"case 90: http, private network":     "http://10.0.0.1/extension",
		"case 90: http, unspecified":         "http://0.0.0.0/extension",
		"case 90: http, decimal loopback":    "http://2130706433/extension",
		"case 90: http, userinfo localhost":  "http://localhost@bws.bioid.com/extension",
	} {
		t.Run(name, func(t *testing.T) {
			u, err := ParseEndpoint(in)
			if err == nil || u != nil {
				t.Fatalf("got %v, %v", u, err)
			}
			if text := err.Error(); !strings.HasPrefix(text, "endpoint: ") || strings.Contains(text, "hunter2") {
				t.Errorf("got %q", text)
			}
		})
	}
}

// What is accepted is in its normal form, leads nowhere else, and is refused with an error that does not quote it.
func FuzzParseEndpoint(f *testing.F) {
	for _, s := range []string{
		"https://bws.bioid.com/extension/", "HTTPS://BWS.example:0443//a/../b", "http://[::1]:80/%2f", "http://127.0.0.1.example.com",
		"https://hunter2@bws.bioid.com", "https://bws.bioid.com:0/?#", "http://localhost:9080/a b",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseEndpoint(s)
		if err != nil {
			if u != nil || len(s) > 20 && strings.Contains(err.Error(), s) {
				t.Fatalf("%q: %v, %v", s, u, err)
			}
			return
		}
		if u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(u.Path, "/") {
			t.Fatalf("%q is accepted as %q", s, u)
		}
		if clear := u.Scheme == "http" && loopback.Is(u.Hostname()); u.Scheme != "https" && !clear {
			t.Fatalf("%q sends secrets in the clear to %q", s, u)
		}
		if again, err := ParseEndpoint(u.String()); err != nil || again.String() != u.String() {
			t.Fatalf("%q becomes %q, and that %v, %v", s, u, again, err)
		}
	})
}
