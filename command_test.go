package caddybws

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// The module brings its commands along, and not that of the emulator.
func TestCommand(t *testing.T) {
	command, registered := caddycmd.Commands()["bws"]
	if !registered {
		t.Fatal("there is no caddy bws")
	}
	cmd := &cobra.Command{Use: command.Name}
	command.CobraFunc(cmd)
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	for _, want := range []string{"inspect", "probe", "result", "revoke", "rotate", "services", "token"} {
		if !slices.Contains(names, want) {
			t.Errorf("there is no caddy bws %s", want)
		}
	}
	if slices.Contains(names, "emulate") {
		t.Error("the emulator is there without having been asked for")
	}
}

// clientOf returns the client of the service of this name, or what keeps it from being one.
func clientOf(t *testing.T, config, name string) (*bws.Client, error) {
	t.Helper()
	services, err := configuredServices([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range services {
		if s.Name == name {
			client, err := s.Connect()
			if err == nil {
				t.Cleanup(client.CloseIdleConnections)
			}
			return client, err
		}
	}
	t.Fatalf("there is no service %q among %d", name, len(services))
	return nil, nil
}

// bwsConfig is a configuration with the services of this JSON.
func bwsConfig(services string) string { return `{"apps":{"bws":{"services":` + services + `}}}` }

func TestConfiguredServices(t *testing.T) {
	for config, want := range map[string][]string{
		`{}`:                    {},
		`{"apps":{}}`:           {},
		`{"apps":{"bws":null}}`: {},
		`{"apps":{"bws":{}}}`:   {},
		bwsConfig(`{"b":{"app_id":"x"},"a":null,"default":{}}`): {"a", "b", "default"},
	} {
		services, err := configuredServices([]byte(config))
		names := []string{}
		for _, s := range services {
			names = append(names, s.Name)
		}
		if err != nil || !slices.Equal(names, want) {
			t.Errorf("%s: got %q, %v; want %q", config, names, err, want)
		}
	}
	for config, want := range map[string]string{
		`[]`: "reading the configuration", `{"apps":{"bws":{"service":{}}}}`: "reading the app bws", bwsConfig(`{"a":{"secret":"x"}}`): "reading the app bws",
	} {
		if services, err := configuredServices([]byte(config)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v; want %q", config, services, err, want)
		}
	}
}

// A command has the same service as the gates: its placeholders, proxy and certificates, and the endpoint that it defaults to.
func TestConfiguredServiceConnects(t *testing.T) {
	plain, trusted := bwstest.NewServer(t, bwstest.Config{}), httptest.NewUnstartedServer(bwstest.New(bwstest.Config{}))
	trusted.Config.ErrorLog = log.New(io.Discard, "", 0) // of those who do not trust it
	trusted.StartTLS()
	defer trusted.Close()
	pemFile := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: trusted.Certificate().Raw})
	if err := os.WriteFile(pemFile, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BWS_TEST_SECRET", bwstest.AppSecret)
	adapted, _, err := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}.Adapt([]byte(`{
	bws {
		endpoint `+plain.URL+`/
		app_id `+bwstest.AppID+`
		app_secret {env.BWS_TEST_SECRET}
	}
	bws trusted {
		endpoint `+trusted.URL+bwstest.Base+`
		app_id `+bwstest.AppID+`
		app_secret {env.BWS_TEST_SECRET}
		tls_trust_pool file `+pemFile+`
	}
	bws stranger {
		endpoint `+trusted.URL+bwstest.Base+`
		app_id `+bwstest.AppID+`
		app_secret {env.BWS_TEST_SECRET}
	}
	bws proxied {
		endpoint https://bws.example/extension
		app_id `+bwstest.AppID+`
		app_secret {env.BWS_TEST_SECRET}
		proxy http://127.0.0.1:1
	}
	bws public {
		app_id `+bwstest.AppID+`
		app_secret {env.BWS_TEST_SECRET}
	}
}
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"default": "", "trusted": "", "stranger": "unknown authority", "proxied": "proxyconnect: connection refused",
	} {
		client, err := clientOf(t, string(adapted), name)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Status(t.Context())
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	if client, err := clientOf(t, string(adapted), "public"); err != nil || client.Endpoint() != bws.DefaultEndpoint {
		t.Errorf("got %v, %v; want a client of %s", client, err, bws.DefaultEndpoint)
	}
}

// A service that Caddy would refuse is refused here, too, in the same words, and without the secret.
func TestConfiguredServiceRefused(t *testing.T) {
	for service, want := range map[string]string{
		`null`:                                 "it is null",
		`{"app_secret":"hush"}`:                "app_id is missing",
		`{"app_id":"a"}`:                       "app_secret is missing",
		`{"app_id":"a:b","app_secret":"hush"}`: "contains a colon",
		`{"app_id":"a","app_secret":"{env.NO_BWS}"}`:                                                       "app_secret: evaluated placeholder {env.NO_BWS} is empty",
		`{"app_id":"a","app_secret":"{hush}"}`:                                                             "app_secret: holds an unknown placeholder",
		`{"app_id":"a","app_secret":"hush","timeout":"1h"}`:                                                "timeout: 1h0m0s is out of bounds",
		`{"app_id":"a","app_secret":"hush","endpoint":"http://bws.example"}`:                               "http is for loopback addresses only",
		`{"app_id":"a","app_secret":"hush","proxy":"hush"}`:                                                "proxy: not a URL",
		`{"app_id":"a","app_secret":"hush","tls_trust_pool":{"provider":"nosuch"}}`:                        "loading tls_trust_pool",
		`{"app_id":"a","app_secret":"hush","tls_trust_pool":{"pem_files":["x"]}}`:                          `"provider" is missing`,
		`{"app_id":"a","app_secret":"hush","tls_trust_pool":{"provider":"file","pem_files":["/nowhere"]}}`: "no such file",
	} {
		_, err := clientOf(t, bwsConfig(`{"default":`+service+`}`), defaultService)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: got %v, want %q", service, err, want)
		}
	}
}

// A source of certificates may lean on the rest of the configuration: its storage, and its own authorities.
func TestConfiguredServiceWithAnAuthorityOfCaddy(t *testing.T) {
	storage, err := json.Marshal(map[string]string{"module": "file_system", "root": t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	config := `{"storage":` + string(storage) + `,"apps":{"pki":{"certificate_authorities":{"mine":{"install_trust":false}}},"bws":{"services":{`
	for _, name := range []string{"a", "b"} {
		config += `"` + name + `":{"app_id":"a","app_secret":"x","tls_trust_pool":{"provider":"pki_root","authority":["mine"]}},`
	}
	config = strings.TrimSuffix(config, ",") + `}}}}`
	for _, name := range []string{"a", "b"} {
		if _, err := clientOf(t, config, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
