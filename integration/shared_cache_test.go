package integration

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// sharedCache is a cache in front of Caddy, as simple as caches get: it keeps what it is not told to leave alone. One that does not
// know what private means must at least keep apart what Vary says.
type sharedCache struct {
	origin       string
	knowsPrivate bool

	mu   sync.Mutex
	kept map[string][]*keptAnswer
}

// keptAnswer is an answer and the request headers that it varies with.
type keptAnswer struct {
	*answer
	varies map[string]string
}

func (c *sharedCache) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	got := c.find(r)
	if got == nil {
		r.URL.Scheme, r.URL.Host, r.RequestURI = "http", c.origin, ""
		var err error
		if got, err = exchange(client, r); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		c.keep(r, got)
	} else {
		w.Header().Set("X-Cache", "hit")
	}
	maps.Copy(w.Header(), got.Header)
	w.WriteHeader(got.StatusCode)
	_, _ = io.WriteString(w, got.Body)
}

func (c *sharedCache) find(r *http.Request) *answer {
	for _, kept := range c.kept[r.URL.RequestURI()] {
		fits := true
		for name, value := range kept.varies {
			fits = fits && strings.Join(r.Header[name], ",") == value
		}
		if fits {
			return kept.answer
		}
	}
	return nil
}

func (c *sharedCache) keep(r *http.Request, got *answer) {
	control := strings.Join(got.Header["Cache-Control"], ",")
	if r.Method != http.MethodGet || strings.Contains(control, "no-store") || c.knowsPrivate && strings.Contains(control, "private") {
		return
	}
	kept := &keptAnswer{got, make(map[string]string)}
	for name := range strings.SplitSeq(strings.Join(got.Header["Vary"], ","), ",") {
		if name = http.CanonicalHeaderKey(strings.TrimSpace(name)); name != "" {
			kept.varies[name] = strings.Join(r.Header[name], ",")
		}
	}
	c.kept[r.URL.RequestURI()] = append(c.kept[r.URL.RequestURI()], kept)
}

// What one person is shown, no cache in front shows to another, nor the same person a denial after it is over. An app that means
// everybody to see something says so in vain.
func TestCacheInFront(t *testing.T) {
	covers(t, 63, 64)
	service := bwstest.NewServer(t, bwstest.Config{})
	app := newAppThat(t, func(w http.ResponseWriter, r *http.Request, _ string) {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		_, _ = io.WriteString(w, "for "+r.Header.Get("X-BWS-BCID"))
	})
	c := startCaddy(t, serviceOption("", service.URL), "{addr} {\n\tbws /session* {\n\t\tsession\n\t}\n\tbws /token*\n\tbws /bearer* {\n\t\ttoken bearer\n\t}\n\treverse_proxy "+
		app.Listener.Addr().String()+"\n}")
	for name, knows := range map[string]bool{"a cache": true, "a careless cache": false} {
		t.Run(name, func(t *testing.T) {
			cache := &sharedCache{origin: c.Addr, knowsPrivate: knows, kept: make(map[string][]*keptAnswer)}
			front := httptest.NewServer(cache)
			defer front.Close()
			for path, credential := range map[string]func(token string) string{
				"/token/cookie": func(token string) string { return "Cookie: bws_token=" + token },
				"/token/header": func(token string) string { return "X-BWS-Token: " + token },
				"/bearer":       func(token string) string { return "Authorization: Bearer " + token },
				"/session": func(token string) string {
					return begin(t, "http://"+c.Addr+"/session/begin", []string{"X-BWS-Token: " + token})
				},
			} {
				get := func(headers ...string) *answer { return do(t, http.MethodGet, front.URL+path, headers...) }
				if got := get(); got.reason() != "no_token" {
					t.Errorf("%s: nobody got %d %s", path, got.StatusCode, got.Body)
				}
				for _, class := range []int32{1, 2, 3} {
					person := alice
					person.Class = class
					if got := get(credential(goodOf(service.Service, person))); got.Body != "for "+person.String() || len(got.Header.Values("Cache-Control")) == 0 {
						t.Errorf("%s: %s got %d %s", path, person, got.StatusCode, got.Body)
					}
				}
				if got := get(); got.reason() != "no_token" {
					t.Errorf("%s: nobody got %d %s", path, got.StatusCode, got.Body)
				}
				if got := get("Cookie: bws_token=x; bws_session=y", "X-BWS-Token: z", "Authorization: Bearer z"); got.StatusCode < 400 {
					t.Errorf("%s: nonsense got %d %s", path, got.StatusCode, got.Body)
				}
			}
		})
	}
}
