package registry

import "time"

// Hooks observe a registry. Nil fields are skipped. They run outside all locks
// and may call the registry, but a Close in one would wait for itself until its
// context ends. Panics are contained, counted in Stats.Panics and reported to
// Fault.
//
// Change and Preservation of one service come in order of index, never two at
// a time, but those of different services may come at the same time: on the
// goroutine of the verb that caused them, on that of another verb of the same
// service which is still delivering, or, if a read or a timer noticed an
// expiry, on one that the registry makes for it.
type Hooks struct {
	// Change is told every change that snapshots show. InFlight of its records
	// is the number when the hook runs.
	Change func(Change)

	// Preservation is told when instances of a service begin to be kept beyond
	// their leases, and when none is kept any more.
	Preservation func(Preservation)

	// FeedState is told when a feed reaches its origin, loses it, or has records
	// refused, and when one ends that is connected (Err is the cause of its
	// context then), for one feed in order and never two at a time, on a
	// goroutine of that feed.
	FeedState func(FeedState)

	// Fault is told every contained panic and Goexit of a check, a source, a
	// backend or a hook, on the goroutine where it happened. One of Fault itself
	// is only counted.
	Fault func(*PanicError)
}

// A Change is that an instance came, changed or left.
type Change struct {
	Service string
	ID      string
	Index   uint64    // of the first snapshot that shows it; a batch has one for all
	At      time.Time // on Config.Clock
	Reason  Reason
	Before  *Endpoint // nil: it was not there
	After   *Endpoint // nil: it is there no more
}

// Preservation is a beginning or an end of self-preservation; see [Preserve].
type Preservation struct {
	Service string
	Active  bool
	Held    int // instances kept as Stale
	At      time.Time
}

// FeedState is how a feed does.
type FeedState struct {
	Name      string
	Connected bool
	Err       error // why it is not connected; if it is, which records were refused
	At        time.Time
}

// report queues the news of a publish. mu is held, as for preserved.
func (r *roster) report(index uint64, changes []change) {
	hook := r.reg.cfg.Hooks.Change
	if hook == nil {
		return
	}
	at := r.reg.schedule.date(r.now)
	for _, c := range changes {
		news := Change{r.name, c.id(), index, at, c.reason, c.before, c.after}
		r.news = append(r.news, func() { hook(news) })
	}
}

// preserved queues the news of a turn.
func (r *roster) preserved(t turn) {
	if hook := r.reg.cfg.Hooks.Preservation; hook != nil {
		news := Preservation{r.name, t.active, t.held, r.reg.schedule.date(t.at)}
		r.news = append(r.news, func() { hook(news) })
	}
}

// deliver runs the hooks for all news, in order, until there are none. Those
// that the hooks themselves make are among them. mu is not held, and telling is
// set.
func (r *roster) deliver() { r.reg.relay(r.nextNews) }

// nextNews takes the oldest news, or gives the delivery up.
func (r *roster) nextNews() func() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.news) == 0 {
		r.news, r.telling = nil, false
		r.reg.crew.leave()
		r.release()
		return nil
	}
	tell := r.news[0]
	r.news[0] = nil // what was told is garbage
	r.news = r.news[1:]
	return tell
}

// relay runs hooks, as next gives them, until it gives nil. One that calls
// runtime.Goexit ends this goroutine, but not before the deferred call has gone on
// with the rest.
func (r *Registry) relay(next func() func()) {
	finished := false
	defer func() {
		if !finished {
			r.relay(next)
		}
	}()
	for tell := next(); tell != nil; tell = next() {
		r.contain(tell)
	}
	finished = true
}

// contain runs a hook.
func (r *Registry) contain(hook func()) {
	safely(hook, func(p *PanicError) {
		if p != nil {
			r.fault(p)
		}
	})
}

// fault counts and reports a contained panic.
func (r *Registry) fault(p *PanicError) {
	r.panics.Add(1)
	if hook := r.cfg.Hooks.Fault; hook != nil {
		safely(func() { hook(p) }, func(own *PanicError) {
			if own != nil {
				r.panics.Add(1)
			}
		})
	}
}
