package breaker

import (
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"
)

// A Group keeps one breaker per key: per host, per tenant, per shard. Breakers
// are made on first use and forgotten again when it is safe (G41). Make one with
// [NewGroup]; it must not be copied. All methods may be used concurrently. It
// owns no goroutine: there is nothing to close.
type Group[K comparable] struct {
	max     int
	idleFor time.Duration
	name    func(K) string
	time    *timeline

	// hits serves Get without a lock. The map is never written; it may still
	// hold members that were dropped.
	hits atomic.Pointer[map[K]*member[K]]

	mu      sync.Mutex
	set     *settings        // of breakers to come
	fresh   map[K]*member[K] // members that hits lacks
	misses  int              // lookups in fresh since hits was made
	dropped int              // members that hits has too many
	ring    []*member[K]     // all members, in no order, for the sweep
	hand    int
}

// GroupConfig says how a group makes its breakers and when it forgets them.
type GroupConfig[K comparable] struct {
	// Config is that of every breaker made by Get. Its Clock is the group's
	// too.
	Config Config

	// Name names the breaker of a key. It is called for a key that is not
	// known, outside the lock, so it may run concurrently, and more than once
	// for a key that several goroutines ask for first. Nil: fmt.Sprint.
	Name func(K) string

	// Max is how many keys are kept. It is a soft bound: breakers that are not
	// clean stay. A clean one is as Get would make it anew: nothing counts
	// against it, and nobody has reconfigured it by itself. Zero: 1024.
	// Negative: unlimited.
	Max int

	// IdleFor is how long a key has to go unused before its breaker may be
	// forgotten although it is not clean. It is when another key is added, a few
	// at a time: without new keys nothing is forgotten. Zero: 10m. Negative:
	// never.
	IdleFor time.Duration
}

const (
	defaultMax     = 1024
	defaultIdleFor = 10 * time.Minute

	// sweepStep is how many members are looked at when one is added. More than
	// one, so that a group above Max shrinks.
	sweepStep = 4
)

// A member is a breaker in a group. Breaker and key are kept in one piece of
// memory.
type member[K comparable] struct {
	Breaker
	key   K
	own   bool          // made by Get: Reconfigure concerns it
	use   atomic.Uint32 // idle, used or gone
	index int           // in the ring
	seen  int64         // when a sweep last found it used
}

// The use of a member. A hit turns idle into used; a sweep turns used into
// idle, and only idle into gone. So a Get that has found its member is never
// overtaken by its removal.
const (
	idle uint32 = iota
	used
	gone
)

// touch notes a use. It writes only when there is something to note.
func (m *member[K]) touch() bool {
	for {
		switch m.use.Load() {
		case used:
			return true
		case gone:
			return false
		}
		if m.use.CompareAndSwap(idle, used) {
			return true
		}
	}
}

// NewGroup makes a group. The error is that of [New] for cfg.Config: nothing
// else in cfg can be wrong. NewGroup makes no breaker.
func NewGroup[K comparable](cfg GroupConfig[K]) (*Group[K], error) {
	set, err := newSettings(cfg.Config)
	if err != nil {
		return nil, err
	}
	g := &Group[K]{max: cfg.Max, idleFor: cfg.IdleFor, name: cfg.Name, set: set, time: newTimeline(cfg.Config.Clock)}
	if g.max == 0 {
		g.max = defaultMax
	}
	if g.idleFor == 0 {
		g.idleFor = defaultIdleFor
	}
	if g.name == nil {
		g.name = sprint[K]
	}
	g.fresh = make(map[K]*member[K])
	g.hits.Store(new(map[K]*member[K]))
	return g, nil
}

// sprint is fmt.Sprint without a copy of what is a string already.
func sprint[K comparable](key K) string {
	if s, ok := any(key).(string); ok {
		return s
	}
	return fmt.Sprint(key)
}

