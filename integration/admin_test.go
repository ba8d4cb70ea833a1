package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// services returns the names of the services that the admin API knows.
func (c *caddyProcess) services() []string {
	c.t.Helper()
	got := c.ask(http.MethodGet, "/bws/services", "")
	var services []struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal([]byte(got.Body), &services); err != nil || got.StatusCode != http.StatusOK {
		c.t.Fatalf("/bws/services: %d %s", got.StatusCode, got.Body)
	}
	names := []string{}
	for _, service := range services {
		names = append(names, service.Name)
	}
	return names
}

// checkServices checks which services the admin API knows, as soon as the server of the configuration before is gone.
func (c *caddyProcess) checkServices(want ...string) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("the admin API knows just the services %q", want), func() bool {
		return slices.Equal(c.services(), want)
	})
}

// watched is a configuration whose services are those that are named; the gate asks the first of them.
func (c *caddyProcess) watched(endpoint string, services ...string) string {
	var config strings.Builder
	fmt.Fprintf(&config, "{\n\tadmin %s\n\tauto_https off\n\tdebug\n", c.Admin)
	for _, name := range services {
		config.WriteString(serviceOption(name, endpoint, "cache_ttl 10m"))
	}
	fmt.Fprintf(&config, "}\nhttp://%s {\n", c.Addr)
	if len(services) > 0 {
		fmt.Fprintf(&config, "\tbws_logout /logout %s\n\tbws %[1]s {\n\t\tsession\n\t}\n", services[0])
	}
	config.WriteString("\trespond \"app\"\n}\n")
	return config.String()
}

func startWatched(t *testing.T, services ...string) (*caddyProcess, *bwstest.Server) {
	t.Helper()
	service := bwstest.NewServer(t, bwstest.Config{})
	c := &caddyProcess{t: t, Addr: freeAddr(t), Admin: freeAddr(t)}
	c.run(c.watched(service.URL, services...))
	return c, service
}

// checkInControl checks that what the admin API says and does concerns the services that the site uses.
func (c *caddyProcess) checkInControl(service *bwstest.Server) {
	c.t.Helper()
	url := "http://" + c.Addr
	get := func(header string) *answer { return do(c.t, http.MethodGet, url, header) }
	revoke := func(body string) {
		c.t.Helper()
		if got := c.ask(http.MethodPost, "/bws/revoke", body); got.StatusCode != http.StatusOK {
			c.t.Errorf("revoking: %d %s", got.StatusCode, got.Body)
		}
	}
	eventually(c.t, "the node is ready", func() bool {
		got := c.ask(http.MethodGet, "/bws/health", "")
		return got.StatusCode == http.StatusOK && strings.Contains(got.Body, `"ready"`)
	})

	// The cache that is emptied is that of the gates.
	token := goodToken(service)
	session := begin(c.t, url, []string{"X-BWS-Token: " + token})
	if got := c.ask(http.MethodDelete, "/bws/cache", ""); got.StatusCode != http.StatusNoContent {
		c.t.Errorf("/bws/cache: %d %s", got.StatusCode, got.Body)
	}
	asked := service.Calls("/result")
	get("X-BWS-Token: " + token)
	if calls := service.Calls("/result") - asked; calls != 1 {
		c.t.Errorf("BWS was asked %d times about a token that was to be forgotten", calls)
	}

	revoke(`{"token":"` + token + `"}`)
	for _, credential := range []string{session, "X-BWS-Token: " + token} {
		if got := get(credential); got.reason() != "revoked" {
			c.t.Errorf("with what was revoked: %d %s", got.StatusCode, got.Body)
		}
	}
	token = goodToken(service)
	session = begin(c.t, url, []string{"X-BWS-Token: " + token})
	revoke(`{"session":"` + sessionID(token) + `"}`)
	if got := get(session); got.reason() != "revoked" {
		c.t.Errorf("with the session that was revoked: %d %s", got.StatusCode, got.Body)
	}
	rotated := c.ask(http.MethodPost, "/bws/rotate", "")
	var keys []struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal([]byte(rotated.Body), &keys); err != nil || len(keys) == 0 || keys[0].ID == "" {
		c.t.Fatalf("/bws/rotate: %d %s", rotated.StatusCode, rotated.Body)
	}
	if got := c.ask(http.MethodGet, "/bws/services", ""); !strings.Contains(got.Body, keys[0].ID) {
		c.t.Errorf("/bws/services does not show the key %s: %s", keys[0].ID, got.Body)
	}
}

// The endpoints belong to the configuration that is in force, after one reload and after many.
func TestAdminThroughReloads(t *testing.T) {
	c, service := startWatched(t, "first")
	c.checkServices("first")
	c.checkInControl(service)

	c.reload(c.watched(service.URL, "first", "second"))
	c.checkServices("first", "second")
	c.checkInControl(service)

	for i := range 20 {
		c.reload(c.watched(service.URL, "first", fmt.Sprintf("generation-%d", i)))
	}
	c.checkServices("first", "generation-19")
	c.checkInControl(service)

	c.reload(c.watched(service.URL))
	c.checkServices()
	c.reload(c.watched(service.URL, "last"))
	c.checkServices("last")
	c.checkInControl(service)
}

