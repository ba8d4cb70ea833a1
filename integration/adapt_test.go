package integration

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	caddyv2 "github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/encode/gzip"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy/forwardauth"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"

	caddybws "github.com/caddy-bws/caddy-bws"
)

// secretMark begins every secret in the golden files, so that it is seen wherever one shows.
const secretMark = "s3cret"

// TestAdapt holds every golden file of testdata/adapt against the adapter: a Caddyfile, a line of ten dashes, and what must come
// of it: JSON, or an error, of which the file gives the part that is ours, with file and line. What adapts must also load. The files
// order_* are security case 30, the files error_* security case 104.
func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/*.caddytest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	setPlaceholders(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddytest"), func(t *testing.T) {
			switch kind, _, _ := strings.Cut(filepath.Base(file), "_"); kind {
			case "order":
				covers(t, 30)
			case "error":
				covers(t, 104)
			}
			input, want, found := strings.Cut(readFile(t, file), "----------\n")
			if !found {
				t.Fatal("the line of ten dashes is missing")
			}
			if strings.HasPrefix(want, "{") {
				assertAdapts(t, input, want)
			} else {
				assertRefused(t, input, strings.TrimSpace(want))
			}
		})
	}
}

// Whatever JSON can say, the Caddyfile can say too: the golden files with every option have every member.
func TestAdaptKnowsEveryOption(t *testing.T) {
	for file, types := range map[string][]reflect.Type{
		"service_all_options": {reflect.TypeFor[caddybws.Service](), reflect.TypeFor[caddybws.ClientRate]()},
		"gate_all_options": {
			reflect.TypeFor[caddybws.Gate](), reflect.TypeFor[caddybws.TokenSource](), reflect.TypeFor[caddybws.Denial](),
			reflect.TypeFor[caddybws.Once](), reflect.TypeFor[caddybws.Login](), reflect.TypeFor[caddybws.Assertion](),
		},
		"gate_session_options": {reflect.TypeFor[caddybws.Session]()},
		"logout_options":       {reflect.TypeFor[caddybws.Logout]()},
		"jwks_service":         {reflect.TypeFor[caddybws.JWKS]()},
	} {
		golden := readFile(t, "testdata/adapt/"+file+".caddytest")
		for _, typ := range types {
			for _, field := range reflect.VisibleFields(typ) {
				member, _, _ := strings.Cut(field.Tag.Get("json"), ",")
				if field.IsExported() && !strings.Contains(golden, `"`+member+`": `) {
					t.Errorf("%s has no %s of %s", file, member, typ)
				}
			}
		}
	}
}

func assertAdapts(t *testing.T, input, want string) {
	t.Helper()
	if _, different := caddyfile.FormattingDifference("Caddyfile", []byte(input)); different {
		t.Error("the Caddyfile is not formatted as caddy fmt does")
	}
	config, err := adapt(input)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := json.Indent(&got, config, "", "\t"); err != nil {
		t.Fatal(err)
	}
	if got.String() != strings.TrimSpace(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
	}
	if bytes.Contains(config, []byte(secretMark)) {
		t.Error("the configuration holds a secret")
	}
	if err := load(config); err != nil {
		t.Errorf("does not load: %v", err)
	}
}

func assertRefused(t *testing.T, input, want string) {
	t.Helper()
	_, err := adapt(input)
	if err == nil {
		t.Fatalf("adapted, want the error %q", want)
	}
	if !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got the error:\n%v\nwant:\n%s", err, want)
	}
	assertHelps(t, err)
}

// remedies are the words with which an error says what to do.
var remedies = regexp.MustCompile(`\b(add|change|choose|correct|give|keep|name|remove|shorten|use|write)\b`)

// assertHelps wants an error to say what to do, and to show no secret.
func assertHelps(t *testing.T, err error) {
	t.Helper()
	if !remedies.MatchString(err.Error()) {
		t.Errorf("the error does not say what to do: %v", err)
	}
	if strings.Contains(err.Error(), secretMark) {
		t.Errorf("the error shows a secret: %v", err)
	}
}

func adapt(input string) ([]byte, error) {
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(input), nil)
	return config, err
}

// load provisions a configuration as Caddy does before it serves it. Gates that find no service get one.
func load(config []byte) error {
	var c caddyv2.Config
	if err := json.Unmarshal(config, &c); err != nil {
		return err
	}
	if c.AppsRaw == nil {
		c.AppsRaw = make(caddyv2.ModuleMap)
	}
	if _, configured := c.AppsRaw["bws"]; !configured {
		c.AppsRaw["bws"] = json.RawMessage(`{"services":{"default":{"app_id":"app","app_secret":"s3cret"},
			"step-up":{"app_id":"app","app_secret":"s3cret"}}}`)
	}
	if err := json.Unmarshal([]byte(`{"logging":{"logs":{"default":{"writer":{"output":"discard"}}}}}`), &c); err != nil {
		return err
	}
	return caddyv2.Validate(&c)
}

// setPlaceholders gives the placeholders in the golden files a value.
func setPlaceholders(t *testing.T) {
	t.Helper()
	t.Setenv("BWS_ENDPOINT", "https://bws.example.com/extension/")
	t.Setenv("BWS_APP_ID", "app")
	t.Setenv("BWS_APP_SECRET", "s3cret")
	t.Setenv("BWS_PROXY", "http://proxy.example.com:3128")
	t.Setenv("LOGIN_URL", "https://login.example.com/")
	t.Setenv("BWS_UI", "https://bws.example.com/bws/performtask")
}
