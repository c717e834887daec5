package main

import (
	"context"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
)

// obvious are the methods that other packages call by an interface of theirs;
// users seldom do.
var obvious = []string{"String", "Error", "Is", "Unwrap", "MarshalText", "UnmarshalText"}

// checkExamples wants an example with its output for every exported function,
// type and method of the public packages.
func checkExamples(ctx context.Context) ([]string, error) {
	pkgs, err := goList(ctx)
	if err != nil {
		return nil, err
	}
	var problems []string
	for _, p := range pkgs {
		if !p.public() {
			continue
		}
		fset := token.NewFileSet()
		var files []*ast.File
		for _, name := range slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles) {
			file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments)
			if err != nil {
				return nil, err
			}
			files = append(files, file)
		}
		d, err := doc.NewFromFiles(fset, files, p.ImportPath)
		if err != nil {
			return nil, err
		}
		for _, name := range unshown(d) {
			problems = append(problems, p.rel()+": no example with an output shows "+name)
		}
	}
	return problems, nil
}

// unshown returns the names of a package that no example shows. One belongs to
// the name that godoc puts it below. Types need none of their own: that of a
// constructor or a method does, and so does any that mentions the type.
func unshown(d *doc.Package) []string {
	var missing []string
	mentioned := mentions(d)
	for _, f := range d.Funcs {
		if !shown(f.Examples) {
			missing = append(missing, f.Name)
		}
	}
	for _, t := range d.Types {
		known := shown(t.Examples) || mentioned[t.Name]
		for _, f := range t.Funcs {
			if shown(f.Examples) {
				known = true
			} else {
				missing = append(missing, f.Name)
			}
		}
		for _, m := range t.Methods {
			switch {
			case shown(m.Examples):
				known = true
			case !slices.Contains(obvious, m.Name):
				missing = append(missing, t.Name+"."+m.Name)
			}
		}
		if !known {
			missing = append(missing, t.Name)
		}
	}
	return missing
}

// shown reports whether one of the examples is run: one without an output is
// only compiled.
func shown(examples []*doc.Example) bool { return slices.ContainsFunc(examples, runs) }

func runs(e *doc.Example) bool { return e.Output != "" || e.EmptyOutput }

// mentions returns the names that the examples of a package take from it.
func mentions(d *doc.Package) map[string]bool {
	examples := slices.Clone(d.Examples)
	for _, f := range d.Funcs {
		examples = append(examples, f.Examples...)
	}
	for _, t := range d.Types {
		examples = append(examples, t.Examples...)
		for _, f := range slices.Concat(t.Funcs, t.Methods) {
			examples = append(examples, f.Examples...)
		}
	}
	names := make(map[string]bool)
	for _, e := range slices.DeleteFunc(examples, func(e *doc.Example) bool { return !runs(e) }) {
		ast.Inspect(e.Code, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == d.Name {
					names[s.Sel.Name] = true
				}
			}
			return true
		})
	}
	return names
}
