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

// runAll deals with several. A hook that ends its goroutine keeps no other from
// its turn.
func runAll(ctx context.Context, after []aftermath) {
	if len(after) == 0 {
		return
	}
	next := 0
	defer func() {
		if next < len(after) {
			runAll(ctx, after[next:])
		}
	}()
	for next < len(after) {
		next++
		after[next-1].run(ctx)
	}
}

func (a *aftermath) run(ctx context.Context) {
	if a.sub == nil {
		return
	}
	if a.finish {
		defer a.sub.finish() // even if a hook ends the goroutine
	}
	retry(a.lines)
	if a.host != nil {
		a.host.remove(a.sub)
	}
	a.sub.lost(a.lagged, 0, a.info)
	a.sub.lost(0, a.discarded, a.info)
	if a.failure != nil {
		a.sub.failedEarly(ctx, a.info, a.failure)
	}
}

// failedEarly deals with an event that failed before it reached the queue.
func (s *Subscription) failedEarly(ctx context.Context, info *topicInfo, f *Failure) {
	if hook := s.bus.hooks.Failed; hook != nil {
		info.contain(func() { hook(ctx, *f) })
	}
	dead := s.dead
	if dead == nil {
		dead = info.dead
	}
	if dead != nil {
		bury(ctx, dead, *f)
	}
}
