package registry

import (
	"sync"
	"sync/atomic"
)

// A roster is the members of one service, and who waits for them to change. It
// is in Registry.rosters from the first instance or waiter until the last one
// has left; then it is released and never used again.
//
// Writers hold mu and publish a new view; readers only load it. A verb locks,
// which makes expire what is due, checks, changes members, publishes, unlocks,
// and only then runs hooks.
type roster struct {
	reg    *Registry
	name   string
	handle Service // what Registry.Service gives out

	// view is nil before the roster is in use and after it was released.
	view atomic.Pointer[Snapshot]

	// due is the earliest instant, in lease time, at which something may have
	// to expire; never if nothing has a term. Readers compare it with the clock
	// before they use view, and read no clock if it is never; see Snapshot for the
	// order.
	due atomic.Int64

	slot slot // guarded by the schedule

	// mu guards the fields below.
	mu       sync.Mutex
	now      int64 // lease time when mu was taken
	alarm    int64 // what the schedule was told; due may be ahead of it, see publish
	released bool
	counted  bool // in Registry.services
	members  map[string]*member
	terms    expiry        // of claims that count
	shades   expiry        // of the others, which lapse unseen
	feeds    map[*feed]int // how many claims each has here
	waiters  map[latch]struct{}
	news     []func() // for the hooks, oldest first
	telling  bool     // somebody delivers news
}

func newRoster(reg *Registry, name string) *roster {
	r := &roster{
		reg: reg, name: name,
		slot:    slot{due: never, pos: none},
		members: make(map[string]*member),
		feeds:   make(map[*feed]int),
		waiters: make(map[latch]struct{}),
		terms:   expiry{rule: reg.rule},
		shades:  expiry{rule: preserveRule{share: -1}},
	}
	r.handle.reg, r.handle.name = reg, name
	r.handle.cur.Store(r)
	r.due.Store(never)
	r.alarm = never
	return r
}

// lock begins a critical section and makes expire what is due. It reports
// whether the roster is still in use; if not, it is not locked.
func (r *roster) lock() bool {
	r.mu.Lock()
	if r.released {
		r.mu.Unlock()
		return false
	}
	r.sweep()
	return true
}

// A voice says who runs the hooks after a critical section.
type voice bool

const (
	callers voice = true  // this goroutine: a verb is nothing without its hooks
	another voice = false // a goroutine made for it: reads never run hooks, and neither do timers, which would be late
)

// unlock ends a critical section.
func (r *roster) unlock(v voice) {
	switch owed := r.leave(); {
	case !owed:
	case v == callers:
		r.deliver()
	default:
		go r.deliver()
	}
}

// leave is unlock without the hooks; if it reports true, deliver has to follow.
func (r *roster) leave() (owed bool) {
	r.retime()
	if len(r.news) > 0 && !r.telling {
		r.telling, owed = true, true
		r.reg.crew.join()
	}
	r.release()
	r.mu.Unlock()
	return owed
}

// retime tells readers and the timer when to look at the terms again.
func (r *roster) retime() {
	due := r.nextDue()
	r.due.Store(due)
	if due != r.alarm {
		r.alarm = due
		r.reg.schedule.set(r, due)
	}
}

// nextDue is the earliest end of a term.
func (r *roster) nextDue() int64 { return min(r.terms.due(), r.shades.due()) }

// expire does what is due, for a read or a timer, and tells how many instances
// have left.
func (r *roster) expire(v voice) int {
	r.mu.Lock()
	n := 0
	if !r.released {
		n = r.sweep()
	}
	r.unlock(v)
	return n
}

// sweep removes what has expired and shows what is held, in one publish of its
// own: what the verb at hand changes is another change.
func (r *roster) sweep() (removed int) {
	r.now = r.reg.schedule.now()
	if r.nextDue() > r.now || r.reg.closed.Load() {
		return 0
	}
	var b batch
	for _, t := range r.shades.step(r.now).expired { // first: none of them can take over
		m := r.members[t.id]
		r.strike(m, m.of(t), nil, &b, ReasonWithdrawn)
	}
	out := r.terms.step(r.now)
	for _, t := range out.expired {
		m := r.members[t.id]
		c := m.claims[0] // only the terms of first claims lapse
		why := errLapsed
		if m.drain != nil {
			why = ErrLeaseLost // nobody brings back what was to leave
		}
		r.strike(m, c, why, &b, ReasonExpired)
		if len(m.claims) == 0 {
			removed++
		}
	}
	for _, t := range out.held {
		b.refresh(r.members[t.id])
	}
	r.publish(b)
	for _, t := range out.turns {
		r.preserved(t)
	}
	return removed
}

// release ends a roster that nobody needs: its name is free then.
func (r *roster) release() {
	if r.released || len(r.members) > 0 || len(r.waiters) > 0 || r.telling || len(r.news) > 0 {
		return
	}
	r.released = true
	r.reg.forget(r)
}
