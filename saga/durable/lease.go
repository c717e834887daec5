package durable

import "sync"

// A lease keeps a run claimed as long as it is executed, and ends the execution when
// it was not renewed in time.
type lease struct {
	x *execution

	// mu guards the fields below.
	mu      sync.Mutex
	term    uint64 // number of the present term: timers of others do nothing
	stops   []func() bool
	over    bool
	started bool
}

// begin begins the first term.
func (l *lease) begin() {
	l.mu.Lock()
	l.started = true
	l.mu.Unlock()
	l.renewed()
}

// renewed begins a term.
func (l *lease) renewed() {
	d := l.x.e.cfg.Lease
	l.mu.Lock()
	defer l.mu.Unlock()
	if d < 0 || l.over || !l.started {
		return
	}
	l.term++
	l.stop()
	term := l.term
	l.stops = []func() bool{
		l.x.e.time.afterFunc(d/3, func() { l.renew(term) }),
		l.x.e.time.afterFunc(d, func() { l.expire(term) }),
	}
}

func (l *lease) stop() {
	for _, stop := range l.stops {
		stop()
	}
	l.stops = nil
}

func (l *lease) current(term uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.over && l.term == term
}

// renew writes the head as it is, which begins another term.
func (l *lease) renew(term uint64) {
	l.x.turn <- struct{}{}
	defer func() { <-l.x.turn }()
	if l.current(term) {
		_ = l.x.write(nil, func(*Head) {}) // if that fails the term goes on to its end
	}
}

// expire ends the execution.
func (l *lease) expire(term uint64) {
	if l.current(term) {
		l.x.end(ErrFenced)
	}
}

func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.stop()
}
