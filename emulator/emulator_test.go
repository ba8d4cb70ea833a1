package emulator

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-bws/caddy-bws/bws"
)

// load does what Caddy does with a handler in a configuration. The returned function does what it does when the configuration
// is replaced.
func load(t *testing.T, config string) (e *Emulator, unload func(), err error) {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	module, err := ctx.LoadModuleByID("http.handlers.bws_emulator", json.RawMessage(config))
	if err != nil {
		return nil, cancel, err
	}
	return module.(*Emulator), cancel, nil
}

// serve runs the emulator in front of a handler that answers every request with status 418.
func serve(t *testing.T, e *Emulator) *httptest.Server {
	t.Helper()
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusTeapot)
		return nil
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := e.ServeHTTP(w, r, next); err != nil {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func newClient(t *testing.T, server *httptest.Server, id, secret string) *bws.Client {
	t.Helper()
	client, err := bws.NewClient(bws.Config{Endpoint: server.URL + "/extension", AppID: id, AppSecret: secret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func TestEmulator(t *testing.T) {
	t.Setenv("EMULATOR_SECRET", "hush")
	e, _, err := load(t, `{"app_id":"demo","app_secret":"{env.EMULATOR_SECRET}","enrolled":["bws/1/42"]}`)
	if err != nil {
		t.Fatal(err)
	}
	server := serve(t, e)
	client := newClient(t, server, "demo", "hush")
	alice := bws.BCID{Storage: "bws", Partition: 1, Class: 42}
	token, err := client.Token(t.Context(), bws.TokenRequest{BCID: alice, Task: bws.TaskVerify | bws.TaskLiveDetect})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Result(t.Context(), token); !errors.Is(err, bws.ErrNoResult) {
		t.Errorf("before the operation: %v", err)
	}
	call := func(method, path, body string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode/100 != 2 {
			t.Fatalf("%s: status %d", path, response.StatusCode)
		}
	}
	call(http.MethodPost, "/extension/upload", `"data:image/png;base64,iVBORw0KGgo="`)
	call(http.MethodGet, "/extension/verify", "")
	if result, err := client.Result(t.Context(), token); err != nil || !result.Success || result.BCID != alice {
		t.Errorf("result %+v, %v for an enrolled person", result, err)
	}
	call(http.MethodPost, "/extension/emulator/outcome", `{"bcid":"bws/1/42","success":false,"error":"LiveDetectionFailed"}`)
	call(http.MethodPost, "/extension/upload", `"data:image/png;base64,iVBORw0KGgo="`)
	call(http.MethodGet, "/extension/verify", "")
	if result, err := client.Result(t.Context(), token); err != nil || result.Success || result.Error != bws.LiveDetectionFailed {
		t.Errorf("result %+v, %v for a chosen outcome", result, err)
	}

	if _, err := newClient(t, server, "demo", "{env.EMULATOR_SECRET}").Status(t.Context()); !errors.Is(err, bws.ErrUnauthorized) {
		t.Errorf("the placeholder itself is a secret: %v", err)
	}
	if config, err := json.Marshal(e); err != nil || strings.Contains(string(config), "hush") {
		t.Errorf("the configuration shows the secret: %s, %v", config, err)
	}
}

func TestOtherPathsArePassedOn(t *testing.T) {
	e, _, err := load(t, `{"app_id":"demo","app_secret":"hush"}`)
	if err != nil {
		t.Fatal(err)
	}
	server := serve(t, e)
	for path, status := range map[string]int{
		"/":                       http.StatusTeapot,
		"/extension":              http.StatusTeapot,
		"/extensions/token":       http.StatusTeapot,
		"/prefix/extension/token": http.StatusTeapot,
		"/extension/":             http.StatusNotFound,
		"/extension/unknown":      http.StatusNotFound,
		"/extension/token":        http.StatusUnauthorized,
		"/bws":                    http.StatusTeapot,
		"/bws/":                   http.StatusTeapot,
		"/bws/performtask/":       http.StatusTeapot,
		"/prefix/bws/performtask": http.StatusTeapot,
		"/bws/performtask":        http.StatusOK,
		"/bws/uui":                http.StatusOK,
	} {
		response, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != status {
			t.Errorf("%s: status %d, want %d", path, response.StatusCode, status)
		}
	}
}

func TestLoadErrors(t *testing.T) {
	t.Setenv("EMULATOR_EMPTY", "")
	tests := []struct{ name, config, want string }{
		{"no app_id", `{"app_secret":"hush"}`, "app_id is missing"},
		{"no app_secret", `{"app_id":"demo"}`, "app_secret is missing"},
		{"colon", `{"app_id":"de:mo","app_secret":"hush"}`, "app_id contains a colon"},
		{"empty placeholder", `{"app_id":"demo","app_secret":"{env.EMULATOR_EMPTY}"}`, "app_secret: evaluated placeholder"},
		{"unknown placeholder", `{"app_id":"{no.such}","app_secret":"hush"}`, "app_id: "},
		{"rubbish enrolled", `{"app_id":"demo","app_secret":"hush","enrolled":["bob"]}`, `enrolled: "bob" is not a BCID`},
		{"partition enrolled", `{"app_id":"demo","app_secret":"hush","enrolled":["bws/1/0"]}`, `is a whole partition`},
		{"unknown option", `{"app_id":"demo","app_secret":"hush","secret":"hush"}`, `unknown field "secret"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := load(t, tt.config)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hush") {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// Tokens outlive a reload of the configuration, as long as the emulator in it stays the same.
func TestStateSurvivesReloads(t *testing.T) {
	const config = `{"app_id":"reload","app_secret":"hush","enrolled":["bws/1/42"]}`
	before, unloadBefore, err := load(t, config)
	if err != nil {
		t.Fatal(err)
	}
	request := bws.TokenRequest{BCID: bws.BCID{Storage: "bws", Partition: 1, Class: 42}, Task: bws.TaskVerify}
	token, err := newClient(t, serve(t, before), "reload", "hush").Token(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	key := keyOf("reload", "hush", []bws.BCID{request.BCID})
	after, unloadAfter, err := load(t, config)
	if err != nil {
		t.Fatal(err)
	}
	unloadBefore()
	if _, err := newClient(t, serve(t, after), "reload", "hush").Result(t.Context(), token); !errors.Is(err, bws.ErrNoResult) {
		t.Errorf("after the reload: %v", err)
	}
	for name, other := range map[string]string{
		"person": `{"app_id":"reload","app_secret":"hush","enrolled":["bws/1/43"]}`,
		"id":     `{"app_id":"reload2","app_secret":"hush","enrolled":["bws/1/42"]}`,
		"secret": `{"app_id":"reload","app_secret":"hush2","enrolled":["bws/1/42"]}`,
	} {
		e, unload, err := load(t, other)
		if err != nil {
			t.Fatal(err)
		}
		if e.service == after.service {
			t.Errorf("an emulator with another %s is the same service", name)
		}
		unload()
	}
	unloadAfter()
	if n, exists := services.References(key); exists {
		t.Errorf("%d references are left after the last configuration is gone", n)
	}
}

// Requests that Caddy does not wait for any longer are answered all the same.
func TestRequestsOutliveTheConfiguration(t *testing.T) {
	e, unload, err := load(t, `{"app_id":"late","app_secret":"hush"}`)
	if err != nil {
		t.Fatal(err)
	}
	client := newClient(t, serve(t, e), "late", "hush")
	unloaded := make(chan struct{})
	go func() {
		defer close(unloaded)
		unload()
	}()
	if _, err := client.Status(t.Context()); err != nil {
		t.Errorf("meanwhile: %v", err)
	}
	<-unloaded
	if _, err := client.Status(t.Context()); err != nil {
		t.Errorf("after the end of the configuration: %v", err)
	}
}

func TestCleanupAfterFailedProvision(t *testing.T) {
	if err := new(Emulator).Cleanup(); err != nil {
		t.Error(err)
	}
}

func TestWarning(t *testing.T) {
	_, err := caddy.ProvisionContext(&caddy.Config{
		Admin: &caddy.AdminConfig{Disabled: true},
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{
			"default": {BaseLog: caddy.BaseLog{WriterRaw: json.RawMessage(`{"output":"emulator_test"}`), Level: zapcore.WarnLevel.String()}},
		}},
		AppsRaw: caddy.ModuleMap{"http": json.RawMessage(`{"servers":{"dev":{"listen":["127.0.0.1:0"],"routes":[
			{"handle":[{"handler":"bws_emulator","app_id":"demo","app_secret":"hush"}]}]}}}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	log := logged.take()
	if n := strings.Count(log, "this is an emulator of BWS"); n != 1 || strings.Contains(log, "hush") {
		t.Errorf("%d warnings in the log:\n%s", n, log)
	}
}
