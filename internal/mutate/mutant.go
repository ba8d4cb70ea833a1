package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
)

// mutant is a file with one small mistake in it.
type mutant struct {
	file   string
	name   string // the same wherever in the file the code moves
	source []byte
}

// opposite is what takes the place of an operator.
var opposite = map[token.Token]token.Token{
	token.EQL: token.NEQ, token.NEQ: token.EQL,
	token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.LAND: token.LOR, token.LOR: token.LAND,
	token.ADD: token.SUB, token.SUB: token.ADD,
	token.AND: token.OR, token.OR: token.AND,
}

// breaker finds mutants of one file.
type breaker struct {
	file     string
	source   []byte
	tree     *token.File
	function string
	seen     map[string]int
	found    []mutant
}

// mutantsOf returns all mutants of a file.
func mutantsOf(file string) ([]mutant, error) {
	source, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	files := token.NewFileSet()
	tree, err := parser.ParseFile(files, file, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	b := &breaker{file: file, source: source, tree: files.File(tree.Pos()), seen: make(map[string]int)}
	for _, declaration := range tree.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			b.function = d.Name.Name
		case *ast.GenDecl:
			if d.Tok == token.IMPORT {
				continue
			}
			b.function = d.Tok.String()
		}
		ast.Inspect(declaration, b.visit)
	}
	return b.found, nil
}

func (b *breaker) visit(node ast.Node) bool {
	switch n := node.(type) {
	case *ast.BinaryExpr:
		if other, ok := opposite[n.Op]; ok {
			b.replace(n, b.text(n.X)+" "+other.String()+" "+b.text(n.Y))
		}
	case *ast.UnaryExpr:
		if n.Op == token.NOT {
			b.replace(n, b.text(n.X))
		}
	case *ast.Ident:
		switch n.Name {
		case "true":
			b.replace(n, "false")
		case "false":
			b.replace(n, "true")
		}
	case *ast.BasicLit:
		b.literal(n)
	case *ast.IfStmt:
		b.negate(n.Cond)
	case *ast.SwitchStmt:
		b.cases(n)
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			b.replace(n, "")
		}
	}
	return true
}

// literal takes the next number, and the characters on both sides of one: these stand for ranges.
func (b *breaker) literal(n *ast.BasicLit) {
	if n.Kind == token.INT || n.Kind == token.CHAR {
		b.replace(n, "("+n.Value+" + 1)")
	}
	if n.Kind == token.CHAR {
		b.replace(n, "("+n.Value+" - 1)")
	}
}

// cases removes, one at a time, the bodies of a switch and the values that lead to them, and negates the conditions that do.
func (b *breaker) cases(n *ast.SwitchStmt) {
	for _, statement := range n.Body.List {
		clause := statement.(*ast.CaseClause)
		for i, expression := range clause.List {
			switch {
			case n.Tag == nil:
				b.negate(expression)
			case i > 0:
				b.replaceRange(clause.List[i-1].End(), expression.End(), "")
			}
		}
		if len(clause.Body) > 0 {
			b.replaceRange(clause.Colon, clause.Body[len(clause.Body)-1].End(), ":")
		}
	}
}

// negate turns a condition around, unless that is what happens to its operator anyway.
func (b *breaker) negate(condition ast.Expr) {
	switch n := condition.(type) {
	case *ast.BinaryExpr:
		if n.Op == token.EQL || n.Op == token.NEQ {
			return
		}
	case *ast.UnaryExpr:
		return
	}
	b.replace(condition, "!("+b.text(condition)+")")
}

func (b *breaker) text(n ast.Node) string { return b.between(n.Pos(), n.End()) }

func (b *breaker) between(from, to token.Pos) string {
	return string(b.source[b.tree.Offset(from):b.tree.Offset(to)])
}

func (b *breaker) replace(n ast.Node, with string) { b.replaceRange(n.Pos(), n.End(), with) }

func (b *breaker) replaceRange(from, to token.Pos, with string) {
	name := fmt.Sprintf("%s %s: %s -> %s", b.file, b.function, oneLine(b.between(from, to)), cmp.Or(oneLine(with), "nothing"))
	b.seen[name]++
	if n := b.seen[name]; n > 1 {
		name += fmt.Sprintf(" (%d)", n)
	}
	source := slices.Concat(b.source[:b.tree.Offset(from)], []byte(with), b.source[b.tree.Offset(to):])
	b.found = append(b.found, mutant{b.file, name, source})
}

func oneLine(code string) string { return strings.Join(strings.Fields(code), " ") }
