package integration

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Every file of YAML is well-formed, with no member twice, which readers take in different ways.
func TestYAML(t *testing.T) {
	patterns := []string{"../packaging/*/*.yaml", "../.github/*.yml", "../.github/workflows/*.yml", "../.goreleaser.yaml", "../.golangci.yml"}
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Errorf("%s: no files: %v", pattern, err)
		}
		for _, file := range files {
			if len(yamlDocuments(t, file)) == 0 {
				t.Errorf("%s is empty", file)
			}
		}
	}
}

// What the containers run is where the image has it.
func TestComposeFiles(t *testing.T) {
	for _, file := range []string{"../packaging/docker/quickstart.compose.yaml", "../packaging/docker/cluster.compose.yaml"} {
		compose := yamlDocuments(t, file)[0]
		for name, s := range compose["services"].(map[string]any) {
			service := s.(map[string]any)
			build := service["build"].(map[string]any)
			dockerfile := filepath.Join(filepath.Dir(file), build["context"].(string), build["dockerfile"].(string))
			stage := " AS " + build["target"].(string) + "\n"
			if !strings.Contains(readFile(t, dockerfile), stage) {
				t.Errorf("%s: %s: the Dockerfile has no stage%s", file, name, stage)
			}
			for _, argument := range asList(service["command"]) {
				config := argument.(string)
				if !strings.HasSuffix(config, "Caddyfile") {
					continue
				}
				if _, err := os.Stat(filepath.Join("..", config)); err != nil {
					t.Errorf("%s: %s: %v", file, name, err)
				}
			}
		}
	}
}

// The Caddyfile of the Kubernetes manifest loads, but for its storage, which is a module that Caddy does not have of itself.
func TestKubernetesManifest(t *testing.T) {
	var caddyfile string
	mounts := make(map[string]string)
	var allowed []any
	for _, object := range yamlDocuments(t, "../packaging/kubernetes/caddy-bws.yaml") {
		switch object["kind"] {
		case "ConfigMap":
			caddyfile = object["data"].(map[string]any)["Caddyfile"].(string)
		case "Deployment":
			pod := object["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
			for _, c := range pod["containers"].([]any) {
				container := c.(map[string]any)
				for _, m := range asList(container["volumeMounts"]) {
					mount := m.(map[string]any)
					mounts[mount["mountPath"].(string)] = mount["name"].(string)
				}
				allowed = asList(container["securityContext"].(map[string]any)["capabilities"].(map[string]any)["add"])
			}
		}
	}
	if mounts["/run/secrets/bws"] != "secrets" || mounts["/etc/caddy"] != "config" {
		t.Errorf("what the Caddyfile reads is not mounted: %v", mounts)
	}
	// Linux does not start a program whose file has a capability that its process may not have.
	given := strings.Contains(readFile(t, "../packaging/docker/Dockerfile"), "setcap cap_net_bind_service=+ep /usr/bin/caddy")
	if given && !slices.Contains(allowed, any("NET_BIND_SERVICE")) {
		t.Errorf("the container may not start: its binary has NET_BIND_SERVICE, and the container may have %v", allowed)
	}
	storage := regexp.MustCompile(`(?s)\tstorage redis \{.*?\n\t\}\n`)
	if !storage.MatchString(caddyfile) {
		t.Fatal("the manifest shares no storage")
	}
	secrets := t.TempDir()
	for _, name := range []string{"app_id", "app_secret", "redis_password"} {
		if !strings.Contains(caddyfile, "{file./run/secrets/bws/"+name+"}") {
			t.Errorf("the Caddyfile does not take %s from the secret", name)
		}
		if err := os.WriteFile(filepath.Join(secrets, name), []byte("something\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	caddyfile = strings.ReplaceAll(storage.ReplaceAllString(caddyfile, ""), "/run/secrets/bws", secrets)
	file := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(file, []byte(caddyfile), 0o600); err != nil {
		t.Fatal(err)
	}
	caddy(t, "validate", "--config", file)
	if formatted := caddy(t, "fmt", file); formatted != caddyfile {
		t.Errorf("caddy fmt makes this of the Caddyfile:\n%s", formatted)
	}
}

func yamlDocuments(t *testing.T, file string) (documents []map[string]any) {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader([]byte(readFile(t, file))))
	for {
		var document map[string]any
		switch err := decoder.Decode(&document); {
		case errors.Is(err, io.EOF):
			return documents
		case err != nil:
			t.Fatalf("%s: %v", file, err)
		}
		documents = append(documents, document)
	}
}

func asList(value any) []any {
	list, _ := value.([]any)
	return list
}
