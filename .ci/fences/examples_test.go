package main

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

func TestUnshown(t *testing.T) {
	const library = `package p
const Limit = 1
var ErrOpen error
func Do() {}
func hidden() {}
type T struct{}
func New() *T { return nil }
func (*T) Run() {}
func (*T) run() {}
func (*T) String() string { return "" }
type Clock interface{ Now() int }
`
	tests := []struct {
		name, examples string
		want           string // the names, with a blank between them
	}{
		{"nothing", "", "Do Clock New T.Run T"},
		{"no output", "func ExampleDo() { _ = p.Clock }\nfunc ExampleNew() { p.New() }", "Do Clock New T.Run T"},
		{
			"each for itself",
			"func ExampleDo() {\n// Output: 1\n}\nfunc ExampleClock() {\n// Output:\n}\n" +
				"func ExampleNew_variant() {\n// Unordered output: 1\n}\nfunc ExampleT_Run() {\n// Output: 1\n}\n",
			"",
		},
		{"type by its constructor", "func ExampleNew() {\n// Output: 1\n}", "Do Clock T.Run"},
		{"type by its method", "func ExampleT_Run() {\n// Output: 1\n}", "Do Clock New"},
		{"type by a method that needs none", "func ExampleT_String() {\n// Output: 1\n}", "Do Clock New T.Run"},
		{"method is not shown by its type", "func ExampleT() {\n// Output: 1\n}", "Do Clock New T.Run"},
		{"types by mention", "func Example_flow() {\nvar _ p.Clock = f(p.T{}, p.Do)\n// Output: 1\n}", "Do New T.Run"},
		{"mentioned elsewhere", "var _ p.Clock = p.T{}\nfunc ExampleDo() {\n// Output: 1\n}\nfunc TestClock() { var _ p.Clock }", "Clock New T.Run T"},
		{"of another package", "func ExampleDo() {\nvar _ q.Clock = x.T\n// Output: 1\n}", "Clock New T.Run T"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fset := token.NewFileSet()
			var files []*ast.File
			for _, f := range [][2]string{{"p.go", library}, {"p_test.go", "package p_test\nfunc f() {}\n" + tt.examples}} {
				file, err := parser.ParseFile(fset, f[0], f[1], parser.ParseComments)
				if err != nil {
					t.Fatal(err)
				}
				files = append(files, file)
			}
			d, err := doc.NewFromFiles(fset, files, "m/p")
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(unshown(d), " "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
