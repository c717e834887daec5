package registry

import (
	"context"
	"iter"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// A Registry knows the instances of services: who registered them, whether their
// leases hold, and how they are. It is safe for concurrent use. It has to be
// made by [New] (G5); nothing runs until a TTL, a check, a feed or a hook needs
// it.
type Registry struct {
	cfg      Config
	rule     preserveRule
	time     timeline
	schedule *schedule
	crew     *crew
	checks   *semaphore.Weighted // nil: no limit

	rosters sync.Map // name to *roster

	index  atomic.Uint64            // the latest of all services
	absent atomic.Pointer[Snapshot] // of names without a roster: the latest release
	births atomic.Uint64            // the latest generation

	services atomic.Int64 // with an instance
	watchers atomic.Int64
	checkers atomic.Int64
	panics   atomic.Uint64

	closed  atomic.Bool
	closing chan struct{} // closed when it is

	owner   string // of the records that Sync puts: unique, also if Config.Rand is a constant
	feeds   feeds
	imports *feed
	syncs   outboxes
}

// New makes a registry. Its error joins all problems of cfg; each names the field
// and the value. It starts nothing.
func New(cfg Config) (*Registry, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	p := cfg.Preserve
	r := &Registry{
		cfg:     cfg,
		rule:    preserveRule{share: p.MaxEvict, least: p.MinInstances, window: p.Window, hold: p.MaxHold},
		time:    newTimeline(cfg.Clock, cfg.Rand),
		crew:    newCrew(),
		closing: make(chan struct{}),
		owner:   strconv.FormatUint(rand.Uint64(), 36) + strconv.FormatUint(rand.Uint64(), 36),
	}
	r.feeds.byName = make(map[string]*feed)
	r.imports = newFeed(r, importName, importRank)
	r.schedule = newSchedule(&r.time, r.crew, p.StallAfter)
	if cfg.MaxChecks != noLimit {
		r.checks = semaphore.NewWeighted(int64(cfg.MaxChecks))
	}
	r.index.Store(1)
	r.absent.Store(&Snapshot{index: 1})
	return r, nil
}

// MustNew is [New] for package-level variables: it panics with its error.
func MustNew(cfg Config) *Registry {
	r, err := New(cfg)
	if err != nil {
		panic(err)
	}
	return r
}

// usable reports misuse of the handle.
func (r *Registry) usable() error {
	if r == nil || r.closing == nil {
		return errZeroRegistry
	}
	return nil
}

// must is usable for methods without an error result.
func (r *Registry) must() {
	if r.usable() != nil {
		panic(errZeroRegistry)
	}
}

// Service is a handle to a service, whether it exists or not. For one that does
// it allocates nothing.
func (r *Registry) Service(name string) *Service {
	r.must()
	if v, ok := r.rosters.Load(name); ok {
		return &v.(*roster).handle
	}
	return &Service{reg: r, name: name}
}

// Services ranges over the names of the services that have an instance, sorted,
// as of the beginning of the loop.
func (r *Registry) Services() iter.Seq[string] {
	r.must()
	return func(yield func(string) bool) {
		var names []string
		for ro := range r.all {
			if s := ro.handle.Snapshot(); s.Len() > 0 {
				names = append(names, ro.name)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			if !yield(name) {
				return
			}
		}
	}
}

// all ranges over the rosters.
func (r *Registry) all(yield func(*roster) bool) {
	r.rosters.Range(func(_, v any) bool { return yield(v.(*roster)) })
}

// Sweep makes expire what is due at this instant of the clock, and tells how many
// instances have left. Nobody has to call it: every read and a timer do the same
// for one service. In a test with a fake clock nothing that is due is left after
// it; how many were left for it depends on timers, which a *clock.Mock runs on
// goroutines of their own.
func (r *Registry) Sweep() int {
	r.must()
	n := 0
	for ro := range r.all {
		n += ro.expire(callers)
	}
	return n
}

// open locks the roster of a name, which is made if there is none.
func (r *Registry) open(name string) *roster {
	for {
		if v, ok := r.rosters.Load(name); ok {
			if ro := v.(*roster); ro.lock() {
				return ro
			}
			continue // it was released, and has left the map before its lock was
		}
		ro := newRoster(r, name)
		ro.mu.Lock()
		if _, taken := r.rosters.LoadOrStore(name, ro); taken {
			continue
		}
		// The index is read with the roster in the map: if it were read before,
		// another roster of this name could have come and gone in between.
		ro.view.Store(r.absent.Load())
		ro.now = r.schedule.now()
		return ro
	}
}

// lookup is open for a roster that exists, else nil.
func (r *Registry) lookup(name string) *roster {
	for {
		v, ok := r.rosters.Load(name)
		if !ok {
			return nil
		}
		if ro := v.(*roster); ro.lock() {
			return ro
		}
	}
}

// forget takes a roster off the map. What reads the name from now on gets an
// index that is not lower than the last one of the roster, nor than any that
// was given out for a name without one.
func (r *Registry) forget(ro *roster) {
	last := ro.view.Load().index
	for {
		absent := r.absent.Load()
		if absent.index >= last || r.absent.CompareAndSwap(absent, &Snapshot{index: last}) {
			break
		}
	}
	ro.view.Store(nil) // first: who finds the name free may already have made another roster
	r.rosters.CompareAndDelete(ro.name, ro)
}

// Close ends the registry: leases and watches end with ErrClosed, checks and
// feeds are cancelled, and every verb returns ErrClosed from now on. Snapshots
// keep their last state. It waits until all that runs for the registry has
// ended, or returns the cause of ctx; calling it again waits again. It does not
// drain: call [Lease.Drain] before.
func (r *Registry) Close(ctx context.Context) error {
	if err := r.usable(); err != nil {
		return err
	}
	if ctx == nil {
		return errNilContext
	}
	if !r.closed.Load() {
		r.Sweep() // what has expired is not part of the last state
	}
	if !r.closed.Swap(true) {
		close(r.closing)
		r.schedule.close()
	}
	for ro := range r.all { // every Close, since an earlier one may still be at it
		ro.mu.Lock()
		ro.close()
		ro.unlock(callers)
	}
	r.feeds.close()
	r.crew.seal()
	select {
	case <-r.crew.gone:
		return nil
	default:
	}
	select {
	case <-r.crew.gone:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// close ends what belongs to the roster of a registry that is closed. Its view
// stays.
func (r *roster) close() {
	for _, m := range r.members {
		m.check.stop()
		m.check = nil
		m.drain.end(m, ErrClosed)
		for _, c := range m.claims {
			c.term.deadline.Store(dead)
			if c.lease != nil {
				c.lease.ended(ErrClosed)
			}
		}
		m.ep.live.set(Down)
	}
	r.terms, r.shades = expiry{}, expiry{}
	for w := range r.waiters {
		w.set()
	}
}
