package main

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
)

// modules are those that the core module may require outside its tests, below
// breaker not even these.
var modules = []string{"github.com/benbjohnson/clock", "golang.org/x/sync"}

// networked are the packages that are about the network.
var networked = []string{"breaker/breakerhttp", "registry/registryhttp", "registry/registrydns"}

// checkImports fences off what the packages of the core module depend on,
// tests aside, and what the code of the library avoids altogether.
func checkImports(ctx context.Context) ([]string, error) {
	pkgs, err := goList(ctx)
	if err != nil {
		return nil, err
	}
	problems := forbiddenDeps(pkgs)
	for _, p := range pkgs {
		if !p.library() {
			continue
		}
		found, err := forbiddenCode(&p)
		if err != nil {
			return nil, err
		}
		problems = append(problems, found...)
	}
	return problems, nil
}

// forbiddenDeps returns the dependencies that the packages of the core module
// may not have.
func forbiddenDeps(pkgs []pkg) []string {
	byPath := make(map[string]*pkg, len(pkgs))
	for i := range pkgs {
		byPath[pkgs[i].ImportPath] = &pkgs[i]
	}
	var problems []string
	if !slices.ContainsFunc(pkgs, func(p pkg) bool { return p.ours() && p.rel() == "breaker" }) {
		problems = append(problems, "package breaker is missing")
	}
	for i := range pkgs {
		p := &pkgs[i]
		if !p.ours() {
			continue
		}
		for _, path := range p.Deps {
			why := refusal(p, byPath[path])
			if why == "" {
				continue
			}
			via := bearer(p, path, byPath)
			if via != p && refusal(via, byPath[path]) != "" {
				continue // told there
			}
			through := ""
			if via != p {
				through = " through " + via.rel()
			}
			problems = append(problems, fmt.Sprintf("%s imports %s%s: %s", p.rel(), path, through, why))
		}
	}
	return problems
}

// refusal returns why p may not depend on dep, or "" if it may.
func refusal(p, dep *pkg) string {
	switch {
	case dep.Standard:
		if p.public() && !slices.Contains(networked, p.rel()) && (dep.ImportPath == "net" || dep.ImportPath == "net/http") {
			return "only " + strings.Join(networked, ", ") + " may depend on the network"
		}
	case dep.ours():
		if p.library() && dep.tree() != p.tree() {
			return "the packages do not depend on each other"
		}
	case p.tree() == "breaker":
		return "not the standard library, and below breaker nothing else is imported"
	case dep.Module == nil || !slices.Contains(modules, dep.Module.Path):
		return "not the standard library, nor one of " + strings.Join(modules, ", ")
	}
	return ""
}

// bearer returns the package of ours through which p comes to depend on
// path: p itself, one of its dependencies, or p if only foreign ones import it.
func bearer(p *pkg, path string, byPath map[string]*pkg) *pkg {
	if slices.Contains(p.Imports, path) {
		return p
	}
	for _, d := range p.Deps {
		if dep := byPath[d]; dep.ours() && slices.Contains(dep.Imports, path) {
			return dep
		}
	}
	return p
}

// forbiddenCode returns the uses of init, unsafe, cgo, linkname and mutable
// variables in the files of p, those for other platforms included, test files
// not.
func forbiddenCode(p *pkg) ([]string, error) {
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range slices.Concat(p.GoFiles, p.CgoFiles, p.IgnoredGoFiles) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	var problems []string
	report := func(pos token.Pos, what string) {
		at := fset.Position(pos)
		problems = append(problems,
			fmt.Sprintf("%s/%s:%d: the library uses no %s", p.rel(), filepath.Base(at.Filename), at.Line, what))
	}
	for _, file := range files {
		for _, imp := range file.Imports {
			switch imp.Path.Value {
			case `"unsafe"`:
				report(imp.Pos(), "unsafe")
			case `"C"`:
				report(imp.Pos(), "cgo")
			}
		}
		for _, decl := range file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				report(fn.Pos(), "init function")
			}
		}
		for _, group := range file.Comments {
			for _, c := range group.List {
				if strings.HasPrefix(c.Text, "//go:linkname") {
					report(c.Pos(), "linkname")
				}
			}
		}
	}
	for _, name := range mutable(files) {
		report(name.Pos(), "package-level variables but sentinel errors and arrays that nothing writes")
	}
	return problems, nil
}
