package integration

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// A service that changes a hundred times has a runtime each time. When it goes, Caddy is as one that never had it.
func TestRuntimesAreFreed(t *testing.T) {
	service := bwstest.NewServer(t, bwstest.Config{})
	c := &caddyProcess{t: t, Addr: freeAddr(t), Admin: freeAddr(t)}
	head := fmt.Sprintf("{\n\tadmin %s\n\tauto_https off\n", c.Admin)
	without := head + "}\nhttp://" + c.Addr + " {\n\trespond \"app\"\n}\n"
	ask := func(generation int) {
		c.reload(fmt.Sprintf("%s\tbws {\n\t\tendpoint %s\n\t\tapp_id %s\n\t\tapp_secret %s\n\t\tcache_ttl %dms\n\t}\n}\nhttp://%s {\n\tbws\n\trespond \"app\"\n}\n",
			head, service.URL, bwstest.AppID, bwstest.AppSecret, 10_000+generation, c.Addr))
		if got := do(t, http.MethodGet, "http://"+c.Addr, good(service)...); got.StatusCode != http.StatusOK {
			t.Fatalf("got %d %s", got.StatusCode, got.Body)
		}
	}
	c.run(without)
	// What Caddy itself starts at the first reload stays.
	ask(0)
	c.reload(without)
	before, heap := c.goroutines(), c.heap()
	for generation := range reloads {
		ask(generation)
	}
	c.reload(without)
	eventually(t, "the goroutines have ended", func() bool { return c.goroutines() <= before+sparedGoroutines/5 })
	if got := c.heap(); got > heap+sparedHeap {
		t.Errorf("%d bytes of heap, %d before", got, heap)
	}
	t.Logf("goroutines %d, then %d; heap %d KB, then %d KB", before, c.goroutines(), heap>>10, c.heap()>>10)
}
