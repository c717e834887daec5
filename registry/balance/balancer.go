package balance

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// A Balancer chooses endpoints of one service, one per call. It is safe for
// concurrent use. It has no goroutine and nothing to close; it has to be made
// by [New].
type Balancer struct {
	svc         *registry.Service
	cfg         Config
	time        timeline
	ramp        ramp
	decay       time.Duration // of latencies
	timed       bool          // somebody may look at them
	keepsPlaces bool          // the policy knows unusable endpoints too
	none        *Error        // made once: refusals allocate nothing
	closed      *Error
	tickets     sync.Pool // of *ticket
	budget      budget

	state       atomic.Pointer[state]
	intervalEnd atomic.Int64 // of the counts of the outlier rules
	panics      atomic.Uint64

	// mu is held by who adapts the state to a change. Others go by the old one
	// meanwhile. It guards the fields below.
	mu          sync.Mutex
	known       map[*registry.Live]*member
	round       uint64
	pickers     [places]Picker
	ripePickers [places]Picker
	news        []func() // for the hooks, oldest first
	telling     bool     // somebody delivers news
}

// New makes a balancer for a service, which need not have instances yet. Its
// error joins all problems of cfg; each names the field and the value. It starts
// nothing.
func New(s *registry.Service, cfg Config) (*Balancer, error) {
	if s == nil || s.Name() == "" {
		return nil, errNilService
	}
	if err := s.Err(); err != nil && !errors.Is(err, registry.ErrClosed) {
		return nil, err
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	b := &Balancer{
		svc:    s,
		cfg:    cfg,
		time:   newTimeline(s.Clock()),
		ramp:   ramp{int64(cfg.SlowStart), cfg.SlowStartFloor, 1 / cfg.SlowStartCurve},
		decay:  defaultDecay,
		none:   &Error{Service: s.Name(), Kind: ErrNoInstances},
		closed: &Error{Service: s.Name(), Kind: registry.ErrClosed},
		known:  make(map[*registry.Live]*member),
	}
	if p, ok := cfg.Policy.(decaying); ok {
		b.decay = p.decay()
	}
	switch cfg.Policy.(type) {
	case ConsistentHash, *ConsistentHash:
		b.keepsPlaces = true
	case RoundRobin, *RoundRobin, Random, *Random, Weighted, *Weighted, LeastLoaded, *LeastLoaded:
	default: // also what embeds one of these
		b.timed = true
	}
	b.tickets.New = func() any { return &ticket{b: b} }
	b.budget.init(cfg.Retry)
	if cfg.Outlier != nil {
		b.intervalEnd.Store(after(b.time.now(), cfg.Outlier.Interval))
	}
	return b, nil
}

// MustNew is [New] for package-level variables: it panics with its error.
func MustNew(s *registry.Service, cfg Config) *Balancer {
	b, err := New(s, cfg)
	if err != nil {
		panic(err)
	}
	return b
}

func (b *Balancer) random() uint64 { return b.cfg.Rand() }

// Pick chooses an endpoint and counts a call to it, which has to be ended by
// [Pick.Done]. It does not block. If ctx has ended, it returns its cause;
// otherwise the error is an [*Error] that is ErrNoInstances, or ErrClosed of
// package registry. If gates refused it wraps the last refusal.
func (b *Balancer) Pick(ctx context.Context) (Pick, error) { return b.PickWith(ctx, Query{}) }

// PickWith is [Balancer.Pick] with a key or without some endpoints.
func (b *Balancer) PickWith(ctx context.Context, q Query) (Pick, error) {
	switch {
	case ctx == nil:
		return Pick{}, errNilContext
	case b == nil || b.svc == nil:
		return Pick{}, errNilBalancer
	case ctx.Err() != nil:
		return Pick{}, context.Cause(ctx)
	}
	if p := b.quick(); p != nil && q.Exclude.empty() {
		if e := p.at(p.picker.Pick(q, 0)); e != nil && e.live.Acquire(registry.Warning) {
			return b.issue(e, nil, 0), nil
		}
	}
	t := try{b: b, ctx: ctx, q: q, track: true}
	e, err := t.find()
	if err != nil {
		return Pick{}, err
	}
	return b.issue(e, t.done, t.q.now), nil
}

// Next chooses an endpoint and nothing else: no load is counted, no gate is
// asked, and there is no outcome to report. The errors are those of
// [Balancer.Pick].
func (b *Balancer) Next(q Query) (*registry.Endpoint, error) {
	if b == nil || b.svc == nil {
		return nil, errNilBalancer
	}
	if p := b.quick(); p != nil && q.Exclude.empty() {
		if e := p.at(p.picker.Pick(q, 0)); e != nil && e.live.Health() <= registry.Warning {
			return e.ep, nil
		}
	}
	return b.search(q)
}

// search is Next for what quick has no answer to. It is a function of its own
// because its frame is large.
func (b *Balancer) search(q Query) (*registry.Endpoint, error) {
	t := try{b: b, q: q}
	e, err := t.find()
	if err != nil {
		return nil, err
	}
	return e.ep, nil
}

// quick is the pool that simple queries are answered from by its picker alone,
// since nothing else has a say: there is one pool, nobody is held back, no gate
// is asked and no clock is needed. It is nil if there is none. Other queries,
// and those whose answer is turned down, go the whole way.
//
// It is apart from Picker.Pick so that the query stays in registers.
func (b *Balancer) quick() *pool {
	s := b.state.Load()
	if s == nil || s.plain == nil || s.index != b.svc.Snapshot().Index() {
		return nil
	}
	return s.plain
}

// current is the state to pick by, and whether it is that of now. If somebody
// else is adapting it, it is that of before, so that nobody waits; every choice
// looks at the live side of the endpoint anyway.
func (b *Balancer) current() (s *state, fresh bool) {
	s = b.state.Load()
	if b.holds(s) {
		return s, true
	}
	if !b.mu.TryLock() {
		if s != nil {
			return s, false
		}
		b.mu.Lock()
	}
	defer b.unlock()
	return b.adapt(), true
}

// wait is current for who needs the state of now.
func (b *Balancer) wait() *state {
	b.mu.Lock()
	defer b.unlock()
	return b.adapt()
}

// holds reports whether nothing has happened since a state was made.
func (b *Balancer) holds(s *state) bool {
	return s != nil && s.index == b.svc.Snapshot().Index() && (s.next == never || b.time.now() < s.next)
}

// adapt makes a new state if something has happened. mu is held.
func (b *Balancer) adapt() *state {
	s := b.state.Load()
	if !b.holds(s) {
		s = b.build(b.svc.Snapshot(), b.time.now())
		b.state.Store(s)
	}
	return s
}
