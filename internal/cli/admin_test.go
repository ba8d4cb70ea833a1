package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// console is an admin API that answers as it is told, and remembers what it was asked.
type console struct {
	*httptest.Server
	answers map[string]string
	status  map[string]int
	asked   []string
}

func newConsole(t *testing.T) *console {
	t.Helper()
	c := &console{answers: map[string]string{}, status: map[string]int{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c.asked = append(c.asked, fmt.Sprintf("%s %s %s", r.Method, r.URL.Path, body))
		answer, known := c.answers[r.URL.Path]
		if !known {
			http.NotFound(w, r)
			return
		}
		if status := c.status[r.URL.Path]; status != 0 {
			w.WriteHeader(status)
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(c.Close)
	return c
}

// answer makes an endpoint answer so. The status 0 stands for 200.
func (c *console) answer(path string, status int, body string) {
	c.answers[path], c.status[path] = body, status
}

// at returns the flag with which it is found.
func (c *console) at() string { return "--address=" + c.Listener.Addr().String() }

const servicesAnswer = `[
	{"name":"default","endpoint":"https://bws.bioid.com/extension","breaker":"open","remembered_tokens":12,"cache_size":100000,
	 "inflight":3,"max_inflight":64,"keys":[
		{"id":"00ff","purpose":"session","use_from":"2026-05-04T09:00:00Z","open_until":"2026-06-04T09:00:00Z","age":10800},
		{"id":"01ff","purpose":"assertion","use_from":"2026-05-04T12:05:00Z","open_until":"2026-06-05T09:00:00Z","age":-300}],
	 "last_storage_sync":"2026-05-04T11:59:57Z"},
	{"name":"other","endpoint":"http://localhost:9080/extension","breaker":"closed","remembered_tokens":0,"cache_size":1,
	 "inflight":0,"max_inflight":1,"keys":[],"last_storage_sync":null,"some_day":"more"}
]`

const illAnswer = `{"status":"not ready","problems":[
	{"service":"default","reason":"service_unavailable","detail":"BWS has failed"},
	{"service":"other","reason":"ledger_unavailable","detail":"never\u001b[2J read"}]}`

func TestServices(t *testing.T) {
	d, c := newDesk(t), newConsole(t)
	c.answer("/bws/services", 0, servicesAnswer)
	c.answer("/bws/health", 0, `{"status":"ready"}`)
	d.run("", "services", c.at()).check(0, "service     default\n", "breaker     open\n", "calls       3 of 64 under way\n",
		"remembered  12 of 100000 tokens\n", "key         00ff of sessions, used for 3h0m0s\n", "key         01ff of assertions, used in 5m0s\n",
		"storage     read 3s ago\n", "ready       yes\n", "service     other\n", "storage     never read\n")

	c.answer("/bws/health", 503, illAnswer)
	d.run("", "services", c.at()).check(exitNegative, "NOT READY   service_unavailable: BWS has failed\n",
		`NOT READY   ledger_unavailable: "never\x1b[2J read"`)
	r := d.run("", "services", c.at(), "--json")
	r.check(exitNegative)
	r.golden("services.json")

	c.answer("/bws/services", 0, "[]")
	c.answer("/bws/health", 0, `{"status":"ready"}`)
	d.run("", "services", c.at()).check(0, "Caddy runs, but no service is configured.")
	if r := d.run("", "services", c.at(), "--json"); r.out != "[]\n" {
		t.Errorf("got %s", r.out)
	}
}

func TestRevoke(t *testing.T) {
	const id = "000102030405060708090a0b0c0d0e0f"
	d, c := newDesk(t), newConsole(t)
	c.answer("/bws/revoke", 0, `{"revoked":"session","services":["default","other"]}`)
	token := d.token(bwstest.TokenSpec{BCID: alice}, nil)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--session", id}, `{"session":"` + id + `"}`},
		{[]string{"--token"}, `{"token":"` + token + `"}`},
		{[]string{"--bcid", "bws/1/42"}, `{"bcid":"bws/1/42"}`},
		{[]string{"--all-of-service", "other"}, `{"service":"other"}`},
	} {
		c.asked = nil
		r := d.run(token+"\n", append([]string{"revoke", c.at()}, test.args...)...)
		r.check(0, "Revoked: the session, at default, other\n")
		if want := "POST /bws/revoke " + test.want; len(c.asked) != 1 || c.asked[0] != want {
			t.Errorf("%v: asked %q, want %q", test.args, c.asked, want)
		}
		if strings.Contains(r.out+r.errors, token) {
			t.Errorf("%v: the token is printed: %s%s", test.args, r.out, r.errors)
		}
	}
	r := d.run("", "revoke", "--json", "--session", id, c.at())
	r.check(0)
	r.golden("revoke.json")
	for kind, want := range map[string]string{
		"token": "the token and its session", "bcid": "everything of the person up to now", "service": "everything up to now", "else": "else",
	} {
		c.answer("/bws/revoke", 0, `{"revoked":"`+kind+`","services":["default"]}`)
		d.run("", "revoke", "--session", id, c.at()).check(0, "Revoked: "+want+", at default\n")
	}
}

// Whoever revokes is not left in doubt: of several things, or none, nothing is.
func TestRevokeOneThing(t *testing.T) {
	d, c := newDesk(t), newConsole(t)
	for _, args := range [][]string{
		nil, {"--bcid", ""}, {"--all-of-service="}, {"--session", ""}, {"--token=false"},
		{"--token", "--bcid", "bws/1/42"}, {"--bcid", "bws/1/42", "--all-of-service", "default"}, {"--session", "00", "--bcid", "bws/1/42"},
	} {
		r := d.run("x", append([]string{"revoke", c.at()}, args...)...)
		r.check(exitUsage, "give one of --session, --token, --bcid and --all-of-service")
		r.silent()
	}
	d.run("x", "revoke", c.at(), "--bcid", "bws/1/42", "--token-file", d.config).check(exitUsage, "--token-file goes with --token")
	d.run("", "revoke", c.at(), "--token").check(exitUsage, "there is no token")
	if len(c.asked) > 0 {
		t.Errorf("asked %q", c.asked)
	}
}

func TestRotate(t *testing.T) {
	d, c := newDesk(t), newConsole(t)
	c.answer("/bws/rotate", 0, `[{"service":"default","id":"00ff","purpose":"session","use_from":"2026-05-04T12:05:00Z"}]`)
	d.run("", "rotate", c.at()).check(0, "default  key 00ff of sessions  used from 2026-05-04T12:05:00Z (in 5m0s)\n")
	r := d.run("", "rotate", "default", "--json", c.at())
	r.check(0)
	r.golden("rotate.json")
	want := []string{"POST /bws/rotate {}", `POST /bws/rotate {"service":"default"}`}
	if fmt.Sprint(c.asked) != fmt.Sprint(want) {
		t.Errorf("asked %q, want %q", c.asked, want)
	}
	// An unset variable must not stand for all services.
	d.run("", "rotate", "", c.at()).check(exitUsage, "the name of the service is empty")
}

// Each command of the admin API, with something that it accepts.
var adminCommands = [][]string{{"services"}, {"revoke", "--bcid", "bws/1/42"}, {"rotate"}}

func TestAdminRefuses(t *testing.T) {
	d, c := newDesk(t), newConsole(t)
	for name, test := range map[string]struct {
		status int
		body   string
		code   int
		want   string
	}{
		"no such service":    {404, `{"error":"no service of that name is configured"}`, exitNegative, "Caddy refuses: no service of that name"},
		"not stored":         {503, `{"error":"not stored for the services default"}`, exitNegative, "Caddy refuses: not stored"},
		"another Caddy":      {404, "404 page not found", exitNegative, "was it built with this module?"},
		"no words":           {400, "", exitNegative, "Caddy refuses, with status 400"},
		"odd words":          {403, `{"error":"a\u001bb"}`, exitNegative, `Caddy refuses: "a\x1bb"`},
		"rubbish":            {200, "<html>", exitFault, "is that Caddy older or newer"},
		"of another kind":    {200, `"x"`, exitFault, "is that Caddy older or newer"},
		"a fault of several": {500, "line\nline", exitNegative, "Caddy refuses, with status 500"},
	} {
		for _, command := range adminCommands {
			for _, path := range []string{"/bws/services", "/bws/revoke", "/bws/rotate"} {
				c.answer(path, test.status, test.body)
			}
			t.Run(name+" "+command[0], func(t *testing.T) {
				r := d.run("", append(command, c.at())...)
				r.check(test.code, "bws "+command[0]+": ", test.want)
				r.silent()
			})
		}
	}
}

// Half of the truth would look as if all were well.
func TestServicesWithoutHealth(t *testing.T) {
	d, c := newDesk(t), newConsole(t)
	c.answer("/bws/services", 0, servicesAnswer)
	for status, body := range map[int]string{500: "", 404: "404 page not found", 503: "", 200: "x"} {
		c.answer("/bws/health", status, body)
		if r := d.run("", "services", c.at()); r.code == 0 || r.out != "" {
			t.Errorf("status %d: exit code %d\n%s", status, r.code, r.out)
		}
	}
}

func TestAdminOutOfReach(t *testing.T) {
	d, c := newDesk(t), newConsole(t)
	c.Close()
	for _, command := range adminCommands {
		r := d.run("", append(command, c.at())...)
		r.check(exitFault, "the admin API at "+c.Listener.Addr().String(), "connection refused", "is Caddy running, and is that its address?")
		r.silent()
	}
	d.run("", "services", "--address", "localhost:1-2").check(exitFault, "invalid admin address")
}

// The address is that of Caddy's own commands.
func TestWhereTheAdminAPIIs(t *testing.T) {
	d, c := newDesk(t), newConsole(t)
	c.answer("/bws/services", 0, "[]")
	c.answer("/bws/health", 0, `{}`)
	config := writeFile(t, "caddy.json", `{"admin":{"listen":"`+c.Listener.Addr().String()+`"}}`)
	d.run("", "services", "--config", config).check(0, "no service is configured")
	d.run("", "services", "--config", "nowhere").check(exitFault, "no such file")
	d.run("", "services", "--config", config, "--address", "localhost:1").check(exitFault, "the admin API at localhost:1")
}

// Caddy's own request would wait for ever.
func TestAdminHangs(t *testing.T) {
	gone := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-gone }))
	defer server.Close()
	defer close(gone)
	flags := adminFlags{address: server.Listener.Addr().String(), patience: time.Millisecond}
	if _, err := flags.call(http.MethodGet, "/bws/services", nil); err == nil || !strings.Contains(err.Error(), "does not answer within 1ms") {
		t.Errorf("got %v", err)
	}
	var set adminFlags
	if set.add(new(cobra.Command)); set.patience != adminPatience {
		t.Errorf("a command waits for %s", set.patience)
	}
}
