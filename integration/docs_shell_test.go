package integration

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// notRun are the commands that no script in .ci runs as they are shown: where, how they begin, and why not.
var notRun = []struct{ file, begins, why string }{
	{"CONTRIBUTING.md", "npm ci --prefix tools", "is the step tests of .ci/run, and what comes before it"},
	{"CONTRIBUTING.md", "bash .ci/run", "is what runs all the others"},
	{"CONTRIBUTING.md", "go tool -modfile=tools/go.mod golangci-lint run --fix", "changes the code and the tools; the step lint runs the linter"},
	{"README.md", "npm ci --prefix tools", "is all of .ci/run, and a measurement"},
	{"bench/README.md", "go run ./bench/compare", "installs wrk, and measures for a quarter of an hour"},
	{"docs/reliability.md", "go run ./integration/soak", "takes ten minutes; the step soak does the same for one"},
	{"docs/reliability.md", "go test ./integration -run", "are tests, which the step tests runs"},

	{"examples/legacy/README.md", "apt-get install", "is what the step packages does"},
	{"examples/legacy/Caddyfile", "apt-get install", "is what the step packages does"},
	{"examples/monitoring/README.md", "apt-get install", "is what the step packages does"},
	{"examples/basic-auth/Caddyfile", "go run", "TestBasicAuthExample runs it"},
	{"examples/php/Caddyfile", "php -S", "TestPHPExample runs it"},
	{"examples/production/Caddyfile", "caddy run", "needs a domain and an account; TestProductionExample runs it without"},

	{"packaging/docker/Dockerfile", "docker build", "needs a container engine; the workflow does it"},
	{"packaging/docker/quickstart.compose.yaml", "docker compose", "needs a container engine; the workflow does it"},
	{"packaging/docker/cluster.compose.yaml", "docker compose", "needs a container engine; the workflow checks the file"},
	{"packaging/kubernetes/caddy-bws.yaml", "kubectl", "needs a cluster; TestKubernetesManifest loads the Caddyfile"},
	{"packaging/systemd/caddy-bws.conf", "sudo install", "changes the machine"},
	{"packaging/systemd/caddy-bws.conf", "app_secret", "is a line of a Caddyfile"},
}

// Every command that a reader is told to give is run by a script in .ci, or there is a reason why not.
func TestShellBlocks(t *testing.T) {
	walked := walkedParts(t)
	shown := blocksOfComments(t)
	run := make(map[string]bool)
	for _, b := range blocksOfPages(t) {
		if b.kind != "sh" {
			continue
		}
		shown = append(shown, b)
		if walked[part{b.file, b.marker}] {
			for _, command := range b.commands() {
				run[command] = true
			}
		}
	}

	excused := make([]bool, len(notRun))
	for _, b := range shown {
		if !slices.ContainsFunc(b.commands(), func(command string) bool { return !run[command] }) {
			continue
		}
		i := slices.IndexFunc(notRun, func(n struct{ file, begins, why string }) bool {
			return n.file == b.file && strings.HasPrefix(b.text, n.begins)
		})
		if i < 0 {
			t.Errorf("%s: no script in .ci runs this. Put it between markers that one does (see .ci/walkthrough.bash), or say in notRun "+
				"why not:\n%s", b.file, b.text)
			continue
		}
		excused[i] = true
	}
	for i, n := range notRun {
		if !excused[i] {
			t.Errorf("notRun: %s has no block %q that would not be run", n.file, n.begins)
		}
	}
}

// part is what stands on a page between `<!-- marker -->` and `<!-- /marker -->`.
type part struct{ page, marker string }

var continued = regexp.MustCompile(`\\\n\s*`)

// commands are the lines of a shell block, with what is continued on the next line as one.
func (b shownBlock) commands() []string {
	return strings.Split(strings.TrimSpace(continued.ReplaceAllString(b.text, "")), "\n")
}

var takesBlocks = regexp.MustCompile(`(?m)^blocks (\S+) (\S+) \S+$`)

// walkedParts are the parts whose blocks are run by a script that is a step of .ci/run. A script fails if it leaves one out.
func walkedParts(t *testing.T) map[part]bool {
	t.Helper()
	scripts, err := filepath.Glob("../.ci/*")
	if err != nil {
		t.Fatal(err)
	}
	steps := readFile(t, "../.ci/run")
	walked := make(map[part]bool)
	for _, script := range scripts {
		name := filepath.Base(script)
		if name == "testdata" {
			continue
		}
		calls := takesBlocks.FindAllStringSubmatch(readFile(t, script), -1)
		if len(calls) > 0 && !strings.Contains(steps, "\tbash .ci/"+name+"\n") {
			t.Errorf(".ci/%s runs blocks, but is no step of .ci/run", name)
		}
		for _, call := range calls {
			walked[part{call[1], call[2]}] = true
		}
	}
	return walked
}

var (
	commented  = regexp.MustCompile(`(?m)(?:^#     \S.*\n)+`)
	hashIndent = regexp.MustCompile(`(?m)^#     `)
)

// blocksOfComments are what the comments of examples and packaging tell the reader to run.
func blocksOfComments(t *testing.T) (blocks []shownBlock) {
	t.Helper()
	for _, folder := range []string{"../examples", "../packaging"} {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			name, _ := filepath.Rel("..", path)
			for _, comment := range commented.FindAllString(readFile(t, path), -1) {
				blocks = append(blocks, shownBlock{file: name, kind: "sh", text: hashIndent.ReplaceAllString(comment, "")})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return blocks
}
