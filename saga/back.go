package saga

import (
	"context"
	"time"

	"github.com/mainstay-go/mainstay/saga/internal/core"
)

// undoAll undoes what is done, latest first, and sets next to how far that has come. A
// compensation that calls runtime.Goexit ends this goroutine, but not before the rest is
// undone: what has been tried is in the marks.
func (r *run) undoAll(g *term, f *frame, next *flow) {
	returned := false
	defer func() {
		if !returned {
			r.undoAll(g, f, next)
		}
	}()
	*next = r.undoFrame(g, f)
	returned = true
}

// undoFrame undoes the steps of a frame, each before the one before it begins.
func (r *run) undoFrame(g *term, f *frame) (next flow) {
	for i := len(f.marks) - 1; i >= 0; i-- {
		one := r.undo(g, f, i)
		if one == stuck && r.keepUndoing() {
			next = stuck
			continue
		}
		if one != onward {
			return one
		}
	}
	return next
}

// keepUndoing reports whether a compensation that failed holds up no other one.
func (r *run) keepUndoing() bool { return r.journal == nil || r.prog.keepUndoing }

// undo undoes one step.
func (r *run) undo(g *term, f *frame, i int) flow {
	n, m := &f.nodes[i], &f.marks[i]
	switch n.kind {
	case KindDo, KindAwait:
		switch {
		case n.due(m):
			return r.compensate(g, f, i)
		case m.undo == undoFailed:
			return stuck
		}
	case KindSub:
		if len(m.kids) > 0 {
			return r.undoFrame(g, m.kids[0])
		}
	case KindForEach:
		return r.undoTogether(g, m.kids, n.width())
	case KindParallel:
		var kids []*frame
		next := onward
		for _, kid := range m.kids {
			if kid.marks[0].undo == undoFailed {
				next = stuck
			}
			if !kid.undoable() {
				continue
			}
			safely(func() { kid.state = f.prog.clone(f.state) }, func(p *PanicError) {
				if p == nil {
					kids = append(kids, kid)
				} else {
					next = r.undoFailed(kid, 0, p)
				}
			})
		}
		return worse(next, r.undoTogether(g, kids, n.width()))
	case KindSleep:
	}
	return onward
}

// due reports whether an action is to be undone.
func (n *node) due(m *mark) bool {
	return n.undo != nil && m.undo == notUndone && (m.stage == applied || m.tainted)
}

// undoable reports whether there may be something to undo in a child of Parallel.
func (f *frame) undoable() bool {
	m := &f.marks[0]
	return f.nodes[0].due(m) || m.kids != nil && m.undo == notUndone
}

// undoTogether undoes frames, at most limit at a time, and waits for all. One that has
// to wait keeps its place.
func (r *run) undoTogether(g *term, kids []*frame, limit int) (next flow) {
	ended := make(chan ending, len(kids))
	running, waiting := 0, 0
	for len(kids) > 0 && running+waiting < limit || running > 0 {
		if len(kids) > 0 && running+waiting < limit {
			kid := kids[0]
			kids = kids[1:]
			running++
			kid.branch()
			go func() {
				e := ending{kid, stuck} // what a goroutine that exits has come to is in the marks
				defer func() { ended <- e }()
				r.undoAll(g, kid, &e.next)
			}()
			continue
		}
		e := <-ended
		running--
		e.kid.join()
		if e.next == parked {
			waiting++
		}
		next = worse(next, e.next)
	}
	return next
}

// worse is what two compensations at the same time come to: as long as one has to wait
// nothing before them is undone, even if the other one has failed.
func worse(a, b flow) flow {
	if a == parked && b == stuck || a == stuck && b == parked {
		return parked
	}
	return max(a, b)
}

