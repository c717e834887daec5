package saga

import (
	"fmt"
	"slices"

	"github.com/mainstay-go/mainstay/saga/internal/core"
)

// operated does what an operator wanted.
func (r *run) operated(e *core.Event) error {
	switch e.Verb {
	case "resume":
		if r.status = Running; r.undoing {
			r.status = Compensating
			r.failure.Status, r.failure.Reason, r.failure.Undo = Compensating, ReasonNone, nil
		} else {
			r.failure, r.insisted = nil, r.doubt
		}
		r.again(&r.frame)
	case "abort":
		r.undoing, r.status = true, Compensating
		r.failure = &Error{Saga: r.prog.name, Run: r.name(), Err: fmt.Errorf("aborted by %s: %s", e.By, e.Why)}
		r.doubt = false
	case "skip":
		f, i, err := r.locate(e.Step)
		if err != nil {
			return err
		}
		n, m := &f.nodes[i], &f.marks[i]
		if r.status = Running; r.undoing {
			m.undo, r.status = undone, Compensating
			m.more.undoOpen, m.more.crashes = false, 0
			r.failure.Status, r.failure.Reason = Compensating, ReasonNone
			r.failure.Undo = slices.DeleteFunc(r.failure.Undo, func(u UndoFailure) bool { return u.Step == e.Step })
			return nil
		}
		r.failure = nil
		r.settle(n, m)
	case "abandon":
		if r.status = Abandoned; r.failure != nil {
			r.failure.Status = Abandoned
		}
	default:
		return fmt.Errorf("saga: unknown verb %s", quoted(e.Verb))
	}
	return nil
}

// again gives the steps of a frame that have failed for good new attempts.
func (r *run) again(f *frame) {
	for i := range f.marks {
		m := &f.marks[i]
		if m.more != nil {
			m.more.final, m.more.crashes, m.more.undoOpen = false, 0, false
			m.more.waits = false // an Await may wait as long as at first
			if m.retrying() {
				m.more.wake = 0
			}
		}
		if m.stage < off {
			m.tries = 0
		}
		if m.undo == undoFailed {
			m.undo = notUndone
		}
		m.undoTries = 0
		for _, kid := range m.kids {
			r.again(kid)
		}
	}
}

// inFlight notes the attempts that were under way when the process ended, and
// reports the path of one during which that has happened too often.
func (r *run) inFlight(f *frame) (crashing string) {
	for i := range f.marks {
		n, m := &f.nodes[i], &f.marks[i]
		if d := m.more; d != nil && (d.open || d.undoOpen) {
			attempt := m.attempt
			if d.undoOpen {
				attempt = m.undoAttempt
			}
			r.note(core.Event{Kind: core.Interrupted, Step: f.path(i), Attempt: int(attempt)})
			if r.crashed(n, m); r.crashes > 0 && d.crashes >= r.crashes {
				crashing = f.path(i)
			}
		}
		for _, kid := range m.kids {
			if path := r.inFlight(kid); path != "" {
				crashing = path
			}
		}
	}
	return crashing
}

// retrying reports whether a step waits for another attempt.
func (m *mark) retrying() bool {
	return m.more != nil && m.more.wake > 0 && (m.attempt > 0 && m.stage < off || m.undoAttempt > 0 && m.undo == notUndone)
}

// retries reports whether one in a frame does.
func (f *frame) retries() bool {
	return slices.ContainsFunc(f.marks, func(m mark) bool {
		return m.retrying() || slices.ContainsFunc(m.kids, (*frame).retries)
	})
}