// MustNewGroup is NewGroup for package-level variables. It panics with
// NewGroup's error.
func MustNewGroup[K comparable](cfg GroupConfig[K]) *Group[K] {
	g, err := NewGroup(cfg)
	if err != nil {
		panic(err)
	}
	return g
}

// Get returns the breaker of a key, made on first use: one and the same as long
// as the key is kept. A hit takes no lock and allocates nothing, so call Get for
// every call rather than keeping the pointer: the group does not see the use of
// a breaker that somebody keeps. A key that is not equal to itself (NaN) gets a
// new breaker every time.
func (g *Group[K]) Get(key K) *Breaker {
	if m := (*g.hits.Load())[key]; m != nil && m.touch() {
		return &m.Breaker
	}
	if b := g.lookup(key); b != nil {
		return b
	}
	return g.find(key, nil)
}

// GetWith is Get with a Config for this key. It is used, and checked, only if
// the key is new; Group.Reconfigure does not concern its breaker. Its Initial
// holds, and a nil Clock is that of the group. On an error, that of [New], the
// key is not kept.
//
// Pass cfg with every call for the key. A breaker made by GetWith may be
// forgotten like any other, and a Get would then make one with the Config of the
// group.
func (g *Group[K]) GetWith(key K, cfg Config) (*Breaker, error) {
	if m := (*g.hits.Load())[key]; m != nil && m.touch() {
		return &m.Breaker, nil
	}
	if b := g.lookup(key); b != nil {
		return b, nil
	}
	set, err := newSettings(cfg)
	if err != nil {
		return nil, err
	}
	return g.find(key, set), nil
}

func (g *Group[K]) lookup(key K) *Breaker {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m := g.member(key); m != nil {
		return &m.Breaker
	}
	return nil
}

// find is Get with the lock. set is nil for the group's own. Name and clocks
// are the user's code and run outside the lock.
func (g *Group[K]) find(key K, set *settings) *Breaker {
	at := g.time.moment()
	m := &member[K]{key: key, own: set == nil, seen: at.now}
	m.use.Store(used)
	name, line := g.name(key), g.time
	if set != nil && set.Clock != nil {
		line = newTimeline(set.Clock)
		at.date = line.base
	}

	g.mu.Lock()
	if known := g.member(key); known != nil {
		g.mu.Unlock()
		return &known.Breaker
	}
	if set == nil {
		set = g.set
	}
	m.init(name, set, line, at.date)
	if key != key { // NaN: the maps would keep it and never find it
		g.mu.Unlock()
		return &m.Breaker
	}
	m.index = len(g.ring)
	g.fresh[key] = m
	g.ring = append(g.ring, m)
	idlers := g.sweep(m, at.now)
	g.mu.Unlock()

	for _, x := range idlers {
		if x != nil {
			g.forget(x, at.now)
		}
	}
	return &m.Breaker
}

// member looks a key up under the lock, and merges the maps after as many
// lookups in the small one as both hold keys, so that n new keys cost O(n)
// altogether.
func (g *Group[K]) member(key K) *member[K] {
	hits := *g.hits.Load()
	if m := hits[key]; m != nil && m.touch() {
		return m
	}
	m := g.fresh[key]
	if m == nil {
		return nil
	}
	m.touch()
	if g.misses++; g.misses >= len(hits)+len(g.fresh) {
		g.merge()
	}
	return m
}

func (g *Group[K]) merge() {
	all := make(map[K]*member[K], len(g.ring))
	for _, m := range g.ring {
		all[m.key] = m
	}
	g.hits.Store(&all)
	g.fresh = make(map[K]*member[K])
	g.misses, g.dropped = 0, 0
}

// sweep looks at the next few members, as the hand of a clock comes round to
// them. One that was used since the hand last came is marked idle and spared;
// the others are returned. The member just added stays.
func (g *Group[K]) sweep(added *member[K], now int64) (idlers [sweepStep]*member[K]) {
	for i := range idlers {
		g.hand %= len(g.ring)
		m := g.ring[g.hand]
		g.hand++
		switch {
		case m == added:
		case m.use.CompareAndSwap(used, idle):
			m.seen = now
		default:
			idlers[i] = m
		}
	}
	return idlers
}

