package saga

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxName  = 128
	nameRule = `1 to 128 bytes of printable UTF-8 without "/"`
)

func validName(s string) bool {
	return s != "" && len(s) <= maxName && utf8.ValidString(s) && !strings.Contains(s, "/") &&
		strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// check tells everything that is wrong with a program, and notes what there is
// in it.
func (p *program) check() error {
	c := checker{prog: p}
	c.problems.check(validName(p.name), "Name", p.name, nameRule)
	if len(p.nodes) == 0 {
		c.problems.check(false, "Steps", words("empty"), "at least one step")
	}
	c.sequence("Steps", p.nodes, scope{})
	c.retired(p.retired)
	if len(c.problems) == 0 {
		return nil
	}
	return fmt.Errorf("saga: New(%s): %w", quoted(p.name), errors.Join(c.problems...))
}

// A checker goes through the steps in the order in which they run.
type checker struct {
	problems problems
	prog     *program
	pivot    string // where the pivot is; "": none so far
}

// A scope is where a step stands.
type scope struct {
	group Kind // that it is a child of, KindParallel or KindForEach; "": it is in a sequence
}

// sequence checks siblings.
func (c *checker) sequence(field string, nodes []node, in scope) {
	names := make(map[string]bool)
	for i := range nodes {
		n := &nodes[i]
		at := place(field, i, n.name)
		c.problems.check(validName(n.name), at+".Name", n.name, nameRule)
		c.once(names, at, n)
		c.node(at, n, in)
	}
	if in.group != "" || field != "Steps" {
		return
	}
	for i := range c.prog.retired {
		c.once(names, place("Retired", i, c.prog.retired[i].name), &c.prog.retired[i])
	}
}

// once checks that a name stands for one step, now and in the past.
func (c *checker) once(names map[string]bool, at string, n *node) {
	use := func(field, name string) {
		c.problems.check(!names[name], at+"."+field, name, "a name used once among siblings, Was and Retired")
		names[name] = true
	}
	use("Name", n.name)
	for _, was := range n.was {
		c.problems.check(validName(was), at+".Was", was, nameRule)
		use("Was", was)
	}
}

// place says where a step stands, for people.
func place(field string, i int, name string) string {
	return field + "[" + strconv.Itoa(i) + "] " + quoted(name)
}

// node checks one step.
func (c *checker) node(at string, n *node, in scope) {
	p := &c.problems
	switch {
	case n.kinds == 0:
		p.check(false, at, words("of no kind"), "Do, Parallel, Await, Sleep, SleepUntil, Sub or ForEach")
		return
	case n.kinds > 1:
		p.check(false, at, words("of several kinds"), "one of Do, Parallel, Await, Sleep, SleepUntil, Sub and ForEach")
		return
	case n.special != nil && n.special.bad != nil:
		*p = append(*p, fmt.Errorf("%s: %w", at, n.special.bad))
		return
	}
	n.retry.check(p, at+".Retry")
	n.undoRetry.check(p, at+".UndoRetry")
	p.check((in.group == KindParallel) == (n.merge != nil), at+".Merge", presence(n.merge != nil), "one for children of Parallel, and for no others")
	c.unused(at, n)
	c.irreversible(at, n, in)
	switch n.kind {
	case KindParallel:
		if len(n.children) == 0 {
			p.check(false, at+".Parallel", words("empty"), "at least one step")
		}
		p.check(c.prog.sharing == "", "Clone", words("nil"), "one, because copies of the state of "+quoted(n.name)+" would share "+c.prog.sharing)
		c.sequence(at+".Parallel", n.children, scope{KindParallel})
	case KindSub, KindForEach:
		c.prog.awaits = c.prog.awaits || n.special.sub.awaits
	case KindAwait:
		c.prog.awaits = true
	case KindDo, KindSleep:
	}
}

// presence is whether a function is there, for people.
func presence(is bool) words {
	if is {
		return "set"
	}
	return "nil"
}

// unused checks that nothing is set which the kind of a step does not use.
func (c *checker) unused(at string, n *node) {
	action := n.kind == KindDo || n.kind == KindAwait
	for _, f := range []struct {
		name string
		set  bool
		used bool
	}{
		{"Undo", n.undo != nil, action},
		{"Probe", n.probe != nil, action},
		{"Classify", n.ownClassify, action},
		{"Retry", n.retry != Retry{}, action},
		{"UndoRetry", n.undoRetry != Retry{}, action},
		{"Timeout", n.timeout != 0, action},
		{"UndoTimeout", n.undoTimeout != 0, action},
		{"Pivot", n.pivot, action},
		{"ReadOnly", n.readOnly, action},
		{"Limit", n.limit != 0, n.kind == KindParallel || n.kind == KindForEach},
	} {
		c.problems.check(f.used || !f.set, at+"."+f.name, words("set"), "it left zero, as a step of kind "+string(n.kind)+" does not use it")
	}
}

// irreversible checks what has to do with the pivot. A saga within counts as if
// its steps stood in its place.
func (c *checker) irreversible(at string, n *node, in scope) {
	p := &c.problems
	if n.kind != KindDo && n.kind != KindAwait {
		n = &node{kind: n.kind, special: n.special} // what else is set, is not used
	}
	p.check(!n.readOnly || !n.pivot, at+".ReadOnly", words("set"), "no Pivot beside it, which is nothing without an effect")
	p.check(!n.readOnly || n.undo == nil, at+".ReadOnly", words("set"), "no Undo beside it, as there is nothing to undo")
	pivots, undoes := n.pivot, n.undo != nil
	if n.special != nil && n.special.sub != nil {
		pivots, undoes = n.special.sub.pivots, n.special.sub.undoes
	}
	p.check(c.pivot == "" || !undoes, at+".Undo", words("set"), "none after the pivot "+c.pivot+", from which a run only goes forward")
	p.check(!n.pivot || n.undo == nil, at+".Undo", words("set"), "none on the pivot, from which a run only goes forward")
	c.prog.undoes = c.prog.undoes || undoes
	if !pivots {
		return
	}
	c.prog.pivots = true
	group := in.group
	if n.kind == KindForEach {
		group = KindForEach
	}
	p.check(group == "", at+".Pivot", words("set"), "none within "+string(group)+", where one child would decide for all")
	p.check(c.pivot == "", at+".Pivot", words("set"), "one pivot, and there is "+c.pivot)
	c.pivot = at
}

// retired checks steps that are gone.
func (c *checker) retired(nodes []node) {
	for i := range nodes {
		n := &nodes[i]
		at := place("Retired", i, n.name)
		p := &c.problems
		p.check(validName(n.name), at+".Name", n.name, nameRule)
		n.undoRetry.check(p, at+".UndoRetry")
		set := n.kinds > 0 || n.probe != nil || n.when != nil || n.merge != nil || n.retry != Retry{} || n.timeout != 0 || n.pivot || n.readOnly || n.limit != 0
		p.check(!set, at, words("more than retired"), "Name, Was, Undo, UndoRetry, UndoTimeout and Classify alone")
	}
}
