package main

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// declaration matches the line of a doc.go that declares a guarantee:
//
//	//   - G7: no probe is admitted beyond the limit.
var declaration = regexp.MustCompile(`(?m)^//\s+- (G[0-9]+): `)

// A guarantee is one that a doc.go declares.
type guarantee struct{ name, file string }

// names returns what matches a guarantee named by a test: TestG7,
// ExampleG7_late, G7 in the comment above, but not G70 or AG7.
func names(g string) *regexp.Regexp {
	return regexp.MustCompile(`(?m)(^|[^A-Za-z0-9])(Test|Example|Fuzz)?` + g + `([^0-9]|$)`)
}

// checkGuarantees wants the doc.go of every root package to declare
// guarantees, numbered from G1 on in its tree, every number once and none left
// out, and every guarantee named by a test of the package that declares it: in
// the name of the test, in its comment, or in the name of a t.Run.
func checkGuarantees(context.Context) ([]string, error) {
	var problems []string
	for _, root := range roots {
		if _, err := os.Stat(root); errors.Is(err, fs.ErrNotExist) && root != "breaker" {
			continue
		}
		found, err := guaranteesOf(root)
		if err != nil {
			return nil, err
		}
		problems = append(problems, found...)
	}
	return problems, nil
}

// guaranteesOf checks the tree of one root package.
func guaranteesOf(root string) ([]string, error) {
	declared, err := guaranteesIn(root)
	if err != nil {
		return nil, err
	}
	var problems []string
	top := filepath.Join(root, "doc.go")
	if !slices.ContainsFunc(declared, func(g guarantee) bool { return g.file == top }) {
		problems = append(problems, top+": declares no guarantee")
	}
	where := make(map[string]string) // by number
	for _, g := range declared {
		if before, ok := where[g.name]; ok {
			problems = append(problems, fmt.Sprintf("%s: %s is declared in %s already", g.file, g.name, before))
		}
		where[g.name] = g.file
		dir := filepath.Dir(g.file)
		tests, err := testNames(dir)
		if err != nil {
			return nil, err
		}
		if !names(g.name).MatchString(tests) {
			problems = append(problems, fmt.Sprintf("%s: no test in %s names %s", g.file, dir, g.name))
		}
	}
	for i := range len(where) {
		if g := fmt.Sprintf("G%d", i+1); where[g] == "" {
			problems = append(problems, root+": there are guarantees beyond "+g+", but no "+g)
		}
	}
	return problems, nil
}

// guaranteesIn returns what the files doc.go below root declare.
func guaranteesIn(root string) ([]guarantee, error) {
	var declared []guarantee
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "doc.go" {
			return err
		}
		doc, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, m := range declaration.FindAllSubmatch(doc, -1) {
			declared = append(declared, guarantee{string(m[1]), file})
		}
		return nil
	})
	return declared, err
}

// promise is the line of the recorded API that says which guarantees there are.
// Without it the last ones could go unnoticed.
func promise(root string) (string, error) {
	declared, err := guaranteesIn(root)
	return fmt.Sprintf("guarantees G1 to G%d", len(declared)), err
}

// testNames returns what the tests that speak for the package in dir are
// called: those of its own and those below its internal directory, in nested
// modules too.
func testNames(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return "", err
	}
	internal := filepath.Join(dir, "internal")
	err = filepath.WalkDir(internal, func(file string, _ fs.DirEntry, err error) error {
		if file == internal && errors.Is(err, fs.ErrNotExist) {
			return fs.SkipDir
		}
		if strings.HasSuffix(file, "_test.go") {
			files = append(files, file)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return "", err
		}
		for _, decl := range parsed.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && isTest(f.Name.Name) {
				fmt.Fprintf(&all, "%s\n%s\n%s", f.Name.Name, f.Doc.Text(), subtests(f))
			}
		}
	}
	return all.String(), nil
}

func isTest(name string) bool {
	return strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Fuzz") || strings.HasPrefix(name, "Example")
}

// subtests returns the names that are written in calls of t.Run, one a line.
func subtests(f *ast.FuncDecl) string {
	var all strings.Builder
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 2 {
			return true
		}
		if run, ok := call.Fun.(*ast.SelectorExpr); ok && run.Sel.Name == "Run" {
			if name, ok := call.Args[0].(*ast.BasicLit); ok && name.Kind == token.STRING {
				fmt.Fprintln(&all, strings.Trim(name.Value, "\"`"))
			}
		}
		return true
	})
	return all.String()
}
