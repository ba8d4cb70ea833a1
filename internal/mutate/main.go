// Command mutate breaks the code that decides, in one small way after the other, and sees whether the tests notice.
//
// It is run from the root of the module: go run ./internal/mutate. Each mutant is compiled by way of an overlay, so that no file
// changes. It fails if the tests of the package pass with a mutant that is not in allowed.txt, or if one that is in there does
// not survive.
package main

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// target is a package whose tests have to notice mutants of some of its files.
type target struct {
	dir   string
	files []string
	flags []string // of the tests
}

var targets = []target{
	{"internal/policy", []string{"policy.go", "reason.go"}, []string{"-rapid.nofailfile"}},
	{"bws", []string{"token.go", "bcid.go", "pattern.go", "task.go"}, []string{"-rapid.nofailfile"}},
}

// allowed are mutants that may survive, each with the reason, on one line as mutants are printed, after a tab.
//
//go:embed allowed.txt
var allowed string

// verdict is what became of a mutant.
type verdict string

const (
	killed     verdict = "killed"
	survived   verdict = "survived"
	impossible verdict = "does not compile"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	reasons, err := parseAllowed(allowed)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	failed := false
	for _, t := range targets {
		all, err := t.mutants()
		if err != nil {
			return err
		}
		counts, surviving, err := t.judge(ctx, all, work)
		if err != nil {
			return err
		}
		fmt.Printf("%s: %d mutants, %d killed, %d do not compile\n", t.dir, len(all), counts[killed], counts[impossible])
		for _, name := range surviving {
			if reasons[name] == "" {
				fmt.Printf("survived: %s\n", name)
				failed = true
			}
			delete(reasons, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(reasons)) {
		fmt.Printf("in allowed.txt, but it does not survive: %s\n", name)
		failed = true
	}
	if failed {
		return errors.New("test what has survived, remove code that nobody misses, or give the reason in internal/mutate/allowed.txt")
	}
	return nil
}

func parseAllowed(text string) (map[string]string, error) {
	reasons := make(map[string]string)
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, reason, _ := strings.Cut(line, "\t")
		if reason == "" {
			return nil, fmt.Errorf("allowed.txt: %q has no reason, give one after a tab", line)
		}
		reasons[name] = reason
	}
	return reasons, lines.Err()
}

func (t *target) mutants() ([]mutant, error) {
	var all []mutant
	for _, file := range t.files {
		found, err := mutantsOf(filepath.ToSlash(filepath.Join(t.dir, file)))
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// judge tests as many mutants at once as there are processors. It begins with none at all, which has to pass.
func (t *target) judge(ctx context.Context, all []mutant, work string) (map[verdict]int, []string, error) {
	switch v, err := t.test(ctx, nil, work); {
	case err != nil:
		return nil, nil, fmt.Errorf("%s: the tests cannot be run: %w", t.dir, err)
	case v != survived:
		return nil, nil, fmt.Errorf("%s: the tests fail without any mutant", t.dir)
	}
	var (
		mu        sync.Mutex
		judging   sync.WaitGroup
		failure   error
		counts    = make(map[verdict]int)
		surviving []string
		next      = make(chan *mutant)
	)
	for i := range runtime.GOMAXPROCS(0) {
		judging.Go(func() {
			for m := range next {
				v, err := t.test(ctx, m, filepath.Join(work, fmt.Sprint(i)))
				mu.Lock()
				counts[v]++
				if v == survived {
					surviving = append(surviving, m.name)
				}
				failure = errors.Join(failure, err)
				mu.Unlock()
			}
		})
	}
	for i := range all {
		next <- &all[i]
	}
	close(next)
	judging.Wait()
	slices.Sort(surviving)
	return counts, surviving, failure
}

// test compiles the tests with a mutant and runs them. An error means that they could not be run.
func (t *target) test(ctx context.Context, m *mutant, work string) (verdict, error) {
	if err := os.MkdirAll(work, 0o700); err != nil {
		return "", err
	}
	binary := filepath.Join(work, "tests")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-o", binary)
	if m != nil {
		overlay, err := m.overlay(work)
		if err != nil {
			return "", err
		}
		build.Args = append(build.Args, "-overlay", overlay)
	}
	build.Args = append(build.Args, "./"+t.dir)
	if out, err := build.CombinedOutput(); err != nil {
		if m == nil {
			return impossible, fmt.Errorf("%w: %s", err, out)
		}
		return impossible, nil
	}
	flags := append([]string{"-test.failfast", "-test.timeout=20s"}, t.flags...)
	tests := exec.CommandContext(ctx, binary, flags...)
	tests.Dir = t.dir
	var exit *exec.ExitError
	switch err := tests.Run(); {
	case err == nil:
		return survived, nil
	case errors.As(err, &exit):
		return killed, nil
	default:
		return "", err
	}
}

// overlay writes the mutant, and what makes the compiler take it for the file.
func (m *mutant) overlay(work string) (string, error) {
	path, err := filepath.Abs(filepath.FromSlash(m.file))
	if err != nil {
		return "", err
	}
	changed := filepath.Join(work, "changed.go")
	if err := os.WriteFile(changed, m.source, 0o600); err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{path: changed}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(work, "overlay.json")
	return overlay, os.WriteFile(overlay, text, 0o600)
}
