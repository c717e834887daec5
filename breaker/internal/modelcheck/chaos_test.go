package modelcheck

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// A chaos is callers and operators that do what they like, while the clock runs
// wild and hooks misbehave.
type chaos struct {
	b     *breaker.Breaker
	clock *handClock

	busy     atomic.Bool // a Transition hook runs
	events   []breaker.Transition
	overlaps atomic.Int64
	panics   atomic.Uint64 // and Goexits, of hooks
	over     atomic.Bool   // no hook exits any more
	rejected atomic.Uint64 // as told by the hook
	reported atomic.Int64  // as told by the hook
	refusals atomic.Uint64 // as seen by callers
	admitted atomic.Int64
	cut      atomic.Int64 // calls of Allow that a hook exited from
}

// TestChaos checks what must hold whatever happens: transitions are delivered
// one at a time, each once, From of each is To of the one before; every call is
// told once; no panic and no Goexit gets lost; and in the end the breaker closes
// again (G6, G7, G30, G31, G34).
func TestChaos(t *testing.T) {
	rounds := size(histories, 300, 20_000, 30)
	base := *seed
	if base == 0 {
		base = rand.Uint64()
	}
	var events, calls int64
	for i := range rounds {
		s := base + uint64(i)
		x := newChaos(rand.New(rand.NewPCG(s, 0)))
		x.run(s)
		x.check(t, s)
		events += int64(len(x.events))
		calls += x.admitted.Load() + int64(x.refusals.Load())
	}
	t.Logf("%d rounds, seeds from %d: %d calls, %d transitions, each told once and in order", rounds, base, calls, events)
}

func newChaos(r *rand.Rand) *chaos {
	x := &chaos{clock: newClock(bases[r.IntN(len(bases))])}
	x.clock.yield = r.Int64N(4)
	x.b = breaker.MustNew(name, x.config(r))
	return x
}

func (x *chaos) config(r *rand.Rand) breaker.Config {
	c := plannedConfig(r)
	c.raw.Clock = x.clock
	c.raw.Hooks = breaker.Hooks{
		Transition: x.transition,
		Rejected: func(context.Context, *breaker.RejectedError) {
			x.rejected.Add(1)
			x.misbehave()
		},
		Done: func(context.Context, breaker.Completion) {
			x.reported.Add(1)
			x.misbehave()
			x.exit()
		},
	}
	return c.raw
}

// transition notes the event without a lock: if two ran at once, the race
// detector would tell as well.
func (x *chaos) transition(_ context.Context, e breaker.Transition) {
	if x.busy.Swap(true) {
		x.overlaps.Add(1)
	}
	x.events = append(x.events, e)
	runtime.Gosched()
	x.busy.Store(false)
	switch len(x.events) % 16 {
	case 3:
		_, _ = x.b.State(), x.b.Snapshot()
	case 7:
		x.b.Reset()
	case 11:
		x.b.Trip(ms, nil)
	case 13:
		x.within(func() { x.call(rand.New(rand.NewPCG(uint64(len(x.events)), 0))) })
	default:
		x.misbehave()
		x.exit()
	}
}

// within makes a call in a hook, which does not return either if another hook
// exits in it.
func (x *chaos) within(call func()) {
	returned := false
	defer func() {
		if !returned {
			x.panics.Add(1)
		}
	}()
	call()
	returned = true
}

// misbehave panics once in a while.
func (x *chaos) misbehave() {
	if rand.IntN(8) == 0 {
		x.panics.Add(1)
		panic("a hook that panics")
	}
}

// exit ends the goroutine once in a while.
func (x *chaos) exit() {
	if rand.IntN(8) == 0 && !x.over.Load() {
		x.panics.Add(1)
		runtime.Goexit()
	}
}

func (x *chaos) run(seed uint64) {
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			x.acts(rand.New(rand.NewPCG(seed, uint64(i)+1)), 60)
		})
	}
	all.Wait()
	x.over.Store(true)
}

