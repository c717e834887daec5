package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// A pkg is what go list tells about one package.
type pkg struct {
	ImportPath string
	Name       string
	Dir        string
	Export     string // file with the export data, if -export was given
	Standard   bool
	DepOnly    bool // not matched itself, but imported by one that was
	Module     *struct {
		Path string
		Main bool
	}
	Imports []string // what its files import
	Deps    []string // ... and everything these import in turn

	GoFiles        []string
	CgoFiles       []string
	IgnoredGoFiles []string // for another platform
	TestGoFiles    []string
	XTestGoFiles   []string // of the package with _test in its name
}

// goList lists the packages of the core module and all that they import.
func goList(ctx context.Context, flags ...string) ([]pkg, error) {
	args := append([]string{"list", "-deps", "-json"}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "./...")...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cmd, err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", cmd, err)
		}
		pkgs = append(pkgs, p)
	}
}

// ours reports whether p belongs to the core module.
func (p *pkg) ours() bool { return p.Module != nil && p.Module.Main }

// rel returns the path of p inside the core module.
func (p *pkg) rel() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, p.Module.Path), "/")
}

// tree returns the first element of rel: a root package or "examples".
func (p *pkg) tree() string {
	tree, _, _ := strings.Cut(p.rel(), "/")
	return tree
}

// library reports whether p is part of the library: not an example.
func (p *pkg) library() bool { return p.ours() && p.tree() != "examples" }

// public reports whether users of the library can import p.
func (p *pkg) public() bool {
	return p.library() && p.Name != "main" && !slices.Contains(strings.Split(p.rel(), "/"), "internal")
}
