package durable

import (
	"fmt"
	"strings"

	"github.com/mainstay-go/mainstay/saga/internal/core"
)

// Mermaid is a flowchart of the saga, with what has become of its steps in this run.
// If the saga is not registered it is one of the events.
func (r *Record) Mermaid() string {
	if r.program != nil {
		return r.program.Draw(false, r.became())
	}
	var b strings.Builder
	b.WriteString("flowchart TD\n")
	for i, e := range r.Events {
		fmt.Fprintf(&b, "  e%d[%s]\n", i, core.MermaidText(e.Kind+" "+e.Step))
		if i > 0 {
			fmt.Fprintf(&b, "  e%d --> e%d\n", i-1, i)
		}
	}
	return b.String()
}

// DOT is the same for Graphviz.
func (r *Record) DOT() string {
	if r.program != nil {
		return r.program.Draw(true, r.became())
	}
	var b strings.Builder
	b.WriteString("digraph run {\n")
	for i, e := range r.Events {
		fmt.Fprintf(&b, "  e%d [label=%s];\n", i, core.DOTText(e.Kind+" "+e.Step))
		if i > 0 {
			fmt.Fprintf(&b, "  e%d -> e%d;\n", i-1, i)
		}
	}
	b.WriteString("}\n")
	return b.String()
}

// became is what has become of steps, the items of ForEach together.
func (r *Record) became() map[string]string {
	became := make(map[string]string)
	for _, e := range r.Events {
		if e.Step == "" {
			continue
		}
		path := withoutNumbers(e.Step)
		switch core.Kind(e.Kind) {
		case core.Started, core.UndoStarted, core.Waiting:
			became[path] = "open"
		case core.Done:
			became[path] = "applied"
		case core.UndoDone:
			became[path] = "undone"
		case core.Failed, core.UndoFailed, core.Stuck:
			became[path] = "failed"
		default:
		}
	}
	return became
}

// withoutNumbers is a path without the numbers of items. A step whose name is a
// number is lost with them, and has no colour.
func withoutNumbers(path string) string {
	var names []string
	for name := range strings.SplitSeq(path, "/") {
		if name == "" || strings.Trim(name, "0123456789") != "" {
			names = append(names, name)
		}
	}
	return strings.Join(names, "/")
}
