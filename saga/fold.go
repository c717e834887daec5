package saga

import (
	"errors"
	"fmt"
	"slices"

	"github.com/mainstay-go/mainstay/saga/internal/core"
)

// changedError is what is wrong with a definition that has no place for what was
// recorded.
type changedError struct{ path, why string }

func (e *changedError) Error() string {
	return fmt.Sprintf("saga: the definition has changed: %s %s", quoted(e.path), e.why)
}

// fold brings a run to where its journal ends. What an operator and others have
// said counts from the event on that says it.
func (r *run) fold(events []core.Event) error {
	for i := range events {
		e := &events[i]
		if err := r.apply(e); err != nil {
			return fmt.Errorf("event %d, %s: %w", i+1, e.Kind, err)
		}
	}
	if r.frame.state == nil {
		return errors.New("saga: the journal does not begin with a state")
	}
	r.settleGaps(&r.frame)
	return nil
}

// apply does one event to the run.
func (r *run) apply(e *core.Event) error {
	switch e.Kind {
	case core.Created:
		r.begun, r.status = r.since(e.At), Running
		return r.frame.load(e.Data)
	case core.Aborting:
		r.undoing, r.status = true, Compensating
		r.failure = &Error{Saga: r.prog.name, Run: r.name(), Step: e.Step, Outcome: Outcome(e.Outcome), Err: pastError(e.Err)}
		return nil
	case core.Stuck:
		r.status = Stuck
		if r.failure == nil {
			r.failure = &Error{Saga: r.prog.name, Run: r.name(), Step: e.Step, Outcome: Outcome(e.Outcome), Err: pastError(e.Err)}
		}
		r.failure.Status, r.failure.Reason = Stuck, Reason(e.Reason)
		return nil
	case core.Operator:
		return r.operated(e)
	case core.Signal: // which may come before its step is reached
		path := r.prog.Present(e.Step)
		if _, twice := r.signals[path]; !twice {
			if r.signals == nil {
				r.signals = make(map[string][]byte)
			}
			r.signals[path] = e.Data
		}
		return nil
	case core.Ended:
		r.status = Status(e.Status)
		if r.failure != nil {
			r.failure.Status = r.status
		}
		return nil
	case core.Started, core.Done, core.Failed, core.Interrupted, core.Decided, core.UndoStarted, core.UndoDone, core.UndoFailed, core.Waiting:
		f, i, err := r.locate(e.Step)
		if err != nil {
			return err
		}
		return r.applyTo(f, i, e)
	}
	return fmt.Errorf("saga: unknown kind %s", quoted(string(e.Kind)))
}

// applyTo does an event of a step.
func (r *run) applyTo(f *frame, i int, e *core.Event) error {
	n, m := &f.nodes[i], &f.marks[i]
	switch e.Kind {
	case core.Started, core.Done, core.Failed, core.Decided, core.Waiting:
		if e.Of != f.of(i) {
			return &changedError{e.Step, "is of another kind"}
		}
	default:
	}
	if !r.lawful(n, m, e) {
		return errNonsense
	}
	if e.Data != nil {
		if err := f.load(e.Data); err != nil {
			return err
		}
	}
	switch e.Kind {
	case core.Started:
		if m.began(int32(e.Attempt), false); n.pivot { // it may be applied from now on
			r.depart()
			r.doubt = true
		}
	case core.Done:
		if n.pivot != e.Pivot {
			return &changedError{e.Step, "is the pivot no more, or only now"}
		}
		r.settle(n, m)
		m.more.open, m.more.crashes = false, 0
		f.settledIn()
	case core.Failed:
		d := m.detail()
		d.open, d.crashes, d.final, d.outcome, d.err = false, 0, e.Final, Outcome(e.Outcome), pastError(e.Err)
		d.wake = r.until(e.Wake)
		d.said = e.Tainted
		if m.tainted = e.Tainted; m.tainted {
			r.taint(n, m)
		} else if n.pivot {
			r.doubt = false
		}
		if e.Final {
			f.settledIn()
		}
	case core.Interrupted:
		if !m.more.open && !m.more.undoOpen { // nor was its beginning recorded
			m.began(int32(e.Attempt), m.undoTries >= enough)
		}
		r.crashed(n, m)
		if e.Verb == verbStop {
			m.more.crashes--
		}
	case core.Decided:
		return r.decided(f, i, e)
	case core.UndoStarted:
		m.began(int32(e.Attempt), true)
	case core.UndoDone:
		m.undo, m.detail().undoOpen = undone, false
	case core.UndoFailed:
		d := m.detail()
		d.undoOpen, d.crashes, d.undoErr, d.wake = false, 0, pastError(e.Err), r.until(e.Wake)
		if e.Final {
			if r.failure == nil {
				return errors.New("saga: nothing was to be undone")
			}
			m.undo = undoFailed
			r.failure.Undo = append(r.failure.Undo, UndoFailure{f.path(i), m.outcome(), int(m.undoAttempt), d.undoErr})
		}
	case core.Waiting:
		d := m.detail()
		d.reached, d.waits = r.since(e.At), true
		if d.wake = r.until(e.Wake); d.wake == 0 {
			d.wake = never
		}
	default:
	}
	return nil
}

