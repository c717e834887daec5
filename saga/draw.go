package saga

import (
	"strconv"
	"strings"

	"github.com/mainstay-go/mainstay/saga/internal/core"
)

// A drawing is a flowchart that grows line by line.
type drawing struct {
	strings.Builder
	depth  int
	nodes  int
	became map[string]string // what of steps, by path; see core.Program
}

func (d *drawing) line(text string) {
	d.WriteString(strings.Repeat("  ", d.depth))
	d.WriteString(text)
	d.WriteByte('\n')
}

// A notation is how one of the languages writes what a flowchart is made of.
type notation interface {
	step(id string, s StepPlan, became string) string
	open(id string, s StepPlan) string
	shut() string
	arrow(from, to string, when bool) string
	legend() []string // how what became of a step is shown
}

// An end is where arrows of a part of a drawing begin or end.
type ends struct{ first, last []string }

// sequence draws steps below one another.
func (d *drawing) sequence(prefix string, plan []StepPlan, in notation) (all ends) {
	for i, s := range plan {
		e := d.step(prefix, s, in)
		if i == 0 {
			all.first = e.first
		}
		d.arrows(all.last, e.first, s.When, in)
		all.last = e.last
	}
	return all
}

func (d *drawing) arrows(from, to []string, when bool, in notation) {
	for _, f := range from {
		for _, t := range to {
			d.line(in.arrow(f, t, when))
		}
	}
}

// step draws one step, a group as a box around its own.
func (d *drawing) step(prefix string, s StepPlan, in notation) (e ends) {
	prefix += s.Name
	id := "n" + strconv.Itoa(d.nodes)
	d.nodes++
	if len(s.Children) == 0 {
		d.line(in.step(id, s, d.became[prefix]))
		return ends{[]string{id}, []string{id}}
	}
	d.line(in.open(id, s))
	d.depth++
	if s.Kind == KindParallel {
		for _, c := range s.Children {
			one := d.step(prefix+"/", c, in)
			e.first, e.last = append(e.first, one.first...), append(e.last, one.last...)
		}
	} else {
		e = d.sequence(prefix+"/", s.Children, in)
	}
	d.depth--
	d.line(in.shut())
	return e
}

// label is what stands in a box.
func label(s StepPlan) string {
	text := s.Name
	switch s.Kind {
	case KindDo, KindParallel, KindSub:
	case KindAwait, KindSleep, KindForEach:
		text += " (" + string(s.Kind) + ")"
	}
	switch {
	case s.Pivot:
		text += " (pivot)"
	case s.Undo:
		text += " (undo)"
	}
	return text
}

// mermaid is the language of https://mermaid.js.org.
type mermaid struct{}

func (mermaid) step(id string, s StepPlan, became string) string {
	left, right := "[", "]"
	switch {
	case s.Pivot:
		left, right = "{{", "}}"
	case s.Kind == KindAwait || s.Kind == KindSleep:
		left, right = "([", "])"
	}
	if became != "" {
		right += ":::" + became
	}
	return id + left + core.MermaidText(label(s)) + right
}

func (mermaid) legend() []string {
	return []string{
		"classDef applied fill:#cfc", "classDef undone fill:#eee,stroke-dasharray:4",
		"classDef failed fill:#fcc", "classDef open fill:#ffc",
	}
}

func (mermaid) open(id string, s StepPlan) string {
	return "subgraph " + id + "[" + core.MermaidText(label(s)) + "]"
}

func (mermaid) shut() string { return "end" }

func (mermaid) arrow(from, to string, when bool) string {
	if when {
		return from + " -. when .-> " + to
	}
	return from + " --> " + to
}

// dot is the language of https://graphviz.org.
type dot struct{}

func (dot) step(id string, s StepPlan, became string) string {
	shape := "box"
	switch {
	case s.Pivot:
		shape = "hexagon"
	case s.Kind == KindAwait || s.Kind == KindSleep:
		shape = "oval"
	}
	color := map[string]string{"applied": "palegreen", "undone": "lightgrey", "failed": "salmon", "open": "khaki"}[became]
	if color != "" {
		shape += ", style=filled, fillcolor=" + color
	}
	return id + " [shape=" + shape + ", label=" + core.DOTText(label(s)) + "];"
}

func (dot) legend() []string { return nil }

func (dot) open(id string, s StepPlan) string {
	return "subgraph cluster_" + id + " { label=" + core.DOTText(label(s)) + ";"
}

func (dot) shut() string { return "}" }

func (dot) arrow(from, to string, when bool) string {
	if when {
		return from + " -> " + to + " [style=dashed, label=\"when\"];"
	}
	return from + " -> " + to + ";"
}
