package integration

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const casesPage = "../docs/security-cases.md"

var update = flag.Bool("update", false, "write docs/security-cases.md anew, once all tests have passed")

// securityCase is an attack or a fault that the gate must withstand. Its number is found in the tests that show how it does: in the
// name of a subtest, or in a call of [covers].
type securityCase struct {
	number int
	// attack says what is tried, or what goes wrong.
	attack string
	// note says what is to be known besides, such as why there is nothing of the kind here.
	note string
	// elsewhere is the folder and the name of a test that shows what cannot be brought about in a real Caddy.
	elsewhere string
}

// coverage is which tests have passed that show a case: by number, by file, by top-level test, the names.
type coverage struct {
	mu sync.Mutex
	// skipped says that a test was skipped that would have shown something.
	skipped bool
	passed  map[int]map[passedTest]map[string]bool
}

// passedTest is a top-level test, with its subtests, in a file.
type passedTest struct{ file, name string }

var covered = coverage{passed: make(map[int]map[passedTest]map[string]bool)}

var numberInName = regexp.MustCompile(`security_case_(\d+)`)

// covers says that a test shows what becomes of cases: those that are given, and the one in its name if there is one. It is called
// first, so that its own cleanup runs last and sees what has failed in others.
func covers(t *testing.T, numbers ...int) {
	t.Helper()
	_, file, _, _ := runtime.Caller(1)
	if match := numberInName.FindStringSubmatch(t.Name()); match != nil {
		number, _ := strconv.Atoi(match[1])
		numbers = append(numbers, number)
	}
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		if t.Skipped() {
			covered.skip()
			return
		}
		for _, number := range numbers {
			covered.add(number, filepath.Base(file), t.Name())
		}
	})
}

func (c *coverage) skip() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skipped = true
}

func (c *coverage) add(number int, file, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.passed[number] == nil {
		c.passed[number] = make(map[passedTest]map[string]bool)
	}
	test := passedTest{file: file}
	test.name, _, _ = strings.Cut(name, "/")
	if c.passed[number][test] == nil {
		c.passed[number][test] = make(map[string]bool)
	}
	c.passed[number][test][name] = true
}

// checkCases checks, after a run of all tests, that each case has a test that passed, and that the page about them is that of this
// run. It says what is wrong.
func checkCases() error {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.bench"} {
		if flag.Lookup(name).Value.String() != "" {
			return nil
		}
	}
	if covered.skipped {
		return nil // which .ci/run does not let pass
	}
	known := make(map[int]bool)
	for _, section := range securityCases {
		for _, c := range section.cases {
			known[c.number] = true
			if err := c.check(); err != nil {
				return err
			}
		}
	}
	for number := range covered.passed {
		if !known[number] {
			return fmt.Errorf("a test covers security case %d, which securityCases does not have", number)
		}
	}
	page := []byte(casesMarkdown())
	if *update {
		return os.WriteFile(casesPage, page, 0o644)
	}
	if got, err := os.ReadFile(casesPage); err != nil || !bytes.Equal(got, page) {
		return fmt.Errorf("%s is not that of this run; write it anew with go test ./integration -timeout 30m -update", casesPage)
	}
	return nil
}

func (c *securityCase) check() error {
	if c.elsewhere == "" && len(covered.passed[c.number]) == 0 {
		return fmt.Errorf("no test that passed covers security case %d: %s", c.number, c.attack)
	}
	if c.elsewhere != "" {
		folder, name, _ := strings.Cut(c.elsewhere, " ")
		files, _ := filepath.Glob(filepath.Join("..", folder, "*_test.go"))
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), "\nfunc "+name+"(") {
				return nil
			}
		}
		return fmt.Errorf("security case %d is shown by %s, which does not exist", c.number, c.elsewhere)
	}
	return nil
}

// casesMarkdown is the page about the cases.
func casesMarkdown() string {
	var page strings.Builder
	page.WriteString(`# Security cases

What people may try at the gate, and what can go wrong around it, each with the tests that show what becomes of it. Unless a line says
otherwise, the request is denied, the app does not see it, no identity header goes anywhere, and the log names neither token nor person.
The tests run a real Caddy and speak to it through real sockets; in parentheses is how many variants there are of a case. They are found
by their number: ` + "`security case 15`" + ` in the name of a subtest, or ` + "`covers(t, 15)`" + ` at the beginning of one.

This page is written by a run of all tests (` + "`go test ./integration -timeout 30m -update`" + `); one with a failure writes none, and a
run without ` + "`-update`" + ` fails if the page is not its own. Numbers have gaps.
`)
	for _, section := range securityCases {
		fmt.Fprintf(&page, "\n## %s\n\n| # | Attack or fault | Tests | Result |\n|---|---|---|---|\n", section.title)
		for _, c := range section.cases {
			result := "passes"
			if c.note != "" {
				result += "; " + c.note
			}
			fmt.Fprintf(&page, "| %d | %s | %s | %s |\n", c.number, c.attack, c.tests(), result)
		}
	}
	return page.String()
}

// link points to a test in the file, or the folder, that it is in.
func link(name, path string) string { return "[`" + name + "`](../" + path + ")" }

// tests lists the tests of a case.
func (c *securityCase) tests() string {
	passed := covered.passed[c.number]
	tests := slices.SortedFunc(maps.Keys(passed), func(a, b passedTest) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.name, b.name))
	})
	var list []string
	for _, test := range tests {
		entry := link(test.name, "integration/"+test.file)
		if variants := len(passed[test]); variants > 1 {
			entry += fmt.Sprintf(" (%d)", variants)
		}
		list = append(list, entry)
	}
	if c.elsewhere != "" {
		folder, name, _ := strings.Cut(c.elsewhere, " ")
		list = append(list, link(name, folder))
	}
	return strings.Join(list, ", ")
}
