package main

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// source is what the reference needs to know of a package.
type source struct {
	structs map[string]*structure
	// functions have their doc comments, methods as "Type.Method".
	functions map[string]string
	modules   []module
	// directives are in the order in which they are registered.
	directives []directive
}

// structure is a type whose fields are options.
type structure struct {
	name, doc string
	options   []option
}

// option is a field that a configuration has.
type option struct {
	name, doc string
	typ       ast.Expr
	// namespace and key say of an option that holds a module where those are, and which member names it.
	namespace, key string
}

// module is a type that Caddy knows by an ID.
type module struct{ id, typ string }

// directive is what the Caddyfile knows by a name, and the function that reads it.
type directive struct {
	name, parser string
	global       bool
}

// readSource reads the package in a folder, without its tests.
func readSource(folder string) (*source, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	s := &source{structs: make(map[string]*structure), functions: make(map[string]string)}
	for _, entry := range entries {
		if name := entry.Name(); !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(folder, entry.Name()), nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, declaration := range file.Decls {
			switch d := declaration.(type) {
			case *ast.GenDecl:
				s.addTypes(d)
			case *ast.FuncDecl:
				s.addFunction(d)
			}
		}
	}
	s.modules = slices.DeleteFunc(s.modules, func(m module) bool { return s.structs[m.typ] == nil }) // nothing to configure
	slices.SortFunc(s.modules, func(a, b module) int {
		return cmp.Or(s.rank(a)-s.rank(b), strings.Compare(a.id, b.id))
	})
	return s, nil
}

// rank puts what has no options behind what has some.
func (s *source) rank(m module) int {
	if len(s.structs[m.typ].options) == 0 {
		return 1
	}
	return 0
}

func (s *source) addTypes(d *ast.GenDecl) {
	for _, spec := range d.Specs {
		t, ok := spec.(*ast.TypeSpec)
		if !ok {
			continue
		}
		fields, ok := t.Type.(*ast.StructType)
		if !ok {
			continue
		}
		text := &structure{name: t.Name.Name, doc: d.Doc.Text() + t.Doc.Text()}
		for _, field := range fields.Fields.List {
			if field.Tag == nil {
				continue
			}
			tag, _ := strconv.Unquote(field.Tag.Value)
			name, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
			if name == "" || name == "-" {
				continue
			}
			o := option{name: name, doc: field.Doc.Text(), typ: field.Type}
			for part := range strings.FieldsSeq(reflect.StructTag(tag).Get("caddy")) {
				switch key, value, _ := strings.Cut(part, "="); key {
				case "namespace":
					o.namespace = value
				case "inline_key":
					o.key = value
				}
			}
			text.options = append(text.options, o)
		}
		s.structs[text.name] = text
	}
}

func (s *source) addFunction(d *ast.FuncDecl) {
	name := d.Name.Name
	if d.Recv != nil {
		receiver := d.Recv.List[0].Type
		if pointer, ok := receiver.(*ast.StarExpr); ok {
			receiver = pointer.X
		}
		typ, _ := receiver.(*ast.Ident)
		if name == "CaddyModule" {
			s.modules = append(s.modules, module{firstString(d.Body, "ID"), typ.Name})
		}
		name = typ.Name + "." + name
	}
	s.functions[name] = d.Doc.Text()
	if d.Body == nil {
		return
	}
	ast.Inspect(d.Body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			s.addRegistration(call)
		}
		return true
	})
}

// addRegistration notes a directive if the call registers one.
func (s *source) addRegistration(call *ast.CallExpr) {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) != 2 {
		return
	}
	switch selector.Sel.Name {
	case "RegisterGlobalOption", "RegisterHandlerDirective", "RegisterDirective":
		name, _ := call.Args[0].(*ast.BasicLit)
		parser, _ := call.Args[1].(*ast.Ident)
		if name != nil && parser != nil {
			text, _ := strconv.Unquote(name.Value)
			s.directives = append(s.directives, directive{text, parser.Name, selector.Sel.Name == "RegisterGlobalOption"})
		}
	}
}

// firstString returns the string that a body gives to a field of this name.
func firstString(body ast.Node, field string) (value string) {
	ast.Inspect(body, func(n ast.Node) bool {
		if pair, ok := n.(*ast.KeyValueExpr); ok && value == "" {
			key, _ := pair.Key.(*ast.Ident)
			literal, _ := pair.Value.(*ast.BasicLit)
			if key != nil && key.Name == field && literal != nil {
				value, _ = strconv.Unquote(literal.Value)
			}
		}
		return true
	})
	return value
}

// grammar returns the syntax of a directive, as its parser's doc comment or that of the method to which it leads has it, and the type
// that it sets up.
func (s *source) grammar(d directive) (lines []string, root string, err error) {
	doc, known := s.functions[d.parser]
	root = s.rootOf(d)
	if !known {
		return nil, "", fmt.Errorf("%s is registered with %s, which is nowhere", d.name, d.parser)
	}
	if _, method, found := strings.Cut(doc, "See ["); found {
		method, _, _ = strings.Cut(method, "]")
		doc, root = s.functions[method], strings.TrimSuffix(method, ".UnmarshalCaddyfile")
	}
	_, syntax, found := strings.Cut(doc, "Syntax:\n")
	if !found {
		return nil, "", fmt.Errorf("%s: the doc comment of %s has no Syntax", d.name, d.parser)
	}
	for line := range strings.SplitSeq(strings.TrimLeft(syntax, "\n"), "\n") {
		text, indented := strings.CutPrefix(line, "\t")
		if !indented {
			break
		}
		lines = append(lines, text)
	}
	if len(lines) == 0 {
		return nil, "", errors.New(d.name + ": the Syntax is empty, or is no code")
	}
	return lines, root, nil
}

// rootOf is what a directive sets up if its parser does not lead to a method: of a global option an entry of the app, else the only
// module.
func (s *source) rootOf(d directive) string {
	for _, m := range s.modules {
		if d.global && m.id == d.name {
			inner, _ := s.inner(s.structs[m.typ].options[0].typ)
			return inner
		}
		if m.id == "http.handlers."+d.name {
			return m.typ
		}
	}
	return ""
}

// inner returns the structure that a type holds, directly, in a list or in an object.
func (s *source) inner(typ ast.Expr) (string, bool) {
	switch t := typ.(type) {
	case *ast.StarExpr:
		return s.inner(t.X)
	case *ast.ArrayType:
		return s.inner(t.Elt)
	case *ast.MapType:
		return s.inner(t.Value)
	case *ast.Ident:
		_, ok := s.structs[t.Name]
		return t.Name, ok
	}
	return "", false
}
