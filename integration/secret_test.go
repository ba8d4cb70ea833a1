package integration

import (
	"encoding/base64"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// Security case 101: secrets and tokens that Caddy uses show nowhere, however much it is made to say.
func TestSecretsStaySecret(t *testing.T) {
	covers(t, 101)
	const inFile, inVariable = "s3cret-from-file", "s3cret-from-env"
	t.Setenv("BWS_APP_SECRET", inVariable)
	service := bwstest.NewServer(t, bwstest.Config{AppID: "app", AppSecret: inFile})
	person := bws.BCID{Storage: "bws", Partition: 1, Class: 42}
	token := service.Token(bwstest.TokenSpec{BCID: person})
	service.Perform(token, bwstest.Outcome{Success: true})

	c := startCaddy(t, `
	servers {
		trace
	}
	bws {
		endpoint `+service.URL+`
		app_id app
		app_secret {file.testdata/app_secret}
	}
	bws refused {
		endpoint `+service.URL+`
		app_id app
		app_secret {env.BWS_APP_SECRET}
	}
	bws down {
		endpoint http://`+freeAddr(t)+`
		app_id app
		app_secret {env.BWS_APP_SECRET}
	}`, `{addr} {
		log
		bws /file
		bws /refused refused
		bws /down down
		respond "app"
	}`)

	// The line break at the end of the file is none of the secret, or the service would not take it.
	for path, want := range map[string]int{"/file": 200, "/refused": 502, "/down": 503} {
		if got := do(t, http.MethodGet, "http://"+c.Addr+path, "Cookie: bws_token="+token); got.StatusCode != want {
			t.Errorf("%s: status %d, want %d: %s", path, got.StatusCode, want, got.Body)
		}
	}
	c.waitForLog("the service refuses the credentials")

	config := do(t, http.MethodGet, "http://"+c.Admin+"/config/").Body
	autosave := readFile(t, filepath.Join(c.Home, "caddy", "autosave.json"))
	for name, text := range map[string]string{"/config/": config, "autosave.json": autosave} {
		for _, placeholder := range []string{`"{env.BWS_APP_SECRET}"`, `"{file.testdata/app_secret}"`} {
			if !strings.Contains(text, placeholder) {
				t.Errorf("%s does not show %s", name, placeholder)
			}
		}
	}
	for name, text := range map[string]string{
		"/config/":      config,
		"autosave.json": autosave,
		"/load":         postConfig(t, c, withService(`"timeout":"1h"`)),
		"the log":       c.logs.String(),
	} {
		for _, secret := range []string{secretMark, token, basicAuth("app", inFile), basicAuth("app", inVariable)} {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows %s:\n%s", name, secret, text)
			}
		}
	}
}

// postConfig replaces the configuration, which must fail, and returns what the admin API says.
func postConfig(t *testing.T, c *caddyProcess, config []byte) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+c.Admin+"/load", strings.NewReader(string(config)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	got := send(t, r)
	if got.StatusCode != http.StatusBadRequest || !strings.Contains(got.Body, "timeout") {
		t.Errorf("/load answered %d: %s", got.StatusCode, got.Body)
	}
	return got.Body
}

func basicAuth(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}
