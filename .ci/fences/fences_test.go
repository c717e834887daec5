package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// module builds the packages of a library from lines of the form
// "path: import import ...". Paths with a dot in the first element are foreign
// modules, those that begin with "m/" ours, and all others standard.
func module(lines ...string) []pkg {
	pkgs := make([]pkg, len(lines))
	for i, line := range lines {
		path, imports, _ := strings.Cut(line, ":")
		p := pkg{ImportPath: path, Imports: strings.Fields(imports)}
		type mod = struct {
			Path string
			Main bool
		}
		first, _, _ := strings.Cut(path, "/")
		switch {
		case first == "m":
			p.Module = &mod{Path: "m", Main: true}
		case strings.Contains(first, "."):
			p.Module = &mod{Path: path}
		default:
			p.Standard = true
		}
		// Lines stand after those of what they import, as in go list -deps.
		for _, imp := range p.Imports {
			p.Deps = append(p.Deps, imp)
			dep := slices.IndexFunc(pkgs[:i], func(q pkg) bool { return q.ImportPath == imp })
			p.Deps = append(p.Deps, pkgs[dep].Deps...)
		}
		slices.Sort(p.Deps)
		p.Deps = slices.Compact(p.Deps)
		pkgs[i] = p
	}
	return pkgs
}

func TestForbiddenDeps(t *testing.T) {
	const (
		clock = "github.com/benbjohnson/clock"
		sync  = "golang.org/x/sync"
	)
	tests := []struct {
		name string
		pkgs []pkg
		want string // of the only problem; empty: none
	}{
		{
			name: "clean",
			pkgs: module("net/netip:", "net:", "net/http: net", sync+":", clock+":",
				"m/breaker: net/netip", "m/breaker/breakerhttp: m/breaker net/http", "m/saga: "+sync+" "+clock,
				"m/examples/outbound: m/breaker m/saga net/http"),
		},
		{"breaker is missing", module("m/saga:"), "package breaker is missing"},
		{"network", module("net:", "m/breaker: net"), "breaker imports net: "},
		{
			"network through the standard library",
			module("net:", "log/syslog: net", "m/breaker: log/syslog"), "breaker imports net: ",
		},
		{
			"network through an internal package",
			module("net:", "m/breaker/internal/x: net", "m/breaker: m/breaker/internal/x"),
			"breaker imports net through breaker/internal/x: ",
		},
		{
			"network below a root package",
			module("net:", "m/breaker:", "m/registry/balance: net"), "registry/balance imports net: ",
		},
		{"clock in breaker", module(clock+":", "m/breaker: "+clock), "breaker imports " + clock + ": "},
		{"x/sync in breaker", module(sync+":", "m/breaker: "+sync), "breaker imports " + sync + ": "},
		{
			"clock below breaker",
			module(clock+":", "m/breaker:", "m/breaker/breakerhttp: m/breaker "+clock),
			"breaker/breakerhttp imports " + clock + ": ",
		},
		{
			"x/sync through an internal package below breaker",
			module(sync+":", "m/breaker/internal/x: "+sync, "m/breaker: m/breaker/internal/x"),
			"breaker/internal/x imports " + sync + ": ",
		},
		{"sibling", module("m/breaker:", "m/saga: m/breaker"), "saga imports m/breaker: "},
		{
			"foreign module, told once",
			module("example.com/x:", "m/breaker:", "m/breaker/a: example.com/x m/breaker", "m/breaker/b: m/breaker/a"),
			"breaker/a imports example.com/x: ",
		},
		{
			"foreign module in an example",
			module("example.com/x:", "m/breaker:", "m/examples/a: example.com/x"),
			"examples/a imports example.com/x: ",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := forbiddenDeps(tt.pkgs)
			switch {
			case tt.want == "" && len(got) == 0:
			case tt.want != "" && len(got) == 1 && strings.HasPrefix(got[0], tt.want):
			default:
				t.Errorf("got %q, want %q...", got, tt.want)
			}
		})
	}
}

func TestForbiddenCode(t *testing.T) {
	p := pkg{ImportPath: "m/breaker", Dir: t.TempDir(), GoFiles: []string{"a.go"}, IgnoredGoFiles: []string{"b.go", "b_test.go"}}
	p.Module = &struct {
		Path string
		Main bool
	}{Path: "m", Main: true}
	write(t, filepath.Join(p.Dir, "a.go"), `package breaker
func init() {}
type t struct{}
func (t) init() {}
var hits int
`)
	write(t, filepath.Join(p.Dir, "b.go"), `package breaker
import _ "unsafe" // for go:linkname
import "C"

//go:linkname now runtime.nanotime
func now() int64
`)
	got, err := forbiddenCode(&p)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"breaker/a.go:2: the library uses no init function",
		"breaker/b.go:2: the library uses no unsafe",
		"breaker/b.go:3: the library uses no cgo",
		"breaker/b.go:5: the library uses no linkname",
		"breaker/a.go:5: the library uses no package-level variables but sentinel errors and arrays that nothing writes",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestListing(t *testing.T) {
	const source = `package p

type State uint8

const (
	Closed State = iota
	Open
)

const size = 8 // unexported

var ErrOpen error

func Do[T comparable](b *Group[T], fn func(T) error) (t T, err error) { return }

type base struct{}

func (base) Promoted()        {}
func (base) hidden()          {}
func (s State) String() string { return "" }

type Group[K comparable] struct {
	base
	mu  int
	Max int ` + "`json:\"max\"`" + `
	State
}

func (g *Group[K]) Get(key K) *Group[K] { return g }

type Store interface {
	Read(key string) ([]byte, error)
	sealed()
}

type Number interface{ ~int | ~int64 }

type Func func(n int) bool

type Old = State

type Plain struct{ Name string }
`
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	p, err := new(types.Config).Check("p", fset, []*ast.File{file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"const Closed State = 0",
		"const Open State = 1",
		"func Do[T comparable](b *Group[T], fn func(T) error) (t T, err error)",
		"method (*Group[K]) Get(key K) *Group[K]",
		"method (Group[K]) Promoted()",
		"method (Group[K]) String() string",
		"method (State) String() string",
		"type Func func(n int) bool",
		"type Group[K comparable] struct",
		`type Group[K comparable] struct, Max int "json:\"max\""`,
		"type Group[K comparable] struct, embedded State",
		"type Group[K comparable] struct, unexported fields",
		"type Number interface, constraint interface{~int | ~int64}",
		"type Old = State",
		"type Plain struct",
		"type Plain struct, Name string",
		"type State uint8",
		"type Store interface",
		"type Store interface, Read(key string) ([]byte, error)",
		"type Store interface, unexported methods",
		"var ErrOpen error",
	}
	if got := listing(p); !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
