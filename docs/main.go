// Command docs makes the parts of docs that nobody writes by hand: `go run ./docs reference diagrams`, from the root of the repository.
// Pictures of pages are another matter, since they need a browser: `docs/screenshots` makes them.
package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// makers are what can be made.
var makers = map[string]func() error{
	"reference":   func() error { return write(".", makeReference) },
	"diagrams":    func() error { return write(".", makeDiagrams) },
	"screenshots": makeScreenshots,
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(names []string) error {
	known := strings.Join(slices.Sorted(maps.Keys(makers)), ", ")
	if len(names) == 0 {
		return errors.New("say what to make: " + known)
	}
	for _, name := range names {
		maker, ok := makers[name]
		if !ok {
			return fmt.Errorf("%q is unknown: use %s", name, known)
		}
		if err := maker(); err != nil {
			return fmt.Errorf("making %s: %w", name, err)
		}
	}
	return nil
}

// write writes the files that a maker makes of the repository at root.
func write(root string, maker func(root string) (map[string]string, error)) error {
	files, err := maker(root)
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil { //nolint:gosec // for everybody to see
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}
