// Command docs makes what is in docs and nobody writes by hand: `go run ./docs reference diagrams`, from the root of the repository.
// Pictures of pages are another matter, since they need a browser: `docs/screenshots` makes them.
package main

import (
	"fmt"
	"log"
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
	log.SetFlags(0)
	if len(os.Args) == 1 {
		log.Fatal("say what to make: ", strings.Join(slices.Sorted(maps.Keys(makers)), ", "))
	}
	for _, name := range os.Args[1:] {
		maker, ok := makers[name]
		if !ok {
			log.Fatalf("%s: unknown; use %s", name, strings.Join(slices.Sorted(maps.Keys(makers)), ", "))
		}
		if err := maker(); err != nil {
			log.Fatalf("%s: %v", name, err)
		}
	}
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
