package main

import (
	"path/filepath"
	"slices"
	"testing"
)

func TestGuarantees(t *testing.T) {
	const (
		one   = "// Package p is one.\n//\n//   - G1: one.\npackage p\n"
		names = "package p\nfunc TestG1() {}\n"
	)
	tests := []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"no doc.go", map[string]string{"p.go": one}, []string{"p/doc.go: declares no guarantee"}},
		{
			"none declared",
			map[string]string{"doc.go": "// G1: prose, not an item.\npackage p\n"},
			[]string{"p/doc.go: declares no guarantee"},
		},
		{
			"named by its tests",
			map[string]string{
				"doc.go":                        "//   - G1: one.\n//   - G2: two.\n//\t- G3: three.\n//   - G4: four.\n//   - G5: five.\n",
				"a_test.go":                     "package p\nfunc TestG1_probe() {}\n// Shows (G2).\nfunc ExampleG3() {}\n",
				"internal/modelcheck/m_test.go": "package m\n// The model (G4).\nfunc FuzzModel() { t.Run(\"G5\", nil) }\n",
			},
			nil,
		},
		{
			"named by nothing",
			map[string]string{
				"doc.go":    one,
				"a.go":      "// G1\n",
				"a_test.go": "package p\nfunc TestG10() {}\nfunc TestBG1() {}\nfunc xTestG1() {}\n// G12\nfunc TestX() {}\n",
			},
			[]string{"p/doc.go: no test in p names G1"},
		},
		{
			"named only where no test is",
			map[string]string{
				"doc.go": one,
				"a_test.go": "// G1\npackage p\n\n// G1\n\nfunc TestX() {\n\t// G1\n\tf(\"G1\")\n}\n" +
					"// G1\nfunc f() {}\n// G1\nvar x = \"G1\"\n// G1\nfunc (t T) TestG1() {}\n",
			},
			[]string{"p/doc.go: no test in p names G1"},
		},
		{
			"named only by the tests of another package",
			map[string]string{"doc.go": one, "sub/doc.go": "package sub\n", "sub/a_test.go": "package sub\nfunc TestG1() {}\n"},
			[]string{"p/doc.go: no test in p names G1"},
		},
		{
			"one left out",
			map[string]string{
				"doc.go":        "//   - G1: one.\n//   - G2: two.\n",
				"a_test.go":     "package p\nfunc TestG1() {}\nfunc TestG2() {}\n",
				"sub/doc.go":    "//   - G4: four.\n",
				"sub/a_test.go": "package sub\nfunc TestG4() {}\n",
			},
			[]string{"p: there are guarantees beyond G3, but no G3"},
		},
		{
			"declared twice",
			map[string]string{"doc.go": one, "a_test.go": names, "sub/doc.go": one, "sub/a_test.go": names},
			[]string{"p/sub/doc.go: G1 is declared in p/doc.go already"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			for name, text := range tt.files {
				write(t, filepath.Join("p", name), text)
			}
			got, err := guaranteesOf("p")
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPromise(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "p/doc.go", "//   - G1: one.\n//   - G2: two.\n")
	write(t, "p/sub/doc.go", "//   - G3: three.\n")
	got, err := promise("p")
	if want := "guarantees G1 to G3"; got != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}
