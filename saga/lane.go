package saga

import (
	"github.com/mainstay-go/mainstay/saga/internal/core"
)

// A lane is a goroutine that goes on with frames: that of the run, or of a child. It runs its
// hooks itself, so that none waits for those of another child.
type lane struct {
	owed []func() // what to tell when it is written
}

// lane is that of a frame; nil in memory.
func (f *frame) lane() *lane {
	for f.own == nil && f.up != nil {
		f = f.up
	}
	return f.own
}

// branch gives a frame that goes on by itself a lane of its own.
func (f *frame) branch() {
	if f.run.journal != nil {
		f.own = &lane{}
	}
}

// join takes over what a child that has ended has not told.
func (f *frame) join() {
	if f.own != nil {
		l := f.up.lane()
		l.owed = append(l.owed, f.own.owed...)
		f.own = nil
	}
}

// note collects an event. A run in memory has no journal, and its callers do not come here.
func (r *run) note(e core.Event) {
	e.At = r.time.source.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.events == nil {
		r.events = make([]core.Event, 0, 4) // of most writes
	}
	r.events = append(r.events, e)
}

// flush writes what was collected, and then runs the hooks of its lane. It reports whether
// that worked.
func (r *run) flush(l *lane) bool {
	if !r.writeNoted() {
		return false
	}
	owed := l.owed
	l.owed = nil
	for _, tell := range owed {
		tell()
	}
	return true
}

// writeNoted writes what was collected, one at a time.
func (r *run) writeNoted() bool {
	r.turn <- struct{}{} // rather than a mutex, so that a testing/synctest bubble sees the wait
	defer func() { <-r.turn }()
	r.mu.Lock()
	if r.severed != nil { // what is left is for who hears of that
		r.mu.Unlock()
		return false
	}
	events := r.events
	r.events, r.spare = r.spare, nil
	r.mu.Unlock()
	if len(events) > 0 {
		if err := r.journal.Append(events); err != nil {
			r.mu.Lock()
			r.severed = err
			r.mu.Unlock()
			return false
		}
		clear(events)
		r.mu.Lock()
		r.spare = events[:0]
		r.mu.Unlock()
	}
	return true
}

// tell runs a hook when what it is about is written.
func (f *frame) tell(hook func()) {
	l := f.lane()
	if l == nil {
		hook()
		return
	}
	l.owed = append(l.owed, hook)
}

// publish writes what was recorded of a step in a group at once: others may run for long.
func (r *run) publish(f *frame) {
	if r.journal != nil && f.up != nil && f.up.nodes[f.at].kind != KindSub {
		r.flush(f.lane())
	}
}
