package main

import (
	"context"
	"errors"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// apiDir holds one listing for each public package: breaker/breakerhttp is
// described in breaker-breakerhttp.txt.
const apiDir = ".ci/api"

// checkAPI compares the exported API with the listings.
func checkAPI(ctx context.Context) ([]string, error) {
	apis, err := exported(ctx)
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(apiDir, "*.txt"))
	if err != nil {
		return nil, err
	}
	var problems []string
	for _, file := range files {
		if apis[file] == nil {
			problems = append(problems, file+": there is no such package")
		}
	}
	for file, api := range apis {
		data, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		recorded := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
		for _, line := range recorded {
			if line != "" && !slices.Contains(api, line) {
				problems = append(problems, file+": - "+line)
			}
		}
		for _, line := range api {
			if !slices.Contains(recorded, line) {
				problems = append(problems, file+": + "+line)
			}
		}
	}
	slices.Sort(problems)
	if problems != nil {
		problems = append(problems, "what users rely on is not what is recorded; if it is meant to change: .ci/run api-update")
	}
	return problems, nil
}

// updateAPI makes the listings describe the API as it is.
func updateAPI(ctx context.Context) ([]string, error) {
	apis, err := exported(ctx)
	if err != nil {
		return nil, err
	}
	if err := os.RemoveAll(apiDir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(apiDir, 0o755); err != nil {
		return nil, err
	}
	for file, api := range apis {
		if err := os.WriteFile(file, []byte(strings.Join(api, "\n")+"\n"), 0o644); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// exported returns the API of every public package, by the file that records
// it, and with that of a root package how many guarantees its tree makes. It
// reads what the compiler exports for importing packages, so it sees exactly
// what they see.
func exported(ctx context.Context) (map[string][]string, error) {
	pkgs, err := goList(ctx, "-export")
	if err != nil {
		return nil, err
	}
	export := make(map[string]string, len(pkgs))
	for _, p := range pkgs {
		export[p.ImportPath] = p.Export
	}
	imp := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(export[path])
	})
	apis := make(map[string][]string)
	for _, p := range pkgs {
		if !p.public() {
			continue
		}
		tpkg, err := imp.Import(p.ImportPath)
		if err != nil {
			return nil, err
		}
		api := listing(tpkg)
		if slices.Contains(roots, p.rel()) {
			line, err := promise(p.rel())
			if err != nil {
				return nil, err
			}
			api = append(api, line)
			slices.Sort(api)
		}
		file := filepath.Join(apiDir, strings.ReplaceAll(p.rel(), "/", "-")+".txt")
		apis[file] = api
	}
	return apis, nil
}

// listing describes the exported API of a package, one line for each constant,
// variable, function, type, field and method, sorted.
func listing(p *types.Package) []string {
	l := lister{pkg: p}
	for _, name := range p.Scope().Names() {
		obj := p.Scope().Lookup(name)
		if !obj.Exported() {
			continue
		}
		switch obj := obj.(type) {
		case *types.Const:
			l.add("const %s %s = %s", name, l.str(obj.Type()), obj.Val().ExactString())
		case *types.Var:
			l.add("var %s %s", name, l.str(obj.Type()))
		case *types.Func:
			l.add("%s", types.ObjectString(obj, l.qualify))
		case *types.TypeName:
			l.typeName(obj)
		}
	}
	slices.Sort(l.lines)
	return l.lines
}

// A lister collects the lines of one listing.
type lister struct {
	pkg   *types.Package
	lines []string
}

func (l *lister) add(format string, args ...any) {
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

// str writes t as the package's own code does.
func (l *lister) str(t types.Type) string { return types.TypeString(t, l.qualify) }

func (l *lister) qualify(p *types.Package) string {
	if p == l.pkg {
		return ""
	}
	return p.Name()
}

func (l *lister) typeName(obj *types.TypeName) {
	named, ok := obj.Type().(*types.Named)
	if obj.IsAlias() || !ok {
		l.add("type %s = %s", obj.Name(), l.str(types.Unalias(obj.Type())))
		return
	}
	switch u := named.Underlying().(type) {
	case *types.Struct:
		l.fields("type "+l.str(named)+" struct", u)
	case *types.Interface:
		l.contract("type "+l.str(named)+" interface", u)
		return // its methods are told
	default:
		l.add("type %s %s", l.str(named), l.str(u))
	}
	l.methods(named)
}

func (l *lister) fields(head string, s *types.Struct) {
	l.add("%s", head)
	hidden := false
	for i := range s.NumFields() {
		f := s.Field(i)
		tag := s.Tag(i)
		if tag != "" {
			tag = " " + strconv.Quote(tag)
		}
		switch {
		case !f.Exported():
			hidden = true
		case f.Embedded():
			l.add("%s, embedded %s%s", head, l.str(f.Type()), tag)
		default:
			l.add("%s, %s %s%s", head, f.Name(), l.str(f.Type()), tag)
		}
	}
	if hidden {
		l.add("%s, unexported fields", head)
	}
}

func (l *lister) contract(head string, i *types.Interface) {
	if !i.IsMethodSet() {
		l.add("%s, constraint %s", head, l.str(i))
		return
	}
	l.add("%s", head)
	hidden := false
	for m := range i.Methods() {
		if !m.Exported() {
			hidden = true
			continue
		}
		l.add("%s, %s%s", head, m.Name(), l.signature(m.Type()))
	}
	if hidden {
		l.add("%s, unexported methods", head)
	}
}

// methods adds the methods of *named, promoted ones included.
func (l *lister) methods(named *types.Named) {
	byValue := types.NewMethodSet(named)
	for m := range types.NewMethodSet(types.NewPointer(named)).Methods() {
		if !m.Obj().Exported() {
			continue
		}
		star := "*"
		if byValue.Lookup(m.Obj().Pkg(), m.Obj().Name()) != nil {
			star = ""
		}
		l.add("method (%s%s) %s%s", star, receiver(named), m.Obj().Name(), l.signature(m.Type()))
	}
}

func (l *lister) signature(t types.Type) string {
	return strings.TrimPrefix(l.str(t), "func")
}

// receiver writes a type as in the declaration of its methods: Group[K].
func receiver(named *types.Named) string {
	var params []string
	for p := range named.TypeParams().TypeParams() {
		params = append(params, p.Obj().Name())
	}
	list := ""
	if params != nil {
		list = "[" + strings.Join(params, ", ") + "]"
	}
	return named.Obj().Name() + list
}
