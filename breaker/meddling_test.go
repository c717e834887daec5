package breaker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// A meddling clock does something at the end of a reading, which is where
// another goroutine may get in between: after the time was read, and before it is
// used.
type meddling struct {
	*fakeClock
	plan []func() // one for each reading to come; nil: nothing
}

func (m *meddling) Since(t time.Time) time.Duration {
	d := m.fakeClock.Since(t)
	if len(m.plan) > 0 {
		f := m.plan[0]
		m.plan = m.plan[1:]
		if f != nil {
			f()
		}
	}
	return d
}

func meddled(cfg breaker.Config) (*breaker.Breaker, *meddling) {
	c := &meddling{fakeClock: newFakeClock()}
	cfg.Clock = c
	return breaker.MustNew("b", cfg), c
}

// G5, G35: a reading of the clock does not speak of a stay that began after it.
func TestG35_readAgain(t *testing.T) {
	for _, look := range []func(*testing.T, *breaker.Breaker){
		func(t *testing.T, b *breaker.Breaker) { assert.Equal(t, breaker.Open, b.State()) },
		func(t *testing.T, b *breaker.Breaker) {
			s := b.Snapshot()
			assert.Equal(t, breaker.Open, s.State)
			assert.Equal(t, openFor, s.RetryAfter)
		},
		func(t *testing.T, b *breaker.Breaker) { refused(t, b) },
	} {
		b, c := meddled(breaker.Config{})
		b.Trip(0, nil)
		c.advance(openFor) // it is over, and then it is another
		c.plan = []func(){func() {
			b.Reset()
			c.advance(-time.Second)
			b.Trip(0, nil)
		}}
		look(t, b)
		assert.Empty(t, c.plan)
	}
}

// G2, G34: what changes the state goes by a reading of after the last change:
// else it would take that for the work of a clock that went backward.
func TestG34_readAgain(t *testing.T) {
	b, c := meddled(breaker.Config{})
	c.plan = []func(){func() {
		c.advance(time.Hour)
		b.Trip(0, nil)
	}}
	b.Trip(time.Second, errOther) // reads the clock an hour before the other
	s := b.Snapshot()
	assert.Equal(t, openFor, s.RetryAfter)
	assert.Equal(t, time.Unix(3600, 0), s.Since)
}

// G25: so does what looks at leases. The lease of a probe that was admitted
// meanwhile is not moved.
func TestG25_leaseBeganMeanwhile(t *testing.T) {
	const lease = time.Minute
	b, c := meddled(breaker.Config{ProbeLease: lease, Probes: 2})
	b.Trip(time.Second, nil)
	c.advance(time.Second)
	p := issued(t, b)
	p.Record(breaker.Ignored, nil)
	c.plan = []func(){nil, func() { // admit reads the clock twice, the second time for the lock
		c.advance(time.Second)
		issued(t, b)
	}}
	issued(t, b)
	require.Equal(t, 2, b.Snapshot().Probes)
	c.advance(lease - 1)
	assert.ErrorIs(t, refusal(t, b), breaker.ErrTooManyProbes)
}

// G25, G7: a probe whose lease ends while Progress looks is still to be
// reported, and late then.
func TestG25_leaseEndsDuringProgress(t *testing.T) {
	b, c := meddled(breaker.Config{ProbeLease: time.Minute, CloseOf: 9})
	b.Trip(time.Second, nil)
	c.advance(time.Second)
	p := issued(t, b)
	c.advance(time.Minute - 1)
	c.plan = []func(){func() {
		c.advance(1)
		issued(t, b) // takes the slot of the lost one
	}}
	p.Progress()
	assert.Zero(t, b.Snapshot().Late)
	p.Done(nil)
	assert.EqualValues(t, 1, b.Snapshot().Late)
	assert.Equal(t, 1, b.Snapshot().Probes)
}

// G41: a sweep judges a member when it drops it. Whoever has used it since, or
// has forced it open, is not left with a pointer to what nobody else will get.
func TestG41_judgedWhenDropped(t *testing.T) {
	meddles := map[string]func(*breaker.Group[int]){
		"used": func(g *breaker.Group[int]) { g.Get(1) },
		"used, forced open, and idle again": func(g *breaker.Group[int]) {
			g.Get(1).ForceOpen(errors.New("by an operator"))
			for key := range 10 {
				g.Get(1000 + key)
			}
		},
	}
	for name, meddle := range meddles {
		for reading := range 3 {
			c := &meddling{fakeClock: newFakeClock()}
			g := breaker.MustNewGroup(breaker.GroupConfig[int]{Max: 2})
			b, err := g.GetWith(1, breaker.Config{Clock: c})
			require.NoError(t, err)
			done := false
			c.plan = make([]func(), reading+1)
			c.plan[reading] = func() {
				meddle(g)
				done = true
			}
			for key := 2; key < 20 && !done; key++ {
				g.Get(key) // the clock of 1 is read by nothing but a sweep
			}
			if done {
				assert.Same(t, b, find(g, 1), "%s, reading %d", name, reading)
			} else {
				assert.NotZero(t, reading, "%s: never judged", name)
			}
		}
	}
}

func find[K comparable](g *breaker.Group[K], key K) *breaker.Breaker {
	for k, b := range g.All() {
		if k == key {
			return b
		}
	}
	return nil
}

// panicky is a context somebody wrote.
type panicky struct{ context.Context } //nolint:containedctx // it is a context

func (panicky) Deadline() (time.Time, bool) { panic(errBoom) }

// G6, G10: a context that panics when the call is about to begin does not keep
// the slot.
func TestG10_contextPanics(t *testing.T) {
	for form, call := range forms {
		c := newFakeClock()
		b := halfOpened(t, breaker.Config{MinBudget: time.Second, ProbeLease: -1, Clock: c})
		value, _ := exiting(func() { _ = call(panicky{context.Background()}, b, returning(nil)) })
		assert.Equal(t, errBoom, value, form)
		assert.Zero(t, b.Snapshot().Probes, form)
		passing(t, b, 3)
		assertState(t, breaker.Closed, b)
	}
}

// G26: a ramp ends with a call. Trip does not end it first, to open a closed
// breaker that somebody else may have seen in between.
func TestG26_tripAfterTheRamp(t *testing.T) {
	var r recorder
	c := newFakeClock()
	b := halfOpened(t, breaker.Config{CloseAfter: 1, Ramp: time.Minute, Clock: c, Hooks: r.transition()})
	passing(t, b, 1)
	assertState(t, breaker.Recovering, b)
	c.advance(time.Minute)
	b.Trip(0, errBoom)
	assert.Equal(t, "recovering > open: trip", r.steps()[len(r.steps())-1])
}