// A configuration that is refused changes nothing. Caddy replaces the admin API before it finds out.
func TestAdminAfterARefusedReload(t *testing.T) {
	for name, refused := range map[string]func(c *caddyProcess, endpoint string) string{
		"other services": func(c *caddyProcess, endpoint string) string {
			return strings.Replace(c.watched(endpoint, "first", "second"), "bws first {\n\t\tsession", "bws nosuch {\n\t\tsession", 1)
		},
		"the same service, changed": func(c *caddyProcess, endpoint string) string {
			changed := strings.Replace(c.watched(endpoint, "first"), "cache_ttl 10m", "cache_ttl 9m", 1)
			return strings.Replace(changed, "bws first {\n\t\tsession", "bws nosuch {\n\t\tsession", 1)
		},
		"no service": func(c *caddyProcess, endpoint string) string {
			return strings.Replace(c.watched(endpoint), "respond", "bws\n\trespond", 1)
		},
		"a service at fault": func(c *caddyProcess, endpoint string) string {
			return strings.Replace(c.watched(endpoint, "first", "second"), "app_secret ", "app_secret {env.NO_SUCH}", 1)
		},
		"an address that nobody has": func(c *caddyProcess, endpoint string) string {
			return strings.Replace(c.watched(endpoint, "first", "second"), "respond", "bind 203.0.113.1\n\trespond", 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, service := startWatched(t, "first")
			c.checkInControl(service)
			if got := c.load(refused(c, service.URL)); got.StatusCode != http.StatusBadRequest {
				t.Fatalf("the configuration was not refused: %d %s", got.StatusCode, got.Body)
			}
			if got := do(t, http.MethodGet, "http://"+c.Addr, good(service)...); got.StatusCode != http.StatusOK {
				t.Fatalf("the site does not go on: %d %s", got.StatusCode, got.Body)
			}
			// It does not matter which of the two servers answers.
			for range 10 {
				if got := c.services(); !slices.Equal(got, []string{"first"}) {
					t.Fatalf("the admin API knows the services %q", got)
				}
			}
			c.checkInControl(service)
		})
	}
}

func TestAdminOfACaddyWithoutBWS(t *testing.T) {
	c, _ := startWatched(t)
	for _, test := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{http.MethodGet, "/bws/services", "", http.StatusOK, "[]\n"},
		{http.MethodGet, "/bws/health", "", http.StatusOK, `"ready"`},
		{http.MethodPost, "/bws/revoke", `{"service":"default"}`, http.StatusNotFound, "no service is configured"},
		{http.MethodPost, "/bws/revoke", `{"bcid":"bioid/9876/12345"}`, http.StatusNotFound, "no service is configured"},
		{http.MethodPost, "/bws/rotate", "", http.StatusNotFound, "no service is configured"},
		{http.MethodDelete, "/bws/cache", "", http.StatusNoContent, ""},
		{http.MethodGet, "/bws/", "", http.StatusNotFound, ""},
	} {
		if got := c.ask(test.method, test.path, test.body); got.StatusCode != test.status || !strings.Contains(got.Body, test.want) {
			t.Errorf("%s %s: got %d %s, want %d %s", test.method, test.path, got.StatusCode, got.Body, test.status, test.want)
		}
	}
}

// What is wrong is answered as Caddy's admin API answers it, and repeats nothing, in the log neither.
func TestAdminRefusals(t *testing.T) {
	covers(t, 101)
	const mark = "s3cret-mark"
	c, service := startWatched(t, "default")
	token := goodToken(service)
	for _, test := range []struct {
		method, path, body string
		status             int
	}{
		{http.MethodGet, "/bws/revoke", "", http.StatusMethodNotAllowed},
		{http.MethodPost, "/bws/cache", mark, http.StatusMethodNotAllowed},
		{http.MethodPost, "/bws/revoke", `{"Token":"` + token + `"}`, http.StatusBadRequest},
		{http.MethodPost, "/bws/revoke", `{"session":"` + token + `"}`, http.StatusBadRequest},
		{http.MethodPost, "/bws/revoke", `{"bcid":"` + mark + `"}`, http.StatusBadRequest},
		{http.MethodPost, "/bws/revoke", `{"service":"` + mark + `"}`, http.StatusNotFound},
		{http.MethodPost, "/bws/rotate", `{"service":"` + mark + strings.Repeat("x", 9000) + `"}`, http.StatusRequestEntityTooLarge},
		{http.MethodPost, "/bws/revoke", `{"token":"` + token + `"}`, http.StatusOK},
	} {
		got := c.ask(test.method, test.path, test.body)
		if got.StatusCode != test.status || (got.Header.Get("Allow") != "") != (test.status == http.StatusMethodNotAllowed) {
			t.Errorf("%s %s: got %d, %q, %s; want %d", test.method, test.path, got.StatusCode, got.Header, got.Body, test.status)
		}
		if strings.Contains(got.Body, mark) || strings.Contains(got.Body, token) {
			t.Errorf("%s %s repeats what was sent: %s", test.method, test.path, got.Body)
		}
	}
	for _, secret := range []string{mark, token, bwstest.AppSecret} {
		if strings.Contains(c.logs.String(), secret) {
			t.Errorf("Caddy's log shows %s", secret)
		}
	}
}
