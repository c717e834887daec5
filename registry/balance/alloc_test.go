package balance_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// sizes are numbers of instances whose picks must cost alike.
var sizes = []int{10, 1000}

// free expects that f allocates nothing, not even now and then: less than once in
// a hundred calls, since the collector may empty a pool meanwhile.
func free(t *testing.T, what string, f func()) {
	t.Helper()
	assert.Zero(t, testing.AllocsPerRun(5, func() {
		for range 100 {
			f()
		}
	}), what)
}

// warm uses all n instances, so that nothing has to be made any more that they
// keep.
func warm(t *testing.T, b *balance.Balancer, n int) {
	t.Helper()
	seen := map[*registry.Endpoint]bool{}
	for range 1000 * n {
		p := pick(t, b)
		p.DoneAfter(nil, usual)
		if seen[p.Endpoint()] = true; len(seen) == n {
			break
		}
	}
	require.Len(t, seen, n)
	var few [3]balance.Pick
	for i := range few {
		few[i] = pick(t, b)
	}
	for _, p := range few {
		p.Done(nil)
	}
}

// A pick and its end allocate nothing, nor does a look at what would be picked,
// whatever the policy, the weights and the outcome.
func TestG23_PicksAllocateNothing(t *testing.T) {
	if raceEnabled {
		return // the detector allocates; the same test runs without it
	}
	for _, n := range sizes {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			eachPolicy(t, func(t *testing.T, policy balance.Policy) {
				for name, weight := range map[string]func(i int) int{
					"equal": func(int) int { return 1 }, "different": func(i int) int { return 1 + i%3 },
				} {
					ins := numbered(n)
					for i := range ins {
						ins[i].Weight = weight(i)
					}
					r, b := with(t, balance.Config{Policy: policy, Outlier: &balance.Outlier{Consecutive: -1}}, ins...)
					warm(t, b, n)
					query := balance.Query{Key: balance.HashKey("customer"), Exclude: tried(endpoint(t, r, "i003"))}
					free(t, name+" Pick", func() {
						p, _ := b.Pick(bg)
						p.Done(nil)
					})
					free(t, name+" failed", func() {
						p, _ := b.Pick(bg)
						p.Done(errSick)
					})
					free(t, name+" PickWith", func() {
						p, _ := b.PickWith(bg, query)
						p.DoneAfter(nil, 1)
					})
					free(t, name+" abandoned", func() {
						p, _ := b.Pick(bg)
						p.Abandon()
					})
					free(t, name+" three at once", func() {
						p, _ := b.Pick(bg)
						q, _ := b.Pick(bg)
						s, _ := b.Pick(bg)
						q.Done(nil)
						s.Done(nil)
						p.Done(nil)
					})
					free(t, name+" Next", func() { _, _ = b.Next(balance.Query{}) })
					free(t, name+" Next with a query", func() { _, _ = b.Next(query) })
					free(t, name+" HashKey", func() { _, _ = b.Next(balance.Query{Key: balance.HashKey("a customer of ours")}) })
				}
			})
		})
	}
}

// The rest of a config costs no allocation per pick either.
func TestG23_ConfigsAllocateNothing(t *testing.T) {
	if raceEnabled {
		return // the detector allocates; the same test runs without it
	}
	open := balance.GateFunc(func(context.Context) (func(error), error) { return nil, nil })
	for name, cfg := range map[string]balance.Config{
		"filter":     {Filter: func(e *registry.Endpoint) bool { return e.ID() != "i003" }},
		"zone":       {Zone: "here"},
		"subset":     {SubsetSize: 5},
		"slow start": {SlowStart: 1 << 40},
		"outlier":    {Outlier: &balance.Outlier{FailureRate: 0.5, StdevFactor: 1.9}},
		"gate":       {Gate: func(*registry.Endpoint) balance.Gate { return open }}, // of one that allocates nothing itself
		"rand":       {Rand: seeded(1)},
	} {
		t.Run(name, func(t *testing.T) {
			_, b := with(t, cfg, numbered(10)...)
			warm(t, b, b.Stats().Members)
			free(t, "Pick", func() {
				p, _ := b.Pick(bg)
				p.Done(nil)
			})
			free(t, "Next", func() { _, _ = b.Next(balance.Query{}) })
		})
	}
}

// A refusal costs nothing, so that a caller may ask again at once.
func TestG23_RefusalsAllocateNothing(t *testing.T) {
	if raceEnabled {
		return // the detector allocates; the same test runs without it
	}
	for _, n := range sizes {
		for name, prepare := range map[string]func(t *testing.T, r *registry.Registry) balance.Query{
			"no instance": func(t *testing.T, r *registry.Registry) balance.Query {
				for _, in := range numbered(n) {
					deregister(t, r, in.ID)
				}
				return balance.Query{}
			},
			"none usable": func(t *testing.T, r *registry.Registry) balance.Query {
				for _, in := range numbered(n) {
					setHealth(t, r, in.ID, registry.Critical)
				}
				return balance.Query{}
			},
			"all excluded": func(_ *testing.T, r *registry.Registry) balance.Query {
				var q balance.Query
				for e := range r.Service(orders).Snapshot().All() {
					q.Exclude.Add(e)
				}
				return q
			},
			"closed": func(t *testing.T, r *registry.Registry) balance.Query {
				require.NoError(t, r.Close(bg))
				return balance.Query{}
			},
		} {
			t.Run(fmt.Sprint(name, "/", n), func(t *testing.T) {
				r, b := with(t, balance.Config{PanicThreshold: -1}, numbered(n)...)
				q := prepare(t, r)
				_, err := b.PickWith(bg, q)
				require.Error(t, err)
				free(t, "PickWith", func() { _, _ = b.PickWith(bg, q) })
				free(t, "Next", func() { _, _ = b.Next(q) })
			})
		}
	}
	t.Run("finished context", func(t *testing.T) {
		_, b := with(t, balance.Config{}, instance("a"))
		ctx, cancel := context.WithCancel(bg)
		cancel()
		free(t, "Pick", func() { _, _ = b.Pick(ctx) })
	})
}

// Do adds nothing to what fn allocates, nor does the first retry.
func TestG36_DoAllocatesNothing(t *testing.T) {
	if raceEnabled {
		return // the detector allocates; the same test runs without it
	}
	_, b := with(t, balance.Config{}, numbered(10)...)
	warm(t, b, 10)
	fn := func(context.Context, *registry.Endpoint) (int, error) { return 42, nil }
	free(t, "Do", func() { _, _ = balance.Do(bg, b, fn) })
	free(t, "DoWith", func() { _, _ = balance.DoWith(bg, b, balance.Query{Key: 1}, fn) })
	refuse := func(context.Context, *registry.Endpoint) (int, error) { return 0, errSick }
	_, b = with(t, balance.Config{Retry: balance.Retry{Budget: -1}}, numbered(10)...)
	warm(t, b, 10)
	free(t, "a retry", func() { _, _ = balance.Do(bg, b, refuse) })
}
