package modelcheck

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

const callers = 8

// A slots test lets callers compete for the slots of one half-open stay.
type slots struct {
	b     *breaker.Breaker
	clock *handClock
	limit int64

	inUse, most atomic.Int64 // probes in flight, those that were dropped included
	calls       atomic.Int64
	rejected    atomic.Int64

	mu      sync.Mutex
	dropped []*breaker.Permit
}

// TestProbes checks that there are never more probes in flight than allowed,
// and that every slot comes back, whatever happens to its probe (G1, G6, G7,
// G9, G10, G25).
func TestProbes(t *testing.T) {
	rounds := size(histories, 3_000, 100_000, 200)
	base := *seed
	if base == 0 {
		base = rand.Uint64()
	}
	var calls, rejected, lost int64
	for i := range rounds {
		s := newSlots(t, rand.New(rand.NewPCG(base, uint64(i))))
		s.compete(base + uint64(i))
		require.LessOrEqual(t, s.most.Load(), s.limit, "probes in flight at once, seed %d", base)
		s.giveBack(t)
		calls += s.calls.Load()
		rejected += s.rejected.Load()
		lost += int64(len(s.dropped))
	}
	t.Logf("%d half-open stays, seed %d: %d calls of %d callers, %d found no slot, %d probes dropped; no slot too many, none lost",
		rounds, base, calls, callers, rejected, lost)
}

func newSlots(t *testing.T, r *rand.Rand) *slots {
	t.Helper()
	s := &slots{clock: newClock(bases[0]), limit: r.Int64N(5) + 1}
	s.clock.yield = r.Int64N(3)
	s.b = breaker.MustNew(name, breaker.Config{
		Trip:       one(r, breaker.Rule{}, breaker.SlowRate(ms, 1, 0, breaker.LastN(5))),
		OpenFor:    10 * ms,
		Probes:     int(s.limit),
		CloseAfter: 1 << 20, // so that the stay goes on, however many fail
		CloseOf:    1 << 21,
		ProbeLease: 10 * ms,
		Clock:      s.clock,
		Hooks:      breaker.Hooks{Done: one(r, nil, func(context.Context, breaker.Completion) { runtime.Gosched() })},
	})
	s.b.Trip(0, nil)
	s.clock.at.Add(int64(10 * ms))
	return s
}

// compete has all callers make calls that end in every way there is.
func (s *slots) compete(seed uint64) {
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for range 20 {
				s.calls.Add(1)
				s.call(r)
			}
		})
	}
	all.Wait()
}

var errFailed = errors.New("failed")

// call makes one call. It uses one of the ways to make a call, and of those to
// end it.
func (s *slots) call(r *rand.Rand) {
	switch way := r.IntN(40); {
	case way == 0:
		s.drop()
	case way < 8:
		s.reportTwice(one(r, nil, errFailed, context.Canceled))
	default:
		c := newCaller(hurried)
		s.runAway(c, func() error {
			switch way % 6 {
			case 0:
				panic(errFailed)
			case 1:
				runtime.Goexit()
			case 2:
				c.end(context.Canceled)
				return context.Canceled
			case 3:
				return errFailed
			}
			return nil
		})
	}
}

// enter counts a probe that has its slot.
func (s *slots) enter() {
	n := s.inUse.Add(1)
	for most := s.most.Load(); n > most && !s.most.CompareAndSwap(most, n); most = s.most.Load() {
	}
	runtime.Gosched()
}

// runAway runs fn as a call on a goroutine of its own, which it may leave.
func (s *slots) runAway(c *caller, fn func() error) {
	left := make(chan struct{})
	go func() {
		defer close(left)
		defer func() { _ = recover() }()
		err := s.b.Run(c, func(context.Context) error {
			s.enter()
			defer s.inUse.Add(-1)
			return fn()
		})
		if errors.Is(err, breaker.ErrTooManyProbes) {
			s.rejected.Add(1)
		}
	}()
	<-left
}

// reportTwice reports one call from two goroutines at once.
func (s *slots) reportTwice(err error) {
	p, refused := s.b.Allow(context.Background())
	if refused != nil {
		s.rejected.Add(1)
		return
	}
	s.enter()
	s.inUse.Add(-1)
	var both sync.WaitGroup
	both.Go(func() { p.Done(err) })
	both.Go(func() { p.Record(breaker.Success, nil) })
	both.Wait()
}

// drop never reports its call.
func (s *slots) drop() {
	p, err := s.b.Allow(context.Background())
	if err != nil {
		s.rejected.Add(1)
		return
	}
	s.enter()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped = append(s.dropped, &p)
}

// giveBack checks that only the dropped probes have kept their slots, and these
// only until the end of their lease.
func (s *slots) giveBack(t *testing.T) {
	t.Helper()
	require.Equal(t, breaker.HalfOpen, s.b.State())
	require.Equal(t, len(s.dropped), s.b.Snapshot().Probes, "slots of dropped probes")

	s.clock.at.Add(int64(10 * ms))
	late := s.b.Snapshot().Late
	taken := make([]breaker.Permit, s.limit)
	for i := range taken {
		var err error
		taken[i], err = s.b.Allow(context.Background())
		require.NoError(t, err, "slot %d of %d", i+1, s.limit)
	}
	for i, p := range s.dropped {
		p.Done(nil)
		require.Equal(t, late+uint64(i)+1, s.b.Snapshot().Late)
		_, err := s.b.Allow(context.Background())
		require.ErrorIs(t, err, breaker.ErrTooManyProbes, "a report after the lease frees the slot of another")
	}
	for i := range taken {
		taken[i].Done(nil)
	}
	require.Zero(t, s.b.Snapshot().Probes)
}
