package balance_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// trouble is a balancer for three instances whose first failure ejects, without
// a cap.
func trouble(t *testing.T, h balance.Hooks) (*registry.Registry, *balance.Balancer, *handClock) {
	t.Helper()
	clk := newHandClock()
	r := newRegistry(t, registry.Config{Clock: clk})
	registerAll(t, r, numbered(3)...)
	return r, newBalancer(t, r, balance.Config{
		Policy: balance.RoundRobin{}, Hooks: h, Outlier: &balance.Outlier{Consecutive: 1, MaxEjected: -1},
	}), clk
}

// G38: what the hooks are told about an ejection.
func TestG38_ejection(t *testing.T) {
	var j journal
	_, b, clk := trouble(t, j.hooks())
	p := pickOf(t, b, "i001")
	p.Done(errSick)
	began := clk.Now()
	assert.Equal(t, []balance.Ejection{
		{Endpoint: p.Endpoint(), Active: true, Rule: "consecutive failures", For: defaultBase, At: began},
	}, j.ejected(), "told when Done returns")
	clk.pass(2 * defaultBase)
	assert.Empty(t, j.ejected(), "nobody has noticed")
	pick(t, b).Done(nil)
	assert.Equal(t, []balance.Ejection{
		{Endpoint: p.Endpoint(), Rule: "consecutive failures", At: clk.Now()},
	}, j.ejected())
}

// G38: the rules have names.
func TestG38_rules(t *testing.T) {
	for rule, o := range map[string]balance.Outlier{
		"consecutive failures": {Consecutive: 20},
		"failure rate":         {Consecutive: -1, FailureRate: 1},
		"success rate":         {Consecutive: -1, StdevFactor: 1},
	} {
		t.Run(rule, func(t *testing.T) {
			_, b, clk, j := watched(t, 6, o)
			traffic(t, b, 20, map[string]int{"i002": 20})
			clk.pass(defaultBase / 3)
			calls(t, b, "i000", 1, nil)
			told := j.ejected()
			require.Len(t, told, 1)
			assert.Equal(t, rule, told[0].Rule)
			assert.Equal(t, "i002", told[0].Endpoint.ID())
		})
	}
}

// G38: hooks run outside locks: they may use the balancer and the registry.
func TestG38_reentrant(t *testing.T) {
	var b *balance.Balancer
	var r *registry.Registry
	var told []string
	use := func(what string) {
		told = append(told, what)
		for range 3 {
			if p, err := b.Pick(bg); err == nil {
				p.Done(nil)
			}
		}
		b.Stats()
		for range b.Members() {
		}
		_, _ = balance.Do(bg, b, func(context.Context, *registry.Endpoint) (int, error) { return 0, nil })
		register(t, r, instance("extra"))
		deregister(t, r, "extra")
	}
	r, b, _ = trouble(t, balance.Hooks{
		PanicMode: func(p balance.PanicMode) { use(fmt.Sprint("panic mode ", p.Active)) },
		Ejection:  func(e balance.Ejection) { use(fmt.Sprint("ejection ", e.Active)) },
		Fault:     func(p *registry.PanicError) { assert.Fail(t, "fault", p) },
	})
	calls(t, b, "i000", 1, errSick)
	calls(t, b, "i001", 1, errSick)
	assert.Equal(t, []string{"ejection true", "ejection true", "panic mode true"}, told)
	deregister(t, r, "i000")
	deregister(t, r, "i001")
	b.Stats()
	assert.Equal(t, []string{"ejection false", "ejection false", "panic mode false"}, told[3:])
}

// G38: hooks are told in order, never two at a time, whoever caused what, and
// each beginning and end once. The order is that of an account of each endpoint.
func TestG38_order(t *testing.T) {
	const instances, goroutines, rounds = 6, 4, 300
	clk := newHandClock()
	r := newRegistry(t, registry.Config{Clock: clk})
	registerAll(t, r, numbered(instances)...)
	var inside atomic.Int32
	out, panicking := map[string]bool{}, false // only hooks use them, so that the detector tells if two run at a time
	enter := func() func() {
		assert.EqualValues(t, 1, inside.Add(1), "two hooks at a time")
		return func() { inside.Add(-1) }
	}
	b := newBalancer(t, r, balance.Config{
		Outlier: &balance.Outlier{Consecutive: 1, MaxEjected: -1, Base: 10, Max: 100},
		Hooks: balance.Hooks{
			Ejection: func(e balance.Ejection) {
				defer enter()()
				assert.NotEqual(t, out[e.Endpoint.ID()], e.Active, "%s twice", e.Endpoint.ID())
				out[e.Endpoint.ID()] = e.Active
			},
			PanicMode: func(p balance.PanicMode) {
				defer enter()()
				assert.NotEqual(t, panicking, p.Active, "panic mode twice")
				panicking = p.Active
				assert.Equal(t, p.Active, 2*p.Usable < p.Total, "%+v", p)
			},
		},
	})
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for i := range rounds {
				p, err := b.Pick(bg)
				if !assert.NoError(t, err) {
					return
				}
				clk.pass(3)
				if i%3 > 0 {
					err = errSick
				}
				p.Done(err)
			}
		})
	}
	wg.Wait()
	clk.pass(1000)
	assert.Zero(t, b.Stats().Ejected)
	assert.False(t, panicking)
	for id, on := range out {
		assert.False(t, on, "no end of the ejection of %s", id)
	}
	assert.NotEmpty(t, out)
}

