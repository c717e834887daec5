package main

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"
)

// mutable returns the package-level variables of a package that its code could
// change while a program runs, or whose form does not rule it out.
func mutable(files []*ast.File) []*ast.Ident {
	changed := written(files)
	var found []*ast.Ident
	for _, file := range files {
		for _, decl := range file.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				spec := spec.(*ast.ValueSpec)
				for i, name := range spec.Names {
					if name.Name == "_" {
						continue // asserts something, and holds nothing
					}
					fixed := len(spec.Values) == len(spec.Names) && (sentinel(name, spec.Values[i]) || array(name, spec.Values[i]))
					if !fixed || changed[name.Name] {
						found = append(found, name)
					}
				}
			}
		}
	}
	return found
}

// sentinel reports whether a variable is an error to compare others with.
func sentinel(name *ast.Ident, value ast.Expr) bool {
	call, ok := value.(*ast.CallExpr)
	return ok && types.ExprString(call.Fun) == "errors.New" &&
		(strings.HasPrefix(name.Name, "Err") || strings.HasPrefix(name.Name, "err"))
}

// array reports whether a variable is a table such as the names of constants:
// an array, since what a slice or a map holds can change through its copies.
func array(name *ast.Ident, value ast.Expr) bool {
	lit, ok := value.(*ast.CompositeLit)
	if !ok || name.IsExported() {
		return false
	}
	typ, ok := lit.Type.(*ast.ArrayType)
	if !ok || typ.Len == nil {
		return false
	}
	_, ok = typ.Elt.(*ast.Ident) // of a plain type, not of pointers or slices
	return ok
}

// written returns the names of variables that are assigned to, in whole or in
// part, or whose address is taken. Local ones count too: one that hides a
// variable of the package is better called something else.
func written(files []*ast.File) map[string]bool {
	names := make(map[string]bool)
	write := func(x ast.Expr) {
		for {
			switch e := x.(type) {
			case *ast.Ident:
				names[e.Name] = true
				return
			case *ast.IndexExpr:
				x = e.X
			case *ast.SelectorExpr:
				x = e.X
			case *ast.ParenExpr:
				x = e.X
			default:
				return
			}
		}
	}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for _, left := range n.Lhs {
					if n.Tok != token.DEFINE {
						write(left)
					}
				}
			case *ast.IncDecStmt:
				write(n.X)
			case *ast.RangeStmt:
				if n.Tok == token.ASSIGN {
					write(n.Key)
					write(n.Value)
				}
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					write(n.X)
				}
			case *ast.SliceExpr:
				write(n.X)
			}
			return true
		})
	}
	return names
}
