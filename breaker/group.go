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
//
// Methods without an error result panic if g is nil or was not made by NewGroup;
// the others return an error that says so.
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

// GroupConfig says how a group makes its breakers and when it forgets them. It
// is passed by value, copied, and never changed later but by
// [Group.Reconfigure]. The zero GroupConfig is valid.
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

// NewGroup makes a group. Its error is that of [New] for cfg.Config: nothing
// else in cfg can be wrong. It makes no breaker and starts nothing.
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

// MustNewGroup is [NewGroup] for package-level variables: it panics with its
// error.
func MustNewGroup[K comparable](cfg GroupConfig[K]) *Group[K] {
	g, err := NewGroup(cfg)
	if err != nil {
		panic(err)
	}
	return g
}

// usable reports misuse of the handle.
func (g *Group[K]) usable() error {
	switch {
	case g == nil:
		return errNilGroup
	case g.hits.Load() == nil:
		return errZeroGroup
	}
	return nil
}

// must is usable for methods without an error result.
func (g *Group[K]) must() {
	if err := g.usable(); err != nil {
		panic(err)
	}
}

// Get returns the breaker of a key, made on first use: one and the same as long
// as the key is kept. A hit takes no lock and allocates nothing, so call Get for
// every call rather than keeping the pointer: the group does not see the use of
// a breaker that somebody keeps. A key that is not equal to itself (NaN) gets a
// new breaker every time.
func (g *Group[K]) Get(key K) *Breaker {
	if g == nil { // as must, without a second load
		panic(errNilGroup)
	}
	hits := g.hits.Load()
	if hits == nil {
		panic(errZeroGroup)
	}
	if m := (*hits)[key]; m != nil && m.touch() {
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
	if err := g.usable(); err != nil {
		return nil, err
	}
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

// Reconfigure puts another Config in force in all breakers made by Get, and in
// those to come, as [Breaker.Reconfigure] does. If it is invalid nothing
// changes.
func (g *Group[K]) Reconfigure(cfg Config) error {
	if err := g.usable(); err != nil {
		return err
	}
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
	g.must()
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
	g.must()
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
	g.must()
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.ring)
}
