package balance

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// pooled is a balancer that can do no more than hand out tickets.
func pooled() *Balancer {
	b := &Balancer{}
	b.tickets.New = func() any { return &ticket{b: b} }
	return b
}

// newEntry is an entry of a new endpoint.
func newEntry() *entry { return &entry{ep: new(registry.Endpoint), m: &member{}} }

func TestTicket_EndsOnce(t *testing.T) {
	b, e, told := pooled(), newEntry(), 0
	p := b.issue(e, func(error) { told++ }, 42)
	assert.Same(t, e.ep, p.Endpoint())

	got, done, start, ok := p.t.end(p.gen)
	require.True(t, ok)
	assert.Same(t, e.m, got)
	assert.Equal(t, int64(42), start)
	done(nil)
	assert.Equal(t, 1, told)

	got, done, start, ok = p.t.end(p.gen)
	assert.False(t, ok)
	assert.Nil(t, got)
	assert.Nil(t, done)
	assert.Zero(t, start)
}

// The same ticket serves one pick of an endpoint after another; each knows its
// own generation.
func TestTicket_Generations(t *testing.T) {
	b, e := pooled(), newEntry()
	var before []Pick
	for i := range 1000 {
		p := b.issue(e, nil, int64(i))
		for _, old := range before {
			require.Same(t, old.t, p.t, "the ticket is used again")
			_, _, _, ok := old.t.end(old.gen)
			require.False(t, ok, "a pick of before ended this one")
		}
		got, _, start, ok := p.t.end(p.gen)
		require.True(t, ok)
		assert.Same(t, e.m, got)
		assert.Equal(t, int64(i), start)
		if before = append(before, p); len(before) > 3 {
			before = before[1:]
		}
	}
}

// Two calls of an endpoint under way at once have a ticket each, whichever ends
// first.
func TestTicket_CallsUnderWay(t *testing.T) {
	b, e := pooled(), newEntry()
	for range 100 {
		var picks []Pick
		seen := map[*ticket]bool{}
		for i := range 5 {
			p := b.issue(e, nil, int64(i))
			require.False(t, seen[p.t], "two picks have one ticket")
			seen[p.t] = true
			picks = append(picks, p)
		}
		for _, i := range []int{3, 0, 4, 1, 2} {
			_, _, start, ok := picks[i].t.end(picks[i].gen)
			require.True(t, ok)
			assert.Equal(t, int64(i), start)
		}
	}
}

// Of those that end a pick at once one is told what it held. They spin until both
// are there, since goroutines that are started one after another hardly meet.
func TestTicket_OneWins(t *testing.T) {
	const rounds = 5000
	b, e := pooled(), newEntry()
	picks := make([]Pick, rounds)
	for i := range picks {
		picks[i] = b.issue(e, nil, 0)
	}
	var arrived, won [rounds]atomic.Int32
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i, p := range picks {
				arrived[i].Add(1)
				for n := 0; arrived[i].Load() < 2; n++ {
					if n > 50 {
						runtime.Gosched() // the other one may need this processor
					}
				}
				if got, _, _, ok := p.t.end(p.gen); ok {
					won[i].Add(1)
					assert.Same(t, e.m, got)
				}
			}
		})
	}
	wg.Wait()
	for i := range rounds {
		require.Equal(t, int32(1), won[i].Load(), "round %d", i)
	}
}

// A free ticket keeps nothing alive, neither what was picked nor a gate.
func TestTicket_AFreeOneHoldsNothing(t *testing.T) {
	b := pooled()
	use := func() (free *ticket, e weak.Pointer[entry], ofGate weak.Pointer[[1024]byte]) {
		one, big := newEntry(), new([1024]byte)
		p := b.issue(one, func(error) { big[0]++ }, 0)
		_, _, _, ok := p.t.end(p.gen)
		require.True(t, ok)
		return p.t, weak.Make(one), weak.Make(big)
	}
	free, e, ofGate := use()
	runtime.GC()
	assert.Nil(t, e.Value())
	assert.Nil(t, ofGate.Value())
	runtime.KeepAlive(free)
}

// A pick that is dropped without an end leaves nothing behind.
func TestTicket_ADroppedOneIsCollected(t *testing.T) {
	b := pooled()
	dropped := weak.Make(b.issue(newEntry(), nil, 0).t)
	runtime.GC()
	assert.Nil(t, dropped.Value())
	runtime.KeepAlive(b)
}

// What a stale copy does in the middle of another pick is nothing, whatever way
// it ends.
func TestTicket_StaleEnds(t *testing.T) {
	b := MustNew(registry.MustNew(registry.Config{}).Service("orders"), Config{})
	live := new(registry.Live)
	e := &entry{live: live, m: &member{live: live}}
	require.True(t, live.Acquire(registry.Down))
	p := b.issue(e, nil, 0)
	p.Abandon()
	require.Zero(t, live.InFlight())

	require.True(t, live.Acquire(registry.Down))
	next := b.issue(e, nil, 0)
	require.Same(t, p.t, next.t)
	p.Done(nil)
	p.Done(errors.New("sick"))
	p.DoneAfter(nil, 1)
	p.Abandon()
	assert.Equal(t, 1, live.InFlight())
	next.Done(nil)
	assert.Zero(t, live.InFlight())
}

// A member keeps its own ticket when others are free, too: elsewhere it would keep
// the member alive.
func TestTicket_ItsOwnComesHome(t *testing.T) {
	b := pooled()
	b.known = make(map[*registry.Live]*member)
	e := newEntry()
	e.m = b.newMember(e.ep)
	first, second := b.issue(e, nil, 0), b.issue(e, nil, 0)
	require.Same(t, &e.m.own, first.t)
	require.NotSame(t, &e.m.own, second.t)
	second.t.end(second.gen)
	first.t.end(first.gen)
	assert.Same(t, &e.m.own, e.m.spare.Load())
	assert.Nil(t, second.t.m)
}
