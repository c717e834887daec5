package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

func TestMutable(t *testing.T) {
	tests := []struct {
		name, source string
		want         string // the names, with a blank between them
	}{
		{"none", "const size = 8\nfunc f() { var local int; local++ }", ""},
		{"assertion", "var _ error = (*T)(nil)", ""},
		{"sentinel errors", "var (\n\tErrOpen = errors.New(`open`)\n\terrNil = errors.New(`nil`)\n)", ""},
		{"sentinel by another name", "var open = errors.New(`open`)", "open"},
		{"something called an error", "var errCount = 0", "errCount"},
		{"error without a value", "var ErrOpen, ErrShut error", "ErrOpen ErrShut"},
		{"error that is set", "var errLast = errors.New(`none`)\nfunc f(err error) { errLast = err }", "errLast"},
		{"array", "var names = [...]string{`a`, `b`}\nfunc f(i int) string { return names[i] }", ""},
		{"array, ranged over", "var names = [2]string{}\nfunc f() { for i, n := range names { g(i, n) } }", ""},
		{"exported array", "var Names = [...]string{`a`}", "Names"},
		{"array of slices", "var names = [...][]string{{`a`}}", "names"},
		{"slice", "var names = []string{`a`}", "names"},
		{"map", "var names = map[int]string{}", "names"},
		{"pointer", "var last = new(T)", "last"},
		{"struct", "var mu sync.Mutex", "mu"},
		{"array, element set", "var names = [...]string{`a`}\nfunc f() { names[0] = `b` }", "names"},
		{"array, element counted", "var hits = [...]int{0}\nfunc f() { (hits)[0]++ }", "hits"},
		{"array, field set", "var ts = [...]T{{}}\nfunc f() { ts[0].n = 1 }", "ts"},
		{"array, element set by range", "var hits = [...]int{0}\nfunc f() { for hits[0] = range 3 {} }", "hits"},
		{"array, sliced", "var names = [...]string{`a`}\nfunc f() []string { return names[:] }", "names"},
		{"array, address taken", "var names = [...]string{`a`}\nfunc f() *string { return &names[0] }", "names"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file, err := parser.ParseFile(token.NewFileSet(), "p.go", "package p\n"+tt.source, 0)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, name := range mutable([]*ast.File{file}) {
				got = append(got, name.Name)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
