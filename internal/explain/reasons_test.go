package explain

import (
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/internal/policy"
)

var update = flag.Bool("update", false, "write the page about reasons")

// Every reason that is declared has its words, once, and each says something.
func TestReasonsAreComplete(t *testing.T) {
	source, err := os.ReadFile("../policy/reason.go")
	if err != nil {
		t.Fatal(err)
	}
	var declared, explained []policy.Reason
	for _, match := range regexp.MustCompile(`\bReason\s+= "(\w+)"`).FindAllSubmatch(source, -1) {
		declared = append(declared, policy.Reason(match[1]))
	}
	for _, e := range Reasons {
		explained = append(explained, e.Reason)
		if e.Status < 400 || e.Meaning == "" || e.User == "" || e.Operator == "" {
			t.Errorf("%s: %+v leaves something out", e.Reason, e)
		}
	}
	slices.Sort(declared)
	slices.Sort(explained)
	if len(declared) == 0 || !slices.Equal(declared, explained) {
		t.Errorf("declared are\n%q, explained are\n%q", declared, explained)
	}
	if _, ok := Of("nonsense"); ok {
		t.Error("nonsense is explained")
	}
}

// What the documentation says of reasons is what is said here.
func TestPages(t *testing.T) {
	const begin, end = "<!-- reasons -->\n\n", "\n<!-- /reasons -->\n"
	for file, made := range map[string]func(page string) string{
		"../../docs/reasons.md": func(string) string { return Page() },
		"../../docs/operations.md": func(page string) string {
			before, rest, found := strings.Cut(page, begin)
			_, after, closed := strings.Cut(rest, end)
			if !found || !closed {
				t.Fatal("the runbook has no place for reasons")
			}
			return before + begin + Runbook() + end + after
		},
	} {
		page, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want := made(string(page))
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if string(page) != want {
			t.Errorf("%s is not what `go generate ./internal/explain` makes", file)
		}
	}
}