// G38: a hook that panics or calls Goexit is counted and reported, and the rest
// is told all the same.
func TestG38_contained(t *testing.T) {
	cases := map[string]struct {
		fail func()
		want registry.PanicError
	}{
		"panic":  {func() { panic(errSick) }, registry.PanicError{Value: errSick}},
		"Goexit": {runtime.Goexit, registry.PanicError{Goexit: true}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var j journal
			h := j.hooks()
			note := h.Ejection
			h.Ejection = func(e balance.Ejection) { note(e); c.fail() }
			_, b, clk := trouble(t, h)
			var wg sync.WaitGroup
			for i := range 2 {
				p := pickOf(t, b, fmt.Sprintf("i%03d", i))
				wg.Go(func() { p.Done(errSick) }) // Goexit ends the goroutine that tells
				wg.Wait()
			}
			clk.pass(defaultBase)
			wg.Go(func() { b.Stats() })
			wg.Wait()
			assert.Len(t, j.ejected(), 4)
			assert.Len(t, j.panicModes(), 2)
			faults := j.faulted()
			require.Len(t, faults, 4)
			for _, f := range faults {
				assert.Equal(t, c.want.Value, f.Value)
				assert.Equal(t, c.want.Goexit, f.Goexit)
				assert.Equal(t, c.want.Goexit, f.Stack == nil)
			}
			assert.EqualValues(t, 4, b.Stats().Panics)
			assert.Empty(t, ejectedIDs(b))
		})
	}
}

// G38: a Fault that panics is counted, and not told about itself.
func TestG38_faultOfFault(t *testing.T) {
	n := 0
	_, b, _ := trouble(t, balance.Hooks{
		Ejection: func(balance.Ejection) { panic("first") },
		Fault:    func(*registry.PanicError) { n++; panic("second") },
	})
	calls(t, b, "i000", 1, errSick)
	assert.Equal(t, 1, n)
	assert.EqualValues(t, 2, b.Stats().Panics)
}

// G35, G38: a Filter that panics excludes its endpoint and is told to Fault, as
// an error if it is one.
func TestG38_filter(t *testing.T) {
	var j journal
	_, b := with(t, balance.Config{Hooks: j.hooks(), Filter: func(e *registry.Endpoint) bool {
		if e.ID() == "i001" {
			panic(errSick)
		}
		return true
	}}, numbered(3)...)
	assert.Equal(t, []string{"i000", "i002"}, keys(members(b)))
	faults := j.faulted()
	require.Len(t, faults, 1)
	assert.True(t, errors.Is(faults[0], errSick))
	assert.Contains(t, string(faults[0].Stack), "TestG38_filter")
	assert.EqualValues(t, 1, b.Stats().Panics)
}

// A moody is a policy that panics when it is told to.
type moody struct{ now *bool }

func (p moody) NewPicker(c balance.Candidates, old balance.Picker) balance.Picker {
	if *p.now {
		*p.now = false
		panic(errSick)
	}
	return balance.RoundRobin{}.NewPicker(c, old)
}

// G32, G35, G38: a policy that panics while panic mode begins: the caller gets
// the panic, and the beginning is told once all the same.
func TestG38_policyPanics(t *testing.T) {
	var j journal
	now := false
	r, b := with(t, balance.Config{Policy: moody{&now}, Hooks: j.hooks()}, numbered(3)...)
	pick(t, b).Done(nil)
	for i := range 2 {
		setHealth(t, r, fmt.Sprintf("i%03d", i), registry.Critical)
	}
	now = true
	assert.PanicsWithValue(t, errSick, func() { _, _ = b.Pick(bg) })
	pick(t, b).Done(nil)
	assert.Len(t, j.panicModes(), 1, "once for one beginning")
	assert.Len(t, counts(sequence(t, b, 30)), 3)
}

// G34, G35: the same while an ejection begins: it holds.
func TestG38_policyPanicsAtEjection(t *testing.T) {
	var j journal
	now := false
	clk := newHandClock()
	r := newRegistry(t, registry.Config{Clock: clk})
	registerAll(t, r, numbered(4)...)
	b := newBalancer(t, r, balance.Config{
		Policy: moody{&now}, Hooks: j.hooks(), Outlier: &balance.Outlier{Consecutive: 1}, PanicThreshold: -1,
	})
	p := pickOf(t, b, "i000")
	now = true
	assert.PanicsWithValue(t, errSick, func() { p.Done(errSick) })
	assert.Empty(t, inFlight(r))
	assert.NotContains(t, counts(sequence(t, b, 30)), "i000", "it was ejected, the hook was told")
	assert.Equal(t, []string{"i000"}, ejectedIDs(b))
	clk.pass(defaultBase)
	assert.Contains(t, counts(sequence(t, b, 30)), "i000")
	assert.Len(t, j.ejected(), 2)
}
