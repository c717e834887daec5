package sagatest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// CheckLaw checks the journal of a run against the law of sagas, guarantee G4 of
// package saga: with actions T and compensations C a run that has ended is T1..Tn, or
// T1..Tj Cj..C1 and goes back before its pivot only; a C may also be for a step that
// is tainted, steps without Undo leave gaps, and within groups any order is lawful that
// respects the children's own. What is stuck or under way is the beginning of such a
// history. What an operator has skipped counts as done, or as undone, and what could
// not be undone before an operator came may be undone after what is earlier. The error
// names the events.
func CheckLaw(plan []saga.StepPlan, rec *durable.Record) error {
	if rec == nil {
		return errors.New("sagatest: nil Record")
	}
	l := law{
		plan: plan, done: map[string]int{}, undone: map[string]int{}, tainted: map[string]bool{}, off: map[string]bool{},
		failing: map[string]bool{}, late: map[string]bool{},
	}
	for _, e := range rec.Events {
		if err := l.event(e); err != nil {
			return fmt.Errorf("sagatest: event %d, %s %s: %w", e.N, e.Kind, e.Step, err)
		}
	}
	return l.ended(rec.Head.Status)
}

// A law is what has been seen of a run so far.
type law struct {
	plan    []saga.StepPlan
	done    map[string]int // which event it was, by path
	undone  map[string]int
	tainted map[string]bool
	off     map[string]bool
	failing map[string]bool // compensations
	late    map[string]bool // those that were failing when an operator came
	back    bool
	pivoted bool
	manned  bool // an operator came, who may have aborted it
}

func (l *law) event(e durable.Event) error {
	switch e.Kind {
	case "started", "done", "failed":
		if l.back {
			return errors.New("the run goes back already")
		}
	case "aborting":
		if l.pivoted {
			return errors.New("the pivot is applied")
		}
		l.back = true
	}
	if e.Kind == "operator" {
		l.manned = true
		for path := range l.failing {
			l.late[path] = true
		}
	}
	if e.Step == "" || e.Kind == "aborting" || e.Kind == "stuck" {
		return nil
	}
	s, ok := l.find(e.Step)
	if !ok {
		return errors.New("there is no such step")
	}
	switch e.Kind {
	case "started":
		l.tainted[e.Step] = l.tainted[e.Step] || !s.ReadOnly // unless its end says something else
	case "decided":
		l.off[e.Step] = e.Outcome == saga.Rejected
	case "failed":
		l.tainted[e.Step] = e.Tainted
	case "done":
		delete(l.tainted, e.Step)
		l.pivoted = l.pivoted || s.Pivot
		return l.once(e, l.done, func(other string) bool { return l.before(e.Step, other) })
	case "undo-started":
		if _, applied := l.done[e.Step]; !applied && !l.tainted[e.Step] {
			return errors.New("it was neither applied nor tainted")
		}
		if l.back = l.back || l.manned && !l.pivoted; !l.back {
			return errors.New("the run does not go back")
		}
	case "undo-failed":
		l.failing[e.Step] = true
	case "undo-done":
		delete(l.failing, e.Step)
		return l.once(e, l.undone, func(other string) bool { return l.before(other, e.Step) && !l.late[e.Step] })
	case "operator": // has skipped it
		if delete(l.failing, e.Step); l.back {
			l.undone[e.Step] = e.N
			return nil
		}
		delete(l.tainted, e.Step)
		l.done[e.Step], l.pivoted = e.N, l.pivoted || s.Pivot
	}
	return nil
}

// once notes what happens once to a step, and must not come after what wrong says.
func (l *law) once(e durable.Event, seen map[string]int, wrong func(other string) bool) error {
	if n, twice := seen[e.Step]; twice {
		return fmt.Errorf("so says event %d", n)
	}
	for other, n := range seen {
		if wrong(other) {
			return fmt.Errorf("it comes after that of %s, event %d", other, n)
		}
	}
	seen[e.Step] = e.N
	return nil
}

// ended checks that nothing is missing at the end.
func (l *law) ended(status saga.Status) error {
	switch status {
	case saga.Completed:
		if path := l.missing("", l.plan); path != "" {
			return fmt.Errorf("sagatest: the run is completed, and %s is not done", path)
		}
		if l.back {
			return errors.New("sagatest: the run is completed, and went back")
		}
	case saga.Compensated:
		for _, paths := range []map[string]bool{l.tainted, keys(l.done)} {
			for path, is := range paths {
				s, _ := l.find(path)
				if _, undone := l.undone[path]; is && s.Undo && !undone {
					return fmt.Errorf("sagatest: the run is compensated, and %s is not undone", path)
				}
			}
		}
	default:
	}
	return nil
}

func keys(m map[string]int) map[string]bool {
	all := make(map[string]bool, len(m))
	for k := range m {
		all[k] = true
	}
	return all
}

// missing is a step of a sequence or group that is not done, though it was not left
// out. What is within an item is the item's.
func (l *law) missing(prefix string, plan []saga.StepPlan) string {
	for _, s := range plan {
		path := prefix + s.Name
		if l.off[path] {
			continue
		}
		if _, done := l.done[path]; !done && !s.When {
			return path
		}
		if s.Kind == saga.KindSub || s.Kind == saga.KindParallel {
			if path := l.missing(path+"/", s.Children); path != "" {
				return path
			}
		}
	}
	return ""
}

// find finds the step of a path.
func (l *law) find(path string) (saga.StepPlan, bool) {
	plan := l.plan
	names := strings.Split(path, "/")
	for {
		i := index(plan, names[0])
		if i < 0 {
			return saga.StepPlan{}, false
		}
		s := plan[i]
		if names = names[1:]; s.Kind == saga.KindForEach && len(names) > 0 {
			names = names[1:] // the number of the item
		}
		if len(names) == 0 {
			return s, true
		}
		plan = s.Children
	}
}

func index(plan []saga.StepPlan, name string) int {
	for i, s := range plan {
		if s.Name == name {
			return i
		}
	}
	return -1
}

// before reports whether one step has to come before another one.
func (l *law) before(a, b string) bool {
	plan, ordered := l.plan, true
	x, y := strings.Split(a, "/"), strings.Split(b, "/")
	for len(x) > 0 && len(y) > 0 {
		if x[0] != y[0] {
			return ordered && index(plan, x[0]) < index(plan, y[0])
		}
		s := plan[index(plan, x[0])]
		x, y = x[1:], y[1:]
		if s.Kind == saga.KindForEach && len(x) > 0 && len(y) > 0 {
			if x[0] != y[0] {
				return false
			}
			x, y = x[1:], y[1:]
		}
		plan, ordered = s.Children, s.Kind != saga.KindParallel
	}
	return len(x) > len(y) // what is within is done before the group is
}