// acts goes on if a hook has ended the goroutine: what is deferred still runs.
func (x *chaos) acts(r *rand.Rand, left int) {
	defer func() {
		if left > 0 {
			x.acts(r, left)
		}
	}()
	for left > 0 {
		left--
		x.act(r)
	}
}

func (x *chaos) act(r *rand.Rand) {
	switch r.IntN(30) {
	case 0:
		x.b.Trip(one(r, 0, 5*ms, -1), nil)
	case 1, 2:
		x.b.Reset()
	case 3:
		x.b.ForceOpen(nil)
	case 4:
		x.b.ForceClosed()
	case 5, 6, 7:
		x.b.Auto()
	case 8:
		_ = x.b.Reconfigure(x.config(r))
	case 9:
		x.clock.at.Add(-r.Int64N(int64(30 * ms)))
	case 10:
		x.clock.at.Add(int64(time.Hour))
	case 11, 12, 13, 14:
		x.clock.at.Add(r.Int64N(int64(30 * ms)))
	default:
		x.call(r)
	}
}

func (x *chaos) call(r *rand.Rand) {
	returned := false
	defer func() {
		if !returned {
			x.cut.Add(1)
		}
	}()
	p, err := x.b.Allow(context.Background())
	returned = true
	if err != nil {
		x.refusals.Add(1)
		return
	}
	x.admitted.Add(1)
	switch r.IntN(6) {
	case 0:
		p.Trip(one(r, 0, ms), nil)
	case 1:
		p.Record(breaker.Ignored, nil)
	case 2, 3:
		p.Done(errFailed)
	default:
		p.Done(nil)
	}
	p.Done(errFailed) // does nothing
}

func (x *chaos) check(t *testing.T, seed uint64) {
	t.Helper()
	snapshot := x.b.Snapshot()
	assert.Zero(t, x.overlaps.Load(), "Transition hooks that ran at once, seed %d", seed)
	assert.Equal(t, x.refusals.Load(), snapshot.Rejected)
	assert.Equal(t, x.refusals.Load(), x.rejected.Load(), "calls of the Rejected hook")
	// A call that was cut off is told if it had been admitted.
	assert.GreaterOrEqual(t, x.reported.Load(), x.admitted.Load(), "calls of the Done hook")
	assert.LessOrEqual(t, x.reported.Load(), x.admitted.Load()+x.cut.Load(), "calls of the Done hook")
	assert.Equal(t, x.panics.Load(), snapshot.HookPanics)
	assert.Zero(t, snapshot.Probes)

	at := breaker.Closed
	opened := uint64(0)
	for i, e := range x.events {
		require.Equal(t, at, e.From, "event %d, seed %d", i, seed)
		require.Equal(t, e.WouldOpen, e.From == e.To, "event %d", i)
		if at = e.To; at == breaker.Open && e.Reason != breaker.ReasonAuto {
			opened++
		}
	}
	assert.LessOrEqual(t, opened, snapshot.Trips)
	if at == breaker.Open && snapshot.State == breaker.HalfOpen {
		at = breaker.HalfOpen // its time is over, and no call has come
	}
	assert.Equal(t, at, snapshot.State, "state after the last event")
	x.recovers(t)
}

// recovers checks that nothing is wedged: with one caller who retries, the
// breaker closes. Only what was opened until Reset needs one.
func (x *chaos) recovers(t *testing.T) {
	t.Helper()
	x.b.Auto()
	if s := x.b.Snapshot(); s.State == breaker.Open && s.RetryAfter == 0 {
		x.b.Reset()
	}
	for i := 0; x.b.State() != breaker.Closed; i++ {
		require.Less(t, i, 100, "still %v", x.b.State())
		x.clock.at.Add(int64(time.Hour))
		_ = x.b.Run(context.Background(), func(context.Context) error { return nil })
	}
}
