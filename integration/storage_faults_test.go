package integration

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// storageSite has a gate for each thing that the storage is needed for.
const storageSite = `	bws_logout /logout
	bws /once* {
		once
	}
	bws /session* {
		session
	}
	bws /plain*`

// area is the folder of a part of the ledger, of which there is one.
func (s *gatedSite) area(t *testing.T, name string) string {
	t.Helper()
	found, _ := filepath.Glob(filepath.Join(s.storageFolder(), "bws", "*"))
	if len(found) != 1 {
		t.Fatalf("the storage has the services %q", found)
	}
	return filepath.Join(found[0], name)
}

func writeFile(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A storage in which nothing can be stored makes no token good that it cannot remember, and keeps nobody out otherwise.
func TestStorageThatCannotBeWritten(t *testing.T) {
	covers(t, 107)
	s := startSite(t, "", storageSite)
	url := "http://" + s.Addr
	cookie := begin(t, url+"/session", good(s.service))
	for _, name := range []string{"spent", "revoked"} {
		area := s.area(t, name)
		if err := os.RemoveAll(area); err != nil {
			t.Fatal(err)
		}
		writeFile(t, area, "") // in the place of a folder
	}
	s.app.take()
	s.checkKeptOut(t, do(t, http.MethodGet, url+"/once", good(s.service)...), "ledger_unavailable")
	for path, header := range map[string]string{"/session": cookie, "/plain": good(s.service)[0]} {
		if got := do(t, http.MethodGet, url+path, header); got.StatusCode != http.StatusOK {
			t.Errorf("%s: got %d %s", path, got.StatusCode, got.Body)
		}
	}
	s.app.take()
	if got := do(t, http.MethodPost, url+"/logout", cookie, "Origin: "+url); got.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("logging out: got %d %s", got.StatusCode, got.Body)
	}
	s.checkKeptOut(t, do(t, http.MethodGet, url+"/session", cookie), "revoked")
}

// A storage that is emptied makes nothing good again that this node knows to be spent or revoked. After a restart, sessions are gone.
func TestStorageThatIsEmptied(t *testing.T) {
	covers(t, 107, 55)
	t.Parallel()
	s := startSite(t, "", storageSite)
	url := "http://" + s.Addr
	cookie, out := begin(t, url+"/session", good(s.service)), begin(t, url+"/session", good(s.service))
	spent := good(s.service)[0]
	do(t, http.MethodGet, url+"/once", spent)
	do(t, http.MethodPost, url+"/logout", out, "Origin: "+url)
	if err := os.RemoveAll(filepath.Join(s.storageFolder(), "bws")); err != nil {
		t.Fatal(err)
	}
	s.app.take()
	s.checkKeptOut(t, do(t, http.MethodGet, url+"/once", spent), "spent")
	s.checkKeptOut(t, do(t, http.MethodGet, url+"/session", out), "revoked")
	if got := do(t, http.MethodGet, url+"/once", good(s.service)...); got.StatusCode != http.StatusOK {
		t.Errorf("a new token: got %d %s", got.StatusCode, got.Body)
	}
	if err := os.RemoveAll(filepath.Join(s.storageFolder(), "bws")); err != nil {
		t.Fatal(err)
	}
	n := &node{s.caddyProcess}
	n.kill()
	n.restart()
	s.app.take()
	for _, header := range []string{cookie, out} {
		s.checkKeptOut(t, do(t, http.MethodGet, url+"/session", header), "no_token")
	}
	begin(t, url+"/session", good(s.service))
}

