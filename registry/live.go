package registry

import "sync/atomic"

// Live is the live side of an instance: how it is now, and how many calls are
// under way, of all balancers of the process. Package balance counts by it;
// whoever chooses endpoints in another way does so too if [Lease.Drain] has to
// wait for the calls. It is safe for concurrent use, and nothing in it blocks or
// allocates.
type Live struct {
	// A call adds one to started when it begins and one to finished when it
	// ends. Two counters rather than one that goes up and down, because they
	// also tell the number of picks.
	started, finished atomic.Uint64

	// state is the health now. It is written under the lock of the roster,
	// before the view that shows it.
	state atomic.Uint32

	// idle is set while somebody drains the instance and wants to know when
	// calls end.
	idle atomic.Pointer[latch]

	// Neighbours in memory are other instances under load: two cache lines, as
	// processors fetch them in pairs.
	_ [128 - 32]byte
}

// A latch is a signal that stays until it is taken: one slot.
type latch chan struct{}

func newLatch() latch { return make(latch, 1) }

func (l latch) set() {
	select {
	case l <- struct{}{}:
	default:
	}
}

func (l *Live) set(h Health) { l.state.Store(uint32(h)) }

// Health is the health now. It is Down once the instance is gone or the
// registry is closed.
func (l *Live) Health() Health { return Health(l.state.Load()) }

// InFlight is how many tracked calls are under way now.
func (l *Live) InFlight() int {
	finished := l.finished.Load() // first, so that a call in between does not count as finished only
	return max(0, int(l.started.Load()-finished))
}

// Picks is how many tracked calls have begun.
func (l *Live) Picks() uint64 { return l.started.Load() }

// Acquire counts a call that begins, unless the health now is worse than
// worst, which usually is Warning; it reports whether it did. Every true has
// to be followed by one Release or Abandon.
//
// It counts first and looks at the health then, and a drain does it the other
// way round, so one of the two always sees the other: no call slips in between
// the last look of a drain and the removal.
func (l *Live) Acquire(worst Health) bool {
	l.started.Add(1)
	if l.Health() <= worst {
		return true
	}
	l.started.Add(^uint64(0))
	l.wake()
	return false
}

// Release counts a call that ends.
func (l *Live) Release() {
	l.finished.Add(1)
	l.wake()
}

// Abandon is Release for the cleanup of something that was dropped: it touches
// nothing but a counter, since cleanups run outside of every testing/synctest
// bubble, where waking a goroutine of one is fatal. A drain notices within a
// second.
func (l *Live) Abandon() { l.finished.Add(1) }

func (l *Live) wake() {
	if idle := l.idle.Load(); idle != nil {
		idle.set()
	}
}
