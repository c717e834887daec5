package saga

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"time"
)

// A program is a compiled saga. It knows its state as an any that holds a pointer,
// so that the machinery exists once, whatever the type.
type program struct {
	name        string
	nodes       []node
	timeout     time.Duration
	codec       contained
	keepUndoing bool
	maxRunning  int
	retired     []node

	fresh func() any      // a pointer to a zero state
	clone func(s any) any // nil: no step needs copies

	assign func(dst, src any) // *dst = *src

	sharing string // a field by which copies of the state would share memory; "": none
	awaits  bool   // somewhere in it, as the other two
	pivots  bool
	undoes  bool

	usual RunConfig // of runs that have none of their own

	print string // its fingerprint

	plain int       // how many steps at the beginning are nothing but called, as long as all goes well
	flat  bool      // it is only actions: a run in memory is one goroutine and one frame
	idle  sync.Pool // runs of it that are over, if it is
}

// A node is a compiled step.
type node struct {
	name     string
	was      []string
	kind     Kind
	do       func(ctx context.Context, s any) error
	undo     func(ctx context.Context, s any) error
	probe    func(ctx context.Context, s any) (Outcome, error)
	when     func(s any) bool
	classify func(err error) error
	merge    func(dst, src any)
	special  *special

	retry, undoRetry     Retry // as given
	timeout, undoTimeout time.Duration
	pivot, readOnly      bool

	children []node
	limit    int

	kinds       int  // how many it claims to be of; one, once checked
	ownClassify bool // it is not that of the Spec
}

// compile makes the program of a spec, or tells all that is wrong with it.
func compile[S any](spec Spec[S]) (*program, error) {
	p := &program{
		name:        spec.Name,
		nodes:       nodesOf(spec.Steps, spec.Classify),
		timeout:     max(spec.Timeout, 0),
		codec:       contained{spec.Codec},
		keepUndoing: spec.KeepUndoing,
		maxRunning:  spec.MaxRunning,
		retired:     nodesOf(spec.Retired, spec.Classify),
		fresh:       func() any { return new(S) },
	}
	if spec.Codec == nil {
		p.codec = contained{jsonCodec{}}
	}
	if spec.Clone == nil {
		p.sharing = sharing(reflect.TypeFor[S](), "S")
	}
	p.clone = func(s any) any {
		c := *s.(*S)
		if spec.Clone != nil {
			c = spec.Clone(s.(*S))
		}
		return &c
	}
	p.plain = slices.IndexFunc(p.nodes, func(n node) bool {
		return n.kind != KindDo || n.pivot || n.when != nil || n.timeout > 0
	})
	switch {
	case p.timeout > 0:
		p.plain = 0
	case p.plain < 0:
		p.plain = len(p.nodes)
	}
	p.flat = !slices.ContainsFunc(p.nodes, func(n node) bool { return n.kind != KindDo })
	p.assign = func(dst, src any) { *dst.(*S) = *src.(*S) }
	if err := p.check(); err != nil {
		return nil, err
	}
	p.print = fingerprint(planOf(p.nodes))
	return p, nil
}

func nodesOf[S any](steps []Step[S], classify func(error) error) []node {
	nodes := make([]node, len(steps))
	for i, s := range steps {
		nodes[i] = nodeOf(s, classify)
	}
	return nodes
}

func nodeOf[S any](s Step[S], classify func(error) error) node {
	n := node{
		name: s.Name, was: slices.Clone(s.Was), special: s.special, limit: s.Limit,
		classify: s.Classify, ownClassify: s.Classify != nil,
		retry: s.Retry, undoRetry: s.UndoRetry, timeout: s.Timeout, undoTimeout: s.UndoTimeout,
		pivot: s.Pivot, readOnly: s.ReadOnly,
	}
	if n.classify == nil {
		n.classify = classify
	}
	if s.special != nil {
		n.kind = s.special.kind
		n.kinds++
	}
	if s.Parallel != nil {
		n.kind, n.children = KindParallel, nodesOf(s.Parallel, classify)
		n.kinds++
	}
	if s.Do != nil {
		n.kind = KindDo
		n.do = func(ctx context.Context, state any) error { return s.Do(ctx, state.(*S)) }
		n.kinds++
	}
	if s.Undo != nil {
		n.undo = func(ctx context.Context, state any) error { return s.Undo(ctx, state.(*S)) }
	}
	if s.Probe != nil {
		n.probe = func(ctx context.Context, state any) (Outcome, error) { return s.Probe(ctx, state.(*S)) }
	}
	if s.When != nil {
		n.when = func(state any) bool { return s.When(state.(*S)) }
	}
	if s.Merge != nil {
		n.merge = func(dst, src any) { s.Merge(dst.(*S), src.(*S)) }
	}
	return n
}

// sharing finds a field of a type by which assigned copies would share memory.
// Strings do not count, as nobody can change one, nor does a time.Time.
func sharing(t reflect.Type, path string) string {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Chan, reflect.Func, reflect.Interface, reflect.UnsafePointer:
		return path
	case reflect.Array:
		if t.Len() > 0 {
			return sharing(t.Elem(), path+"[0]")
		}
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return ""
		}
		for i := range t.NumField() {
			if found := sharing(t.Field(i).Type, path+"."+t.Field(i).Name); found != "" {
				return found
			}
		}
	default:
	}
	return ""
}