var errNonsense = errors.New("it makes no sense after the others")

// lawful reports whether an event can follow those before it.
func (r *run) lawful(n *node, m *mark, e *core.Event) bool {
	d := m.more
	switch e.Kind {
	case core.Started:
		return !r.undoing && m.stage < off && !d.open
	case core.Done: // an attempt may have been under way when the run was aborted
		return m.stage < off && (d.open || m.tainted || !r.undoing && e.Attempt == 0)
	case core.Failed:
		return d.open || m.tainted
	case core.Interrupted:
		return d.open || d.undoOpen ||
			m.undoTries >= enough && int32(e.Attempt) > m.undoAttempt || m.tries >= enough && int32(e.Attempt) > m.attempt
	case core.Decided:
		return !r.undoing && (m.kids == nil || e.Final) && (m.stage == fresh || m.stage == chosen && e.Items != nil)
	case core.UndoStarted:
		return r.undoing && n.due(m) && !d.undoOpen
	case core.UndoDone, core.UndoFailed:
		return r.undoing && d.undoOpen
	case core.Waiting:
		return !r.undoing && m.stage < off && (n.kind == KindAwait || n.kind == KindSleep)
	default:
		return true
	}
}

// crashed notes that the process ended within an attempt, which does not count.
func (r *run) crashed(n *node, m *mark) {
	d := m.detail()
	d.crashes++
	if d.undoOpen {
		d.undoOpen, m.undoTries = false, m.undoTries-1
		return
	}
	d.open, m.tries, d.outcome = false, m.tries-1, Unknown
	r.taint(n, m)
	d.said = m.tainted
}

// began notes that an attempt has begun. After many failures those before it need not
// have been recorded.
func (m *mark) began(attempt int32, undo bool) {
	d := m.detail()
	at, tries, open := &m.attempt, &m.tries, &d.open
	if undo {
		at, tries, open = &m.undoAttempt, &m.undoTries, &d.undoOpen
	}
	more := int32(1)
	if *tries >= enough {
		more = attempt - *at
	}
	*at, *tries, *open, d.wake = attempt, *tries+more, true, 0
}

// catchUp does what only the head of a run tells: how often a step was tried after so many
// failures that no more of them were recorded.
func (r *run) catchUp(l core.Latest) {
	f, i, err := r.locate(l.Step)
	if l.Step == "" || err != nil {
		return
	}
	m, attempt := &f.marks[i], int32(l.Attempt)
	undo := r.undoing && m.undoAttempt > 0
	at, tries := &m.attempt, m.tries
	if undo {
		at, tries = &m.undoAttempt, m.undoTries
	}
	switch {
	case attempt <= *at:
	case tries < enough: // since an operator has given it new ones
		*at = attempt
	default:
		m.began(attempt, undo)
		if r.untold = !l.InFlight; r.untold {
			m.more.open, m.more.undoOpen, m.more.wake = false, false, r.until(l.Wake)
		}
	}
}

// decided does what was decided about a step before it began.
func (r *run) decided(f *frame, i int, e *core.Event) error {
	n, m := &f.nodes[i], &f.marks[i]
	if e.Final { // its children are merged, and it has failed
		m.more.order = nil
		return nil
	}
	if e.Items == nil && (n.special == nil || n.special.sub == nil || e.Outcome != 0) {
		if m.stage = chosen; Outcome(e.Outcome) == Rejected {
			m.stage = off
		}
		return nil
	}
	if n.special == nil || n.special.sub == nil || n.kind == KindSub && len(e.Items) != 1 {
		return errNonsense
	}
	m.kids = make([]*frame, len(e.Items))
	for k, data := range e.Items {
		elem := k
		if n.kind == KindSub {
			elem = -1
		}
		m.kids[k] = f.child(i, n.special.sub, n.special.sub.nodes, nil, elem)
		m.kids[k].begun = r.since(e.At)
		if err := m.kids[k].load(data); err != nil {
			return err
		}
	}
	return nil
}

// load makes data the state of a frame.
func (f *frame) load(data []byte) error {
	state := f.prog.fresh()
	if err := f.prog.codec.Unmarshal(data, state); err != nil {
		return err
	}
	if f.state != nil && f.up == nil {
		f.prog.assign(f.state, state) // whoever waits has it
	} else {
		f.state = state
	}
	f.saved = data
	return nil
}

// settledIn notes the order in which the children of a group have settled.
func (f *frame) settledIn() {
	if f.up != nil && f.up.nodes[f.at].kind == KindParallel {
		d := f.up.marks[f.at].detail()
		if !slices.Contains(d.order, f) {
			d.order = append(d.order, f)
		}
	}
}
