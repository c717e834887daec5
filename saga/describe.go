package saga

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"

	"github.com/mainstay-go/mainstay/saga/internal/core"
)

// A StepPlan is a step as drawings and checkers see it.
type StepPlan struct {
	Name                        string
	Kind                        Kind
	Pivot, Undo, ReadOnly, When bool       // whether it has them
	Children                    []StepPlan // of Parallel, or the steps of the saga within
}

// Plan is a copy of the steps, for drawings and checkers; nil for a nil saga.
func (s *Saga[S]) Plan() []StepPlan {
	if s == nil || s.p == nil {
		return nil
	}
	return planOf(s.p.nodes)
}

func planOf(nodes []node) []StepPlan {
	plan := make([]StepPlan, len(nodes))
	for i := range nodes {
		n := &nodes[i]
		plan[i] = StepPlan{
			Name: n.name, Kind: n.kind,
			Pivot: n.pivot, Undo: n.undo != nil, ReadOnly: n.readOnly, When: n.when != nil,
		}
		switch {
		case n.children != nil:
			plan[i].Children = planOf(n.children)
		case n.special != nil && n.special.sub != nil:
			plan[i].Children = planOf(n.special.sub.nodes)
		}
	}
	return plan
}

// Fingerprint is a hash of what has to stay for runs that have begun: names, kinds
// and order of the steps, the pivot, and which have an Undo. "" for a nil saga.
func (s *Saga[S]) Fingerprint() string {
	if s == nil || s.p == nil {
		return ""
	}
	return s.p.Fingerprint()
}

func fingerprint(plan []StepPlan) string {
	var b strings.Builder
	write(&b, plan)
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:16])
}

// write writes a plan so that two differ if their texts do not: names are quoted.
func write(b *strings.Builder, plan []StepPlan) {
	for _, s := range plan {
		fmt.Fprintf(b, "%q %s %t %t (", s.Name, s.Kind, s.Pivot, s.Undo)
		write(b, s.Children)
		b.WriteString(") ")
	}
}

// Lint is advice about what is allowed and is seldom meant: a step that cannot be
// undone, and fields of the state that the engine would lose. Nil: nothing.
func (s *Saga[S]) Lint() []string {
	if s == nil || s.p == nil {
		return nil
	}
	var advice []string
	s.p.lint("", s.p.nodes, new(bool), &advice)
	if _, ok := s.p.codec.Codec.(jsonCodec); ok {
		for _, field := range lost(reflect.TypeFor[S](), "S", map[reflect.Type]bool{}) {
			advice = append(advice, field+" is unexported, so encoding/json loses it: the engine would forget it")
		}
	}
	return advice
}

// lint looks at steps in the order in which they run, up to the pivot.
func (p *program) lint(prefix string, nodes []node, pivoted *bool, advice *[]string) {
	for i := range nodes {
		n := &nodes[i]
		path := prefix + n.name
		switch n.kind {
		case KindDo, KindAwait:
			if n.pivot {
				*pivoted = true
			}
			if !*pivoted && n.undo == nil && !n.readOnly {
				*advice = append(*advice, quoted(path)+" has no Undo and is not ReadOnly: if the run goes back, what it did stays")
			}
		case KindParallel:
			p.lint(path+"/", n.children, pivoted, advice)
		case KindSub, KindForEach:
			p.lint(path+"/", n.special.sub.nodes, pivoted, advice)
		case KindSleep:
		}
	}
}

// lost are the unexported fields of a type that says nothing about its encoding.
func lost(t reflect.Type, path string, seen map[reflect.Type]bool) (fields []string) {
	if seen[t] {
		return nil
	}
	seen[t] = true
	for _, encodes := range []reflect.Type{reflect.TypeFor[interface{ MarshalJSON() ([]byte, error) }](), reflect.TypeFor[interface{ MarshalText() ([]byte, error) }]()} {
		if t.Implements(encodes) || reflect.PointerTo(t).Implements(encodes) {
			return nil
		}
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return lost(t.Elem(), path, seen)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			switch at := path + "." + f.Name; {
			case f.Tag.Get("json") == "-":
			case !f.IsExported() && !f.Anonymous:
				fields = append(fields, at)
			default:
				fields = append(fields, lost(f.Type, at, seen)...)
			}
		}
	default:
	}
	return fields
}

// Mermaid is a flowchart of the saga; "" for a nil one. Names are escaped.
func (s *Saga[S]) Mermaid() string {
	if s == nil || s.p == nil {
		return ""
	}
	return s.p.Draw(false, nil)
}

// DOT is the same for Graphviz.
func (s *Saga[S]) DOT() string {
	if s == nil || s.p == nil {
		return ""
	}
	return s.p.Draw(true, nil)
}

// Draw draws the saga with what has become of its steps.
func (p *program) Draw(inDOT bool, became map[string]string) string {
	d, in, begin, end := drawing{became: became}, notation(mermaid{}), "flowchart TD", ""
	if inDOT {
		in, begin, end = dot{}, "digraph "+core.DOTText(p.name)+" {", "}"
	}
	d.line(begin)
	d.depth++
	d.sequence("", planOf(p.nodes), in)
	if became != nil {
		for _, line := range in.legend() {
			d.line(line)
		}
	}
	d.depth--
	if end != "" {
		d.line(end)
	}
	return d.String()
}
