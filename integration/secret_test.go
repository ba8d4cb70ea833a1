package integration

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// Security case 101: secrets and tokens that Caddy uses show nowhere, however much it is made to say.
func TestSecretsStaySecret(t *testing.T) {
	covers(t, 101)
	const inFile, inVariable = "s3cret-from-file", "s3cret-from-env"
	t.Setenv("BWS_APP_SECRET", inVariable)
	service := bwstest.NewServer(t, bwstest.Config{AppID: "app", AppSecret: inFile})
	token := goodToken(service)

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

	config := c.ask(http.MethodGet, "/config/", "").Body
	autosave := readFile(t, filepath.Join(c.Home, "caddy", "autosave.json"))
	for name, text := range map[string]string{"/config/": config, "autosave.json": autosave} {
		for _, placeholder := range []string{`"{env.BWS_APP_SECRET}"`, `"{file.testdata/app_secret}"`} {
			if !strings.Contains(text, placeholder) {
				t.Errorf("%s does not show %s", name, placeholder)
			}
		}
	}
	refused := c.ask(http.MethodPost, "/load", string(withService(`"timeout":"1h"`)), "Content-Type: application/json")
	if refused.StatusCode != http.StatusBadRequest || !strings.Contains(refused.Body, "timeout") {
		t.Errorf("/load answered %d: %s", refused.StatusCode, refused.Body)
	}
	for name, text := range map[string]string{
		"/config/":      config,
		"autosave.json": autosave,
		"/load":         refused.Body,
		"the log":       c.logs.String(),
	} {
		for _, secret := range []string{secretMark, token, basicAuth("app", inFile), basicAuth("app", inVariable)} {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows %s:\n%s", name, secret, text)
			}
		}
	}
}
