package main

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var (
	// skip matches what ends a test early; thelper sees to the names.
	skip = regexp.MustCompile(`^(t|b|f|tb)\.Skip(f|Now)?$`)

	// excuse matches the conditions under which a test may: where it cannot
	// hold, or where somebody is in a hurry, which no run of CI is.
	excuse = regexp.MustCompile(`^(raceEnabled|testing\.Short\(\)|runtime\.GO(OS|ARCH) == "\w+")$`)
)

// checkSkips refuses tests that skip themselves without an excuse: they pass,
// and nobody sees that they show nothing any more.
func checkSkips(context.Context) ([]string, error) {
	var problems []string
	for _, tree := range append(slices.Clone(roots), "examples", ".ci") {
		found, err := skipsIn(tree)
		if err != nil {
			return nil, err
		}
		problems = append(problems, found...)
	}
	return problems, nil
}

// skipsIn checks the test files of one directory and those below it, in nested
// modules too.
func skipsIn(tree string) ([]string, error) {
	var problems []string
	fset := token.NewFileSet()
	err := filepath.WalkDir(tree, func(name string, _ fs.DirEntry, err error) error {
		if name == tree && errors.Is(err, fs.ErrNotExist) {
			return fs.SkipDir
		}
		if err != nil || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, s := range skips(file) {
			problems = append(problems, fmt.Sprintf("%s:%d: %s without an excuse: if raceEnabled, testing.Short() or runtime.GOOS == ...",
				name, fset.Position(s.Pos()).Line, types.ExprString(s)))
		}
		return nil
	})
	return problems, err
}

// skips returns the mentions of t.Skip and the like that have no excuse.
func skips(file *ast.File) []ast.Expr {
	var found []ast.Expr
	var excused []ast.Node
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IfStmt:
			if n.Init == nil && excuse.MatchString(types.ExprString(n.Cond)) {
				excused = append(excused, n.Body)
			}
		case *ast.SelectorExpr:
			inside := func(e ast.Node) bool { return e.Pos() < n.Pos() && n.Pos() < e.End() }
			if skip.MatchString(types.ExprString(n)) && !slices.ContainsFunc(excused, inside) {
				found = append(found, n)
			}
		}
		return true
	})
	return found
}
