package explain

import (
	"flag"
	"os"
	"regexp"
	"slices"
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

func TestReasonsPage(t *testing.T) {
	const file = "../../docs/reasons.md"
	if *update {
		if err := os.WriteFile(file, []byte(Page()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(page) != Page() {
		t.Errorf("%s is not what `go generate ./internal/explain` makes", file)
	}
}
