package integration

import (
	"net/http"
	"regexp"
	"strconv"
)

// ask calls an endpoint of the admin API, with a body in JSON unless a header says otherwise. A reload resets the API's connections,
// and the next request finds the new one.
func (c *caddyProcess) ask(method, path, body string, headers ...string) *answer {
	c.t.Helper()
	var got *answer
	eventually(c.t, "the admin API answers", func() bool {
		var err error
		// What a connection to the replaced server says is of the configuration before.
		got, err = ask(c.t.Context(), client, method, "http://"+c.Admin+path, body, append(headers, "Connection: close")...)
		return err == nil
	})
	return got
}

// load asks for another configuration.
func (c *caddyProcess) load(caddyfile string) *answer {
	c.t.Helper()
	return c.ask(http.MethodPost, "/load", caddyfile, "Content-Type: text/caddyfile")
}

// reload replaces the configuration.
func (c *caddyProcess) reload(caddyfile string) {
	c.t.Helper()
	if got := c.load(caddyfile); got.StatusCode != http.StatusOK {
		c.t.Fatalf("reloading: %d %s", got.StatusCode, got.Body)
	}
	client.CloseIdleConnections() // the servers before have closed theirs, and a POST is not sent again on another one
}

// goroutines is how many the process has.
func (c *caddyProcess) goroutines() int {
	return c.profiled("/debug/pprof/goroutine?debug=1", `goroutine profile: total (\d+)`)
}

// heap is how many bytes are in use after a collection.
func (c *caddyProcess) heap() int {
	return c.profiled("/debug/pprof/heap?gc=1&debug=1", `# HeapAlloc = (\d+)`)
}

func (c *caddyProcess) profiled(path, pattern string) int {
	c.t.Helper()
	match := regexp.MustCompile(pattern).FindStringSubmatch(c.ask(http.MethodGet, path, "").Body)
	if match == nil {
		c.t.Fatalf("%s has no %s", path, pattern)
	}
	n, err := strconv.Atoi(match[1])
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}
