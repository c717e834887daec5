package main

import (
	"go/parser"
	"go/token"
	"go/types"
	"strings"
	"testing"
)

func TestSkips(t *testing.T) {
	tests := []struct {
		name, body string
		want       string // the mentions, with a blank between them
	}{
		{"none", "t.Log(); e.Skip(1); t.Skipped()", ""},
		{"bare", "t.Skip(); t.Skipf(``); tb.SkipNow()", "t.Skip t.Skipf tb.SkipNow"},
		{"in a fuzz target", "f.Fuzz(func(t *testing.T, n int) { if n > 7 { t.Skip() } })", "t.Skip"},
		{"race detector", "if raceEnabled { t.Skip(`allocates`) }", ""},
		{"in a hurry", "if testing.Short() { for { t.SkipNow() } }", ""},
		{"system", "if runtime.GOOS == `windows` { t.Skip() }; if runtime.GOARCH == \"386\" { t.Skip() }", "t.Skip"},
		{"everywhere but there", "if !raceEnabled { t.Skip() }; if runtime.GOOS != \"js\" { t.Skip() }", "t.Skip t.Skip"},
		{"else", "if raceEnabled { f() } else { t.Skip() }", "t.Skip"},
		{"more than the excuse", "if raceEnabled || true { t.Skip() }; if testing.Short() == false { t.Skip() }", "t.Skip t.Skip"},
		{"another variable of the name", "if raceEnabled := true; raceEnabled { t.Skip() }", "t.Skip"},
		{"under another name", "skip := t.SkipNow; skip()", "t.SkipNow"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file, err := parser.ParseFile(token.NewFileSet(), "p_test.go", "package p\nfunc f() {\n"+tt.body+"\n}", 0)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range skips(file) {
				got = append(got, types.ExprString(s))
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
