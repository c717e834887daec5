package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// guarantee matches the line of a doc.go that declares one:
//
//	//   - G7: no probe is admitted beyond the limit.
var guarantee = regexp.MustCompile(`(?m)^//\s+- (G[0-9]+): `)

// names returns what matches a guarantee named in a test: G7 in a comment,
// TestG7, ExampleG7_late, but not G70 or AG7.
func names(g string) *regexp.Regexp {
	return regexp.MustCompile(`(?m)(^|[^A-Za-z0-9])(Test|Example|Fuzz)?` + g + `([^0-9]|$)`)
}

// checkGuarantees wants the doc.go of every root package to declare
// guarantees, every number declared once in its tree, and every guarantee
// named by a test of the package that declares it.
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
	var problems []string
	declared := make(map[string]string) // where, by number
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "doc.go" {
			return err
		}
		doc, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		dir := filepath.Dir(file)
		matches := guarantee.FindAllStringSubmatch(string(doc), -1)
		if dir == root && matches == nil {
			problems = append(problems, file+": declares no guarantee")
		}
		tests, err := testSource(dir)
		if err != nil {
			return err
		}
		for _, m := range matches {
			g := m[1]
			if before, ok := declared[g]; ok {
				problems = append(problems, fmt.Sprintf("%s: %s is declared in %s already", file, g, before))
			}
			declared[g] = file
			if !names(g).MatchString(tests) {
				problems = append(problems, fmt.Sprintf("%s: no test in %s names %s", file, dir, g))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(root, "doc.go")); err != nil {
		problems = append(problems, root+": has no doc.go")
	}
	return problems, nil
}

// testSource returns the text of the test files that speak for the package in
// dir: its own and those below its internal directory, in nested modules too.
func testSource(dir string) (string, error) {
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
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		all.Write(text)
		all.WriteByte('\n')
	}
	return all.String(), nil
}