// compensate makes attempts of a compensation until one succeeds, there is no
// further one, or it has to wait. It may begin where an earlier process, or a
// goroutine that has exited, has left it.
func (r *run) compensate(g *term, f *frame, i int) flow {
	n, m := &f.nodes[i], &f.marks[i]
	attempts := r.cfg.undoAttempts(&n.undoRetry)
	err, wake := m.latestUndo()
	for allows(attempts, m.undoTries) && !g.over() {
		if wake > 0 {
			rest := left(wake, r.time.now())
			if r.journal != nil && rest > 0 {
				return r.park(f, wake)
			}
			r.time.pause(g, rest)
			if g.over() {
				break
			}
		}
		if !r.begin(f, i, true) {
			return halt
		}
		t := r.measure()
		o := g.of(f)
		a := r.attempt(o, f, i, true)
		if a.outcome == Applied {
			m.undo = undone
			t.done(o, f, i, true, a, -1)
			r.recordUndone(f, i)
			return onward
		}
		if r.stopping() {
			return r.interrupted(f, i, true)
		}
		wait := r.missed(f, i, a)
		t.done(o, f, i, true, a, wait)
		if err, wake = m.latestUndo(); wait < 0 {
			break
		}
	}
	if r.stopping() {
		return halt
	}
	if err == nil {
		err = context.DeadlineExceeded
	}
	return r.undoFailed(f, i, err)
}

// missed decides what follows from an attempt of Undo that has failed: how long to wait for
// another one, negative if there is none.
func (r *run) missed(f *frame, i int, a answer) (wait time.Duration) {
	n, m := &f.nodes[i], &f.marks[i]
	wait = -1
	if allows(r.cfg.undoAttempts(&n.undoRetry), m.undoTries) && (a.outcome != Rejected || a.again) {
		if wait = a.after; wait == 0 {
			wait = r.cfg.undoWait(n.undoRetry, m.undoTries)
		}
	}
	d := m.detail()
	if d.undoErr, d.wake = a.err, 0; wait > 0 {
		d.wake = after(r.time.now(), wait)
	}
	r.recordUndoFailed(f, i, a.err, wait < 0, d.wake)
	return wait
}

// latestUndo is what the latest attempt of Undo said, be it made by another process or on
// a goroutine that it has ended, and when the next one is due.
func (m *mark) latestUndo() (err error, wake int64) { //nolint:staticcheck // it is no error of this function
	if d := m.more; d != nil && m.undoAttempt > 0 {
		return d.undoErr, d.wake
	}
	return nil, 0
}

// undoFailed notes a compensation that has failed for good.
func (r *run) undoFailed(f *frame, i int, err error) flow {
	m := &f.marks[i]
	m.undo = undoFailed
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failure.Undo = append(r.failure.Undo, UndoFailure{f.path(i), m.outcome(), int(m.undoAttempt), err})
	r.panicked = r.panicked || holdsPanic(err)
	return stuck
}

// encodeUndone encodes the state after an attempt of Undo. If it cannot be encoded the old
// one stays, as it does of a child of Parallel: what that writes is dropped.
func (r *run) encodeUndone(f *frame) {
	f.next = nil
	if f.up == nil || f.up.nodes[f.at].kind != KindParallel {
		_ = r.encode(f)
	}
}

// recordUndone records that a step is undone: its effect is, whatever becomes of the state.
func (r *run) recordUndone(f *frame, i int) {
	if r.journal == nil {
		return
	}
	r.encodeUndone(f)
	r.noteEnd(f, i, true, core.Event{Kind: core.UndoDone, Step: f.path(i), Attempt: int(f.marks[i].undoAttempt), Data: r.changed(f)})
}

// recordUndoFailed records an attempt of Undo that failed.
func (r *run) recordUndoFailed(f *frame, i int, err error, final bool, wake int64) {
	if r.journal == nil {
		return
	}
	m := &f.marks[i]
	r.encodeUndone(f)
	e := core.Event{Kind: core.UndoFailed, Step: f.path(i), Attempt: int(m.undoAttempt), Err: text(err), Final: final, Data: r.changed(f)}
	if wake > 0 {
		e.Wake = r.time.date(wake)
	}
	d := m.detail()
	if d.brief && !final && e.Data == nil && d.crashes == 0 {
		d.brief, e.Brief, r.untold = false, true, true
		r.note(e)
		return
	}
	d.crashes = 0
	r.noteEnd(f, i, true, e)
}
