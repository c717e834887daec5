package saga

import (
	"slices"
	"strconv"
	"strings"
)

// locate finds the step of a path.
func (r *run) locate(path string) (*frame, int, error) {
	f := &r.frame
	names := strings.Split(path, "/")
	for {
		i, err := r.find(f, names[0], path)
		if err != nil {
			return nil, 0, err
		}
		if names = names[1:]; len(names) == 0 {
			return f, i, nil
		}
		if f, names = f.below(i, names); f == nil {
			return nil, 0, &changedError{path, "is not there"}
		}
	}
}

// below is the frame of a child of step i.
func (f *frame) below(i int, names []string) (*frame, []string) {
	n, m := &f.nodes[i], &f.marks[i]
	switch n.kind {
	case KindParallel:
		if m.kids == nil {
			m.kids = f.children(i)
		}
		for _, kid := range m.kids {
			if kid.nodes[0].isCalled(names[0]) {
				return kid, names
			}
		}
	case KindSub:
		if len(m.kids) == 1 {
			return m.kids[0], names
		}
	case KindForEach:
		if k, err := strconv.Atoi(names[0]); err == nil && k >= 0 && k < len(m.kids) && len(names) > 1 {
			return m.kids[k], names[1:]
		}
	case KindDo, KindAwait, KindSleep:
	}
	return nil, nil
}

// isCalled reports whether a node has, or had, a name.
func (n *node) isCalled(name string) bool { return n.name == name || slices.Contains(n.was, name) }

// find finds a step of a frame by name. A retired one gets a place behind what has
// been met so far.
func (r *run) find(f *frame, name, path string) (int, error) {
	i := slices.IndexFunc(f.nodes, func(n node) bool { return n.isCalled(name) })
	if i < 0 && f.up == nil {
		k := slices.IndexFunc(f.prog.retired, func(n node) bool { return n.isCalled(name) })
		if k >= 0 {
			retired := f.prog.retired[k]
			retired.kind = KindDo
			i = f.met
			f.nodes = slices.Insert(slices.Clone(f.nodes), i, retired)
			f.marks = slices.Insert(slices.Clone(f.marks), i, mark{})
		}
	}
	if i < 0 {
		return 0, &changedError{path, "is not there"}
	}
	if i+1 < f.met && !f.marks[i].met() {
		return 0, &changedError{path, "has another place"}
	}
	f.met = max(f.met, i+1)
	if m := &f.marks[i]; f.nodes[i].name != name && (m.more == nil || m.more.was == "") {
		m.detail().was = name
	}
	f.marks[i].detail()
	return i, nil
}

// met reports whether anything was recorded of a step.
func (m *mark) met() bool { return m.more != nil }

// settleGaps leaves out the steps that stand before what has begun and were not
// there then.
func (r *run) settleGaps(f *frame) {
	for i := range f.marks {
		m := &f.marks[i]
		if i < f.met && !m.met() {
			m.stage = off
		}
		for _, kid := range m.kids {
			r.settleGaps(kid)
		}
	}
}
