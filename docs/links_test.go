package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// Whatever a page links to within the repository is there, down to the heading.
func TestLinks(t *testing.T) {
	headings := make(map[string][]string)
	links := make(map[string][]string)
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && (name == "node_modules" || name == "testdata" || name == ".git"):
			return fs.SkipDir
		case filepath.Ext(name) == ".md":
			headings[path], links[path], err = readPage(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for page, targets := range links {
		for _, target := range targets {
			file, heading, _ := strings.Cut(target, "#")
			path := page
			if file != "" {
				path = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s links to %s, which is not there", page, target)
			} else if heading != "" && !slices.Contains(headings[path], heading) {
				t.Errorf("%s links to %s, which has no such heading", page, target)
			}
		}
	}
}

var (
	fencedBlock  = regexp.MustCompile("(?s)\n```.*?\n```\n")
	pageHeading  = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	relativeLink = regexp.MustCompile(`(?:\]\(|src="|href="|srcset="|(?m:^\[[^\]]+\]: ))([^)"\s]+)`)
)

// readPage returns the anchors of a page's headings, as GitHub makes them, and the links that stay in the repository.
func readPage(path string) (headings, links []string, err error) {
	content, err := os.ReadFile(path)
	text := fencedBlock.ReplaceAllString(string(content), "\n")
	seen := make(map[string]int)
	for _, match := range pageHeading.FindAllStringSubmatch(text, -1) {
		anchor := anchorOf(match[1])
		if n := seen[anchor]; n > 0 {
			headings = append(headings, fmt.Sprintf("%s-%d", anchor, n))
		} else {
			headings = append(headings, anchor)
		}
		seen[anchor]++
	}
	for _, match := range relativeLink.FindAllStringSubmatch(text, -1) {
		if !strings.Contains(match[1], ":") {
			links = append(links, match[1])
		}
	}
	return headings, links, err
}

// anchorOf keeps letters and digits, in lower case, and has hyphens for spaces.
func anchorOf(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(heading))
}

// Every page can be found from both lists of them.
func TestListsNameEveryPage(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("found %d pages: %v", len(pages), err)
	}
	for list, folder := range map[string]string{"README.md": "", "../README.md": "docs/"} {
		_, links, err := readPage(list)
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			if page != "README.md" && !slices.Contains(links, folder+page) {
				t.Errorf("%s does not lead to docs/%s", list, page)
			}
		}
	}
}

// The page on versions names those of go.mod.
func TestCompatibilityNamesVersions(t *testing.T) {
	module, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	for what, version := range map[string]*regexp.Regexp{
		"Caddy": regexp.MustCompile(`github\.com/caddyserver/caddy/v2 v(\S+)`),
		"Go":    regexp.MustCompile(`(?m)^go (\d+\.\d+)`),
	} {
		found := version.FindSubmatch(module)
		if len(found) < 2 || !strings.Contains(string(page), "| "+what+" | "+string(found[1])+" ") {
			t.Errorf("the row of %s in compatibility.md does not begin with the version in go.mod", what)
		}
	}
}
