package eventbus

import "context"

// A host is where a subscription is registered.
type host interface {
	// remove has the subscription get no more events; forget drops it once it
	// is done. Both are called without locks, and more than once.
	remove(s *Subscription)
	forget(s *Subscription)
}

// An aftermath is what is left to do without locks when a subscription lost
// events, failed at one or ended while a lock was held. The zero aftermath is
// nothing.
type aftermath struct {
	sub               *Subscription
	info              *topicInfo
	lagged, discarded uint64
	failure           *Failure
	host              host    // to remove it from
	lines             []*line // that need not wait for it any more
	finish            bool    // nothing of it runs
}

// due reports whether there is anything to do.
func (a *aftermath) due() bool {
	return a.sub != nil && (a.failure != nil || a.host != nil || len(a.lines) > 0 || a.finish ||
		a.sub.bus.hooks.Dropped != nil)
}

// settle does what others may be waiting for. It calls nothing of the user's.
func (a *aftermath) settle() {
	if a.sub == nil {
		return
	}
	retry(a.lines)
	if a.host != nil {
		a.host.remove(a.sub)
	}
	if a.finish {
		a.sub.finish()
	}
}

// tell does the rest, which may take its time: hooks and dead letters.
func (a *aftermath) tell(ctx context.Context) {
	if a.sub == nil {
		return
	}
	if a.failure != nil {
		defer a.sub.failedEarly(ctx, a.info, a.failure) // even if a hook ends the goroutine
	}
	a.sub.lost(a.lagged, a.discarded, a.info)
}

func (a *aftermath) run(ctx context.Context) {
	a.settle()
	a.tell(ctx)
}

// runAll deals with several.
func runAll(ctx context.Context, after []aftermath) {
	for i := range after {
		after[i].settle()
	}
	each(after, func(a *aftermath) { a.tell(ctx) })
}

// each calls f for every element. One that ends the goroutine keeps no other from
// its turn.
func each[E any](list []E, f func(*E)) {
	if len(list) == 0 {
		return
	}
	next := 0
	defer func() {
		if next < len(list) {
			each(list[next:], f)
		}
	}()
	for next < len(list) {
		next++
		f(&list[next-1])
	}
}

// failedEarly deals with an event that failed before it reached the queue.
func (s *Subscription) failedEarly(ctx context.Context, info *topicInfo, f *Failure) {
	if dead := info.deadLetters(s.dead); dead != nil {
		defer bury(ctx, dead, *f) // even if the hook ends the goroutine
	}
	if hook := s.bus.hooks.Failed; hook != nil {
		info.contain(func() { hook(ctx, *f) })
	}
}
