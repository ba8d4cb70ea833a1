package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// auditEntry is a line of the audit log.
type auditEntry struct {
	Level, Logger, Msg, Decision, Reason, BCID, Person, Path string
	RequestID                                                string `json:"request_id"`
	Repeated                                                 int
}

// The audit log goes where it is sent, and nowhere else. It knows every decision, also those of an attack under way when Caddy gets
// another configuration or stops.
func TestAuditLog(t *testing.T) {
	for _, hashed := range []bool{false, true} {
		t.Run(fmt.Sprintf("hashed %v", hashed), func(t *testing.T) {
			service, app := bwstest.NewServer(t, bwstest.Config{}), newApp(t)
			file := filepath.Join(t.TempDir(), "audit.log")
			options := []string{"client_rate 1000 1s"}
			if hashed {
				options = append(options, "audit_hash")
			}
			c := &caddyProcess{t: t, Addr: freeAddr(t), Admin: freeAddr(t)}
			config := fmt.Sprintf("{\n\tadmin %s\n\tauto_https off\n%s\tlog {\n\t\tformat bws\n\t\texclude http.handlers.bws.audit\n\t}\n"+
				"\tlog audit {\n\t\toutput file %s\n\t\tinclude http.handlers.bws.audit\n\t}\n}\nhttp://%s {\n\tlog\n\tbws\n\treverse_proxy %s\n}\n",
				c.Admin, serviceOption("", service.URL, options...), file, c.Addr, app.Listener.Addr())
			c.run(config)
			url := "http://" + c.Addr
			do(t, http.MethodGet, url+"/entered?secret=1", good(service)...)
			const attempts = 20
			for range attempts {
				do(t, http.MethodGet, url+"/attacked")
			}
			c.reload(strings.Replace(config, "client_rate 1000 1s", "client_rate 1001 1s", 1))
			for range attempts {
				do(t, http.MethodGet, url+"/attacked")
			}
			c.stop()

			text, denied := readFile(t, file), 0
			checkLeaks(t, text)
			for line := range strings.Lines(text) {
				var entry auditEntry
				if err := json.Unmarshal([]byte(line), &entry); err != nil {
					t.Fatal(err)
				}
				if entry.Level != "info" || entry.Logger != "http.handlers.bws.audit" {
					t.Errorf("the audit log says %s", line)
				}
				switch entry.Path {
				case "/entered":
					if entry.Decision != "allow" || (entry.BCID == alice.String()) == hashed || (len(entry.Person) == 32) != hashed {
						t.Errorf("the audit log says %s", line)
					}
					if !strings.Contains(c.logs.String(), `"uuid":"`+entry.RequestID+`"`) {
						t.Errorf("the access log does not know the request %s", entry.RequestID)
					}
				case "/attacked":
					denied += max(entry.Repeated, 1)
				default:
					t.Errorf("the audit log says %s", line)
				}
			}
			if lines := strings.Count(text, "\n"); denied != 2*attempts || lines != 1+2*6 {
				t.Errorf("%d lines tell of %d denials, want 12 of %d, and one that is none:\n%s", lines, denied, 2*attempts, text)
			}
			if strings.Contains(c.logs.String(), "http.handlers.bws.audit\",\"msg") {
				t.Error("the other log has lines of the audit log")
			}
		})
	}
}
