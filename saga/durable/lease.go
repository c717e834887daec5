package durable

import (
	"sync"
	"time"
)

// A lease keeps a run claimed as long as it is executed, and ends the execution when
// it was not renewed in time. Every write renews it, so it only notes when that was: its
// one timer finds out what has come of that when it fires.
type lease struct {
	x *execution

	// mu guards the fields below.
	mu    sync.Mutex
	since time.Time   // when that was asked for which has renewed it
	turn  uint64      // number of the timer: what others do means nothing
	stop  func() bool // of that timer
	over  bool
}

// begin begins the first term, which was asked for at an instant.
func (l *lease) begin(at time.Time) {
	if l.x.e.cfg.Lease > 0 {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.since = at
		l.arm(l.x.e.cfg.Lease/3 - l.x.e.time.since(at))
	}
}

// renewed begins another term.
func (l *lease) renewed(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since = at
}

// arm has look called after d. mu is held.
func (l *lease) arm(d time.Duration) {
	if l.stop != nil {
		l.stop()
	}
	l.turn++
	turn := l.turn
	l.stop = l.x.e.time.afterFunc(d, func() { l.look(turn) })
}

// look does what is due: it renews after a third of the term, and ends the execution after
// all of it.
func (l *lease) look(turn uint64) {
	d := l.x.e.cfg.Lease
	l.mu.Lock()
	if l.over || l.turn != turn {
		l.mu.Unlock()
		return
	}
	passed := l.x.e.time.since(l.since)
	switch {
	case passed >= d:
		l.over = true
		l.mu.Unlock()
		l.x.kill(ErrFenced)
		return
	case passed < d/3:
		l.arm(d/3 - passed)
		l.mu.Unlock()
		return
	}
	l.arm(d - passed) // to renew it may take longer than that
	l.mu.Unlock()
	l.renew()
}

// renew writes the head as it is, if nothing else was written meanwhile.
func (l *lease) renew() {
	l.x.turn <- struct{}{}
	defer func() { <-l.x.turn }()
	if !l.due() {
		return
	}
	// An attempt that does not listen may go on for long after an operator has spoken, and
	// as long as it does nobody else may have the run.
	err := l.x.writeAnyway(nil)
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.x.e.cfg.Lease
	passed := l.x.e.time.since(l.since)
	switch {
	case l.over:
	case passed < d/3:
		l.arm(d/3 - passed)
	case err != nil: // once more, while there is time
		l.arm(min(d-passed, max(d/10, 1)))
	}
}

// due reports whether it is still to be renewed, after something else was written.
func (l *lease) due() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.x.e.cfg.Lease
	passed := l.x.e.time.since(l.since)
	if !l.over && passed < d/3 {
		l.arm(d/3 - passed)
	}
	return !l.over && passed >= d/3
}

// expired reports whether it is over, or lost.
func (l *lease) expired() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over
}

// end ends it, and waits until nothing of it is in the store any more.
func (l *lease) end() {
	l.mu.Lock()
	l.over = true
	if l.stop != nil {
		l.stop()
	}
	l.mu.Unlock()
	l.x.turn <- struct{}{}
	<-l.x.turn
}
