package integration

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// shownBlock is a block that a page shows, or what a comment tells to run.
type shownBlock struct {
	file string
	// marker is the one that it stands under: `<!-- marker -->`, up to `<!-- /marker -->`.
	marker, kind string
	line         int
	text         string
}

var (
	fence      = regexp.MustCompile("^\\s*(?:```|~~~)")
	startMark  = regexp.MustCompile(`^<!-- (\w+) -->$`)
	endMark    = regexp.MustCompile(`^<!-- /\w+ -->$`)
	blockKinds = []string{"caddyfile", "dockerfile", "js", "json", "sh", "text"}
)

// blocksOfPages are the blocks of all pages.
func blocksOfPages(t *testing.T) (blocks []shownBlock) {
	t.Helper()
	for _, page := range pages(t) {
		blocks = append(blocks, blocksOfPage(t, page)...)
	}
	return blocks
}

// blocksOfPage are the blocks of a page. Another word for a shell, or another notation, would hide a block from the scripts in .ci.
func blocksOfPage(t *testing.T, path string) (blocks []shownBlock) {
	t.Helper()
	name, _ := filepath.Rel("..", path)
	marker, inside, line := "", false, 0
	for text := range strings.Lines(readFile(t, path)) {
		line++
		switch bare := strings.TrimSuffix(text, "\n"); {
		case inside && bare == "```":
			inside = false
		case inside:
			blocks[len(blocks)-1].text += text
		case fence.MatchString(bare):
			kind := strings.TrimPrefix(bare, "```")
			blocks = append(blocks, shownBlock{file: name, marker: marker, kind: kind, line: line + 1})
			inside = true
			if !slices.Contains(blockKinds, kind) {
				t.Errorf("%s: a block begins with %q: is it for a shell, write ```sh; else add it to blockKinds", name, bare)
			}
		case startMark.MatchString(bare):
			marker = startMark.FindStringSubmatch(bare)[1]
		case endMark.MatchString(bare):
			marker = ""
		}
	}
	return blocks
}

// pages are all pages of the repository.
func pages(t *testing.T) (pages []string) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && (name == "node_modules" || name == "testdata" || name == ".git"):
			return fs.SkipDir
		case filepath.Ext(name) == ".md":
			pages = append(pages, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}
