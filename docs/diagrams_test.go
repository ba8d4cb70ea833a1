package main

import (
	"encoding/xml"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every picture of the docs is made, none by hand.
func TestDiagramsAreMade(t *testing.T) {
	made, err := makeDiagrams("..")
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob("images/*.svg")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range found {
		if _, ok := made["docs/"+filepath.ToSlash(name)]; !ok {
			t.Errorf("%s is made by no function of this package: add it to makeDiagrams, or remove it", name)
		}
	}
}

// A picture is XML, says what it shows to those who cannot see it, and uses looks and heads of arrows that there are.
func TestDiagramsAreComplete(t *testing.T) {
	made, err := makeDiagrams("..")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range made {
		t.Run(name, func(t *testing.T) {
			var svg struct {
				Title       string    `xml:"title"`
				Description string    `xml:"desc"`
				Style       string    `xml:"style"`
				Elements    []element `xml:",any"`
			}
			if err := xml.Unmarshal([]byte(text), &svg); err != nil {
				t.Fatal(err)
			}
			if svg.Title == "" || svg.Description == "" {
				t.Errorf("title %q, description %q", svg.Title, svg.Description)
			}
			for _, e := range svg.Elements {
				for class := range strings.FieldsSeq(e.Class) {
					if !strings.Contains(svg.Style, "."+class+" ") && !strings.Contains(svg.Style, "."+class+",") {
						t.Errorf("%s %q has the class %q, which has no look", e.XMLName.Local, e.Text, class)
					}
				}
				for _, head := range []string{e.Start, e.End} {
					if color := strings.TrimSuffix(strings.TrimPrefix(head, "url(#head-"), ")"); head != "" && !slices.Contains(colors, color) {
						t.Errorf("an arrow has the head %s, which there is not", head)
					}
				}
			}
		})
	}
}

type element struct {
	XMLName xml.Name
	Class   string `xml:"class,attr"`
	Start   string `xml:"marker-start,attr"`
	End     string `xml:"marker-end,attr"`
	Text    string `xml:",chardata"`
}
