package main

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is made from the code is what would be made from it now.
func TestIsUpToDate(t *testing.T) {
	made := make(map[string]string)
	for name, maker := range map[string]func(string) (map[string]string, error){"reference": makeReference, "diagrams": makeDiagrams} {
		files, err := maker("..")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		maps.Copy(made, files)
	}
	for name, want := range made {
		if got, err := os.ReadFile(filepath.Join("..", name)); err != nil || string(got) != want {
			t.Errorf("%s is out of date: run go run ./docs reference diagrams (%v)", name, err)
		}
	}
}

// The picture of the gate names files and packages that exist.
func TestDiagramNamesWhatExists(t *testing.T) {
	for _, s := range steps {
		for _, name := range append(strings.Fields(s.files), strings.Fields(s.packages)...) {
			if _, err := os.Stat(filepath.Join("..", name)); err != nil {
				t.Errorf("%s: %v", s.name, err)
			}
		}
	}
}

func TestLimitsAndMeaning(t *testing.T) {
	for _, tt := range []struct{ doc, limits, meaning string }{
		{"How long. Default: 5s; 1s\nto 1m.\n", "5s; 1s to 1m", "How long."},
		{"The name. Required; no colon.", "Required; no colon", "The name."},
		{"What is Required here.", "", "What is Required here."},
		{"Default: none.", "none", ""},
		{"Just a word.", "", "Just a word."},
	} {
		if limits, meaning := limitsAndMeaning(tt.doc); limits != tt.limits || meaning != tt.meaning {
			t.Errorf("%q: limits %q and meaning %q, want %q and %q", tt.doc, limits, meaning, tt.limits, tt.meaning)
		}
	}
}

// An option that the grammar, the fields or a doc comment lacks is a mistake, and not a row that is missing.
func TestReferenceRefusesWhatIsIncomplete(t *testing.T) {
	const code = `package p
// Thing is something.
type Thing struct {
	// A word. Default: none.
	Word string ` + "`json:\"word\"`" + `
	// Another.
	Other []string ` + "`json:\"other\"`" + `
}
// name has no options.
type name string
func (n name) CaddyModule() (m struct{ ID string }) { return struct{ ID string }{ID: string(n)} }
func (Thing) CaddyModule() (m struct{ ID string }) { return struct{ ID string }{ID: "http.handlers.thing"} }
// UnmarshalCaddyfile sets it up. Syntax:
//
//	thing [<matcher>] {
//	    word  <word>
//	    other <word>...
//	}
func (t *Thing) UnmarshalCaddyfile() {}
// parse sets it up. See [Thing.UnmarshalCaddyfile] for the syntax.
func parse() {}
func init() { httpcaddyfile.RegisterHandlerDirective("thing", parse) }
`
	for name, tt := range map[string]struct{ old, changed, want string }{
		"complete":               {"", "", ""},
		"no grammar":             {"//\tthing [<matcher>] {\n//\t    word  <word>\n//\t    other <word>...\n//\t}\n", "", "Syntax is empty"},
		"no syntax":              {"Syntax:", "", "has no Syntax"},
		"option without a field": {"    word  <word>", "    worm  <word>", "worm, which no field of Thing is called"},
		"field without option":   {"//\t    other <word>...\n", "", "does not have other"},
		"no doc comment":         {"	// Another.\n", "", "other of Thing has no doc comment"},
		"unknown type":           {"[]string", "chan int", "no words for its type"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			changed := strings.Replace(code, tt.old, tt.changed, 1)
			if err := os.WriteFile(filepath.Join(folder, "p.go"), []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
			err := referenceOf(folder)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func referenceOf(folder string) error {
	s, err := readSource(folder)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, d := range s.directives {
		if err := s.writeDirective(&b, d); err != nil {
			return err
		}
	}
	for _, m := range s.modules {
		if err := s.writeModule(&b, m); err != nil {
			return err
		}
	}
	return nil
}
