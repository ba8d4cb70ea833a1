package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// compared are the tables of bench/README.md that are shown where the module is compared with others, and their columns.
var (
	compared        = []string{"### A static answer\n", "### An app behind `reverse_proxy`\n"}
	comparedColumns = []string{"", "added CPU per request, µs", "req/s beside ungated", "BWS calls per request"}
)

// overhead returns what was measured, in short.
func overhead(root string) (string, error) {
	page, err := os.ReadFile(filepath.Join(root, "bench", "README.md"))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, heading := range compared {
		_, section, found := strings.Cut(string(page), "\n"+heading)
		if !found {
			return "", fmt.Errorf("bench/README.md has no section %q", strings.TrimSpace(heading))
		}
		section, _, _ = strings.Cut(section, "\n#")
		if err := writeColumns(&b, section); err != nil {
			return "", fmt.Errorf("bench/README.md, %q: %w", strings.TrimSpace(heading), err)
		}
	}
	return b.String(), nil
}

// writeColumns writes the columns to compare of the table in a section.
func writeColumns(b *strings.Builder, section string) error {
	var columns []int
	for line := range strings.SplitSeq(section, "\n") {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if columns == nil {
			for _, name := range comparedColumns {
				i := slices.Index(cells, name)
				if i < 0 {
					return fmt.Errorf("the table has no column %q", name)
				}
				columns = append(columns, i)
			}
			b.WriteString("\n")
		}
		for _, i := range columns {
			if i >= len(cells) {
				return errors.New("the table has a row that is too short")
			}
			b.WriteString("| " + cells[i] + " ")
		}
		b.WriteString("|\n")
	}
	if columns == nil {
		return errors.New("there is no table")
	}
	return nil
}