// forget drops an idle member if it is clean and there are too many, or if it
// has been idle for long enough and can be spared. Meanwhile it may have been
// used, or dropped.
//
// All is looked at under the lock, without which no sweep can mark a member
// idle: one that is used after the look is not idle any more when it would go.
// Judged before, it could be used, forced open and found idle again in between.
func (g *Group[K]) forget(m *member[K], now int64) {
	its := m.time.now() // GetWith may have given it another clock
	g.mu.Lock()
	defer g.mu.Unlock()
	crowded := g.max > 0 && len(g.ring) > g.max
	stale := span{m.seen, g.idleFor}.over(now)
	if (crowded && g.clean(m, its) || stale && m.expendable(its)) && m.use.CompareAndSwap(idle, gone) {
		g.remove(m)
	}
}

// clean reports whether Get would make an equal one. What was reconfigured by
// itself is not; GetWith is called with its Config again.
func (g *Group[K]) clean(m *member[K], now int64) bool {
	return (!m.own || m.cur.Load().set == g.set) && m.Breaker.clean(now)
}

func (g *Group[K]) remove(m *member[K]) {
	last := g.ring[len(g.ring)-1]
	g.ring[m.index], last.index = last, m.index
	g.ring[len(g.ring)-1] = nil
	g.ring = g.ring[:len(g.ring)-1]
	if g.fresh[m.key] == m {
		delete(g.fresh, m.key)
		return
	}
	// hits still has it. Make hits anew when half of it is gone.
	if g.dropped++; g.dropped > len(*g.hits.Load())/2 {
		g.merge()
	}
}

// Reconfigure puts another Config in force in all breakers made by Get, and in
// those to come, as [Breaker.Reconfigure] does. If it is invalid nothing
// changes.
func (g *Group[K]) Reconfigure(cfg Config) error {
	set, err := newSettings(cfg)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	set.Initial = g.set.Initial // ignored, as in Breaker.Reconfigure
	g.set = set
	for _, m := range g.ring {
		if m.own {
			m.adopt(set)
		}
	}
	return nil
}

// All iterates over the keys and breakers there were when the iteration began,
// in any order. It does not count as a use.
func (g *Group[K]) All() iter.Seq2[K, *Breaker] {
	return func(yield func(K, *Breaker) bool) {
		g.mu.Lock()
		members := append([]*member[K](nil), g.ring...)
		g.mu.Unlock()
		for _, m := range members {
			if !yield(m.key, &m.Breaker) {
				return
			}
		}
	}
}

// Delete forgets a key, whatever the state of its breaker. Calls in flight
// report to it safely; the next Get makes a new one.
func (g *Group[K]) Delete(key K) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := g.fresh[key]
	if m == nil {
		m = (*g.hits.Load())[key]
	}
	if m != nil && m.use.Swap(gone) != gone {
		g.remove(m)
	}
}

// Len is how many keys are kept.
func (g *Group[K]) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.ring)
}

// clean reports whether a fresh breaker would be equal: initial state, no bad
// outcome in any window, nothing remembered for the backoff or after WouldOpen.
func (b *Breaker) clean(now int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.cur.Load()
	if e.state != b.initial || e.reason == ReasonForced || e.muted(now) || e.parked != nil && e.parked.state != Closed {
		return false
	}
	for i, k := range e.counters {
		if _, bad := k.counts(now, &e.set.rules[i]); bad > 0 {
			return false
		}
	}
	p := b.past.Load()
	return p == nil || p.backoff.rested(e.set, now)
}

// expendable reports whether a breaker that nobody uses may be forgotten: its
// open time is over, and no explicit call pins it.
func (b *Breaker) expendable(now int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.cur.Load()
	if e.parked != nil {
		if e.reason == ReasonForced {
			return false
		}
		e = e.parked
	}
	return e.state != Open || e.span.over(now)
}
