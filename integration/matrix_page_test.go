package integration

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

const faultsPage = "../docs/reliability.md"

var updateFaults = flag.Bool("update-faults", false, "write the table of faults in docs/reliability.md anew")

// checkFaultsPage checks that the page has what came of the faults.
func checkFaultsPage(t *testing.T, cells []*cell) {
	t.Helper()
	if t.Failed() {
		return
	}
	const begin, end = "<!-- faults -->\n", "<!-- /faults -->\n"
	page := readFile(t, faultsPage)
	before, rest, found := strings.Cut(page, begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no part between %sand %s", faultsPage, begin, end)
	}
	made := before + begin + "\n" + faultsTable(cells) + "\n" + end + after
	switch {
	case made == page:
	case *updateFaults:
		if err := os.WriteFile(faultsPage, []byte(made), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is not what came of the faults; write it anew with go test ./integration -run TestFaultMatrix -update-faults:\n%s",
			faultsPage, faultsTable(cells))
	}
}

// faultsTable shows what came of each probe. What makes no difference shares a line.
func faultsTable(cells []*cell) string {
	var groups []*faultsGroup
	for len(cells) > 0 {
		peer := cells[0].peer
		end := slices.IndexFunc(cells, func(c *cell) bool { return c.peer != peer })
		if end < 0 {
			end = len(cells)
		}
		lines := storageLines(cells[:end])
		i := slices.IndexFunc(groups, func(g *faultsGroup) bool { return slices.Equal(g.lines, lines) })
		if i < 0 {
			i = len(groups)
			groups = append(groups, &faultsGroup{lines: lines})
		}
		groups[i].peers = append(groups[i].peers, peer.name)
		cells = cells[end:]
	}
	var b strings.Builder
	b.WriteString("| BWS | storage | " + strings.Join(probeNames, " | ") + " |\n" + strings.Repeat("|---", 2+len(probeNames)) + "|\n")
	for _, g := range groups {
		for i, line := range g.lines {
			peers := ""
			if i == 0 {
				peers = strings.Join(g.peers, "; ")
			}
			b.WriteString("| " + peers + " | " + line + "\n")
		}
	}
	return b.String()
}

// faultsGroup are faults of BWS with the same lines.
type faultsGroup struct{ peers, lines []string }

// storageLines are the lines of one fault of BWS.
func storageLines(cells []*cell) (lines []string) {
	var outcomes []string
	storages := make(map[string][]string)
	for _, c := range cells {
		var b strings.Builder
		for p := range probeNames {
			b.WriteString(" | " + c.outcomes[probe(p)])
		}
		if storages[b.String()] == nil {
			outcomes = append(outcomes, b.String())
		}
		storages[b.String()] = append(storages[b.String()], c.storage.name)
	}
	for _, outcome := range outcomes {
		lines = append(lines, strings.Join(storages[outcome], ", ")+outcome+" |")
	}
	return lines
}