// Rubbish in the storage opens nothing, and stops nothing.
func TestStorageFullOfRubbish(t *testing.T) {
	covers(t, 107, 124)
	t.Parallel()
	s := startSite(t, "", storageSite)
	url := "http://" + s.Addr
	cookie, out := begin(t, url+"/session", good(s.service)), begin(t, url+"/session", good(s.service))
	spent := good(s.service)[0]
	do(t, http.MethodGet, url+"/once", spent)
	do(t, http.MethodPost, url+"/logout", out, "Origin: "+url)
	certificate := filepath.Join(s.storageFolder(), "certificates", "local", "app.example", "app.example.crt")
	writeFile(t, certificate, "certificate")
	minute := fmt.Sprint(time.Now().Add(-2*time.Hour).Unix() / 60)
	for name, text := range map[string]string{
		"keys/session/" + strings.Repeat("0", 16): "",
		"keys/session/" + strings.Repeat("1", 16): "{",
		"keys/session/" + strings.Repeat("2", 16): `{"v":1,"use_from":1,"end":99999999999,"key":"c2hvcnQ="}`,
		"keys/session/" + strings.Repeat("3", 16): `{"v":2}`,
		"keys/session/..odd":                      "x",
		"keys/other/x":                            "x",
		"revoked/" + minute + "/x":                "x",
		"revoked/x/y":                             strings.Repeat("x", 1<<20),
		"revoked/" + fmt.Sprint(time.Now().Unix()/60) + "/s-" + strings.Repeat("g", 32): "",
		"spent/" + minute + "/x/y":     "x",
		"spent/99999999999999999999/x": "x",
		"odd/x":                        "x",
	} {
		writeFile(t, s.area(t, name), text)
	}
	n := &node{s.caddyProcess}
	n.kill()
	n.restart()
	s.app.take()
	s.checkKeptOut(t, do(t, http.MethodGet, url+"/once", spent), "spent")
	s.checkKeptOut(t, do(t, http.MethodGet, url+"/session", out), "revoked")
	for path, header := range map[string]string{"/session": cookie, "/plain": good(s.service)[0], "/once": good(s.service)[0]} {
		if got := do(t, http.MethodGet, url+path, header); got.StatusCode != http.StatusOK {
			t.Errorf("%s: got %d %s", path, got.StatusCode, got.Body)
		}
	}
	begin(t, url+"/session", good(s.service))
	eventually(t, "what has ended is swept", func() bool { return len(existing([]string{s.area(t, "spent/"+minute)})) == 0 })
	if readFile(t, certificate) != "certificate" {
		t.Error("the certificate is gone")
	}
}

// A lock that a process has taken with it into its grave delays by the time that a lock is waited for, and no more.
func TestLocksOfTheDead(t *testing.T) {
	covers(t, 121)
	t.Parallel()
	s := startSite(t, "", storageSite)
	url := "http://" + s.Addr
	token := s.goodToken()
	hash := hashOf(token)
	do(t, http.MethodGet, url+"/once", good(s.service)...)
	service := filepath.Base(s.area(t, ""))
	lock := filepath.Join(s.storageFolder(), "locks", "bws-"+service+"-"+hex.EncodeToString(hash[:])+".lock")
	future := time.Now().Add(time.Hour).Format(time.RFC3339)
	writeFile(t, lock, fmt.Sprintf(`{"created":%q,"updated":%q}`, future, future))
	s.app.take()
	start := time.Now()
	if got := do(t, http.MethodGet, url+"/once", "X-BWS-Token: "+token); got.StatusCode != http.StatusOK {
		t.Errorf("got %d %s", got.StatusCode, got.Body)
	}
	if took := time.Since(start); took < 1500*time.Millisecond || took > lateness+2*time.Second {
		t.Errorf("it took %s, want the time that a lock is waited for", took)
	}
	s.app.take()
	s.checkKeptOut(t, do(t, http.MethodGet, url+"/once", "X-BWS-Token: "+token), "spent")
}

// Whoever reads the storage, or asks the admin API, finds nothing that opens anything, nor whom it is about.
func TestStorageHoldsNoToken(t *testing.T) {
	covers(t, 53, 101)
	s := startSite(t, "", storageSite)
	url := "http://" + s.Addr
	tokens := []string{s.goodToken(), s.goodToken(), s.goodToken()}
	do(t, http.MethodGet, url+"/once", "X-BWS-Token: "+tokens[0])
	cookie := begin(t, url+"/session", []string{"X-BWS-Token: " + tokens[1]})
	do(t, http.MethodGet, url+"/plain", "X-BWS-Token: "+tokens[2])
	post(t, "http://"+s.Admin+"/bws/revoke", `{"bcid":"`+bob.String()+`"}`, http.StatusOK)
	post(t, "http://"+s.Admin+"/bws/revoke", `{"token":"`+tokens[2]+`"}`, http.StatusOK)
	do(t, http.MethodPost, url+"/logout", cookie, "Origin: "+url)
	places := map[string]string{}
	for _, path := range []string{"/bws/services", "/bws/health", "/config/", "/metrics", "/debug/pprof/goroutine?debug=2", "/debug/vars"} {
		places[path] = s.ask(http.MethodGet, path, "").Body
	}
	err := filepath.WalkDir(s.storageFolder(), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			places[path] = path + "\n" + readFile(t, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(places) < 10 {
		t.Errorf("there are only %d places", len(places))
	}
	secrets := []string{alice.String(), bob.String(), strings.TrimPrefix(cookie, "Cookie: bws_session="), basicAuth(bwstest.AppID, bwstest.AppSecret)}
	for _, token := range tokens {
		_, payload, signature := split(token)
		secrets = append(secrets, signature, payload, base64.StdEncoding.EncodeToString([]byte(token))[:200], hex.EncodeToString([]byte(token))[:200])
	}
	for place, text := range places {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows %s", place, secret)
			}
		}
	}
}
