package balance_test

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// defaultBase is how long a first ejection lasts.
const defaultBase = 30 * time.Second

// watched is a registry of n instances on a clock, and a balancer that ejects.
func watched(t *testing.T, n int, o balance.Outlier) (*registry.Registry, *balance.Balancer, *handClock, *journal) {
	t.Helper()
	clk, j := newHandClock(), new(journal)
	r := newRegistry(t, registry.Config{Clock: clk})
	if n > 0 {
		registerAll(t, r, numbered(n)...)
	}
	b := newBalancer(t, r, balance.Config{Policy: balance.RoundRobin{}, Outlier: &o, PanicThreshold: -1, Hooks: j.hooks()})
	return r, b, clk, j
}

// ejectedIDs are the members that are ejected.
func ejectedIDs(b *balance.Balancer) []string {
	var all []string
	for m := range b.Members() {
		if m.Ejected {
			all = append(all, m.Endpoint.ID())
		}
	}
	return all
}

// traffic makes n calls to each instance, of which those fail that are told.
func traffic(t *testing.T, b *balance.Balancer, n int, fails map[string]int) {
	t.Helper()
	for m := range b.Members() {
		id := m.Endpoint.ID()
		if m.Ejected {
			continue
		}
		calls(t, b, id, fails[id], errSick)
		calls(t, b, id, n-fails[id], nil)
	}
}

// G34: ejection n lasts Base*n up to Max, and is over at now >= end, not before.
func TestG34_lengths(t *testing.T) {
	const s = time.Second
	cases := map[string]struct {
		o    balance.Outlier
		want []time.Duration
	}{
		"the defaults": {balance.Outlier{}, []time.Duration{30 * s, 60 * s, 90 * s, 120 * s, 150 * s, 180 * s, 210 * s, 240 * s, 270 * s, 300 * s, 300 * s}},
		"own":          {balance.Outlier{Base: 4 * s, Max: 10 * s}, []time.Duration{4 * s, 8 * s, 10 * s, 10 * s}},
		"Max below":    {balance.Outlier{Base: 4 * s, Max: 3 * s}, []time.Duration{3 * s, 3 * s}},
		"no overflow":  {balance.Outlier{Base: math.MaxInt64 / 4, Max: math.MaxInt64 / 4}, []time.Duration{math.MaxInt64 / 4, math.MaxInt64 / 4}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.o.Consecutive = 1
			_, b, clk, j := watched(t, 3, c.o)
			for n, want := range c.want {
				calls(t, b, "i001", 1, errSick)
				began := j.ejected()
				require.Len(t, began, 1)
				assert.Equal(t, want, began[0].For, "ejection %d", n+1)
				assert.Equal(t, clk.Now(), began[0].At)
				clk.pass(want - 1)
				assert.NotContains(t, counts(sequence(t, b, 30)), "i001")
				assert.Empty(t, j.ejected())
				clk.pass(1)
				assert.Equal(t, 10, counts(sequence(t, b, 30))["i001"], "at the end it is over")
				ended := j.ejected()
				require.Len(t, ended, 1)
				assert.False(t, ended[0].Active)
				assert.Equal(t, clk.Now(), ended[0].At)
			}
		})
	}
}

// G34: n falls by one per Interval without ejection, counted from the end of the
// last one, whoever looks when.
func TestG34_forgiveness(t *testing.T) {
	const interval = 10 * time.Second
	cases := map[string]struct {
		quiet time.Duration
		want  int // ejections that count, of three
	}{
		"none":        {0, 3},
		"almost one":  {interval - 1, 3},
		"one":         {interval, 2},
		"almost two":  {2*interval - 1, 2},
		"two":         {2 * interval, 1},
		"three":       {3 * interval, 0},
		"a long time": {1000 * interval, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, b, clk, j := watched(t, 3, balance.Outlier{Consecutive: 1, Interval: interval, Base: time.Minute})
			for n := range 3 {
				calls(t, b, "i000", 1, errSick)
				require.Equal(t, n+1, members(b)["i000"].Ejections)
				clk.pass(time.Duration(n+1) * time.Minute)
				require.Empty(t, ejectedIDs(b))
			}
			j.ejected()
			clk.pass(c.quiet)
			assert.Equal(t, c.want, members(b)["i000"].Ejections)
			calls(t, b, "i000", 1, errSick)
			assert.Equal(t, time.Duration(c.want+1)*time.Minute, j.ejected()[0].For)
			assert.Equal(t, c.want+1, members(b)["i000"].Ejections)
		})
	}
}

// G34: so many failures in a row, of which a success begins a new one, and a call
// that its caller gave up is none and no success either.
func TestG34_consecutive(t *testing.T) {
	_, b, _, _ := watched(t, 3, balance.Outlier{})
	calls(t, b, "i000", 4, errSick)
	calls(t, b, "i000", 1, nil)
	calls(t, b, "i000", 4, errSick)
	calls(t, b, "i000", 10, context.Canceled)
	require.Empty(t, ejectedIDs(b))
	calls(t, b, "i001", 4, errSick) // rows are those of one endpoint
	require.Empty(t, ejectedIDs(b))
	calls(t, b, "i000", 1, errSick)
	assert.Equal(t, []string{"i000"}, ejectedIDs(b))
}

// G34: the first row after an ejection is a new one.
func TestG34_rowAfterEjection(t *testing.T) {
	_, b, clk, _ := watched(t, 3, balance.Outlier{Consecutive: 3})
	var late []balance.Pick
	for range 3 {
		late = append(late, pickOf(t, b, "i000"))
	}
	calls(t, b, "i000", 3, errSick)
	require.Equal(t, []string{"i000"}, ejectedIDs(b))
	for _, p := range late { // begun before, ended meanwhile
		p.Done(errSick)
	}
	clk.pass(defaultBase)
	require.Empty(t, ejectedIDs(b))
	for range 2 {
		calls(t, b, "i000", 1, errSick)
		require.Empty(t, ejectedIDs(b), "calls of before the ejection are held against it")
	}
	calls(t, b, "i000", 1, errSick)
	assert.Equal(t, []string{"i000"}, ejectedIDs(b))
}

// G34: rules that trip together are one ejection.
func TestG34_together(t *testing.T) {
	_, b, clk, j := watched(t, 6, balance.Outlier{Consecutive: 30, FailureRate: 0.5, StdevFactor: 1})
	traffic(t, b, 29, map[string]int{"i001": 29})
	clk.pass(10 * time.Second)
	calls(t, b, "i001", 1, errSick) // ends the Interval, and is the thirtieth in a row
	require.Equal(t, []string{"i001"}, ejectedIDs(b))
	assert.Equal(t, 1, members(b)["i001"].Ejections)
	assert.Len(t, j.ejected(), 1)
	assert.Equal(t, 1, b.Stats().Ejected)
	clk.pass(defaultBase)
	assert.Empty(t, ejectedIDs(b))
	assert.Len(t, j.ejected(), 1)
}

// G34: also when they trip on many goroutines at once, which end calls of before.
func TestG34_concurrent(t *testing.T) {
	_, b, clk, j := watched(t, 8, balance.Outlier{})
	var picks []balance.Pick
	for range 200 {
		picks = append(picks, pick(t, b))
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := g; i < len(picks); i += 8 {
				picks[i].Done(errSick)
			}
		})
	}
	wg.Wait()
	began := j.ejected()
	assert.Len(t, began, 4, "half of eight")
	assert.Len(t, ejectedIDs(b), 4)
	clk.pass(defaultBase)
	assert.Empty(t, ejectedIDs(b))
	assert.Len(t, j.ejected(), 4)
}

// G34: the cap is floor(MaxEjected * members), and who is beyond it stays until
// there is room and it fails again.
func TestG34_cap(t *testing.T) {
	cases := map[string]struct {
		n    int
		o    balance.Outlier
		want int
	}{
		"half of five":       {5, balance.Outlier{}, 2},
		"half of one":        {1, balance.Outlier{}, 0},
		"always one":         {1, balance.Outlier{AlwaysOne: true}, 1},
		"always one of five": {5, balance.Outlier{MaxEjected: 0.1, AlwaysOne: true}, 1},
		"a tenth of five":    {5, balance.Outlier{MaxEjected: 0.1}, 0},
		"seven of ten":       {10, balance.Outlier{MaxEjected: 0.7}, 7},
		"no cap":             {5, balance.Outlier{MaxEjected: -1}, 5},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.o.Consecutive = 1
			_, b, _, j := watched(t, c.n, c.o)
			for i := range c.n {
				calls(t, b, fmt.Sprintf("i%03d", i), 1, errSick)
			}
			assert.Len(t, ejectedIDs(b), c.want)
			assert.Equal(t, c.want, b.Stats().Ejected)
			assert.Len(t, j.ejected(), c.want)
		})
	}
}

// G34: the members of the cap are those that Filter, SubsetSize and weights leave,
// usable or not, and nobody else.
func TestG34_capIsOfMembers(t *testing.T) {
	rules := map[string]balance.Outlier{
		"in a row": {Consecutive: 1, MaxEjected: 0.3},
		"rate":     {Consecutive: -1, FailureRate: 0.5, MinCalls: 1, MinEndpoints: 1, MaxEjected: 0.3},
	}
	cases := map[string]struct {
		cfg    balance.Config
		weight int             // of the second ten of twenty
		health registry.Health // of them
		want   int
	}{
		"all":            {want: 6},
		"unusable ones":  {health: registry.Critical, want: 6},
		"even Down ones": {health: registry.Down, want: 6},
		"subset":         {cfg: balance.Config{SubsetSize: 10, SubsetKey: "client"}, want: 3},
		"Filter":         {cfg: balance.Config{Filter: func(e *registry.Endpoint) bool { return e.ID() < "i010" }}, want: 3},
		"weights":        {weight: -1, want: 3},
	}
	for name, c := range cases {
		for rule, o := range rules {
			t.Run(name+", "+rule, func(t *testing.T) {
				clk := newHandClock()
				r := newRegistry(t, registry.Config{Clock: clk})
				for i, in := range numbered(20) {
					if i >= 10 {
						in.Weight = c.weight
					}
					register(t, r, in)
					if i >= 10 {
						setHealth(t, r, in.ID, c.health)
					}
				}
				c.cfg.Outlier, c.cfg.PanicThreshold = &o, -1
				b := newBalancer(t, r, c.cfg)
				for id, m := range members(b) {
					if m.Usable {
						calls(t, b, id, 1, errSick)
					}
				}
				if rule == "rate" {
					clk.pass(10 * time.Second)
					pick(t, b).Done(errSick)
				}
				assert.Len(t, ejectedIDs(b), c.want)
			})
		}
	}
}

// G34: who is ejected is counted among the members there are: a removed one
// frees its place, and members that come make more.
func TestG34_places(t *testing.T) {
	r, b, clk, j := watched(t, 4, balance.Outlier{Consecutive: 1})
	calls(t, b, "i000", 1, errSick)
	calls(t, b, "i001", 1, errSick)
	calls(t, b, "i002", 1, errSick)
	require.Equal(t, []string{"i000", "i001"}, ejectedIDs(b))
	j.ejected()

	deregister(t, r, "i000")
	calls(t, b, "i002", 1, errSick)
	require.Equal(t, []string{"i001"}, ejectedIDs(b), "one of three")
	gone := j.ejected()
	require.Len(t, gone, 1, "the ejection of a removed one ends with it")
	assert.Equal(t, "i000", gone[0].Endpoint.ID())
	assert.False(t, gone[0].Active)

	register(t, r, instance("i000"))
	assert.Equal(t, []string{"i001"}, ejectedIDs(b), "it comes back as another one")
	calls(t, b, "i002", 1, errSick)
	assert.Equal(t, []string{"i001", "i002"}, ejectedIDs(b))
	clk.pass(defaultBase)
	assert.Empty(t, ejectedIDs(b))
}

// G34: calls to an endpoint that left, or is no member any more, eject nobody.
func TestG34_leftBefore(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, r *registry.Registry){
		"removed": func(t *testing.T, r *registry.Registry) { deregister(t, r, "i000") },
		"elsewhere": func(t *testing.T, r *registry.Registry) {
			in := instance("i000")
			in.Addr = "10.0.0.9:80"
			register(t, r, in)
		},
		"not to be picked": func(t *testing.T, r *registry.Registry) { register(t, r, weighted("i000", -1)) },
	} {
		t.Run(name, func(t *testing.T) {
			r, b, _, j := watched(t, 3, balance.Outlier{Consecutive: 1})
			p := pickOf(t, b, "i000")
			leave(t, r)
			p.Done(errSick)
			assert.Zero(t, b.Stats().Ejected)
			assert.Empty(t, j.ejected())
			calls(t, b, "i001", 1, errSick)
			assert.Equal(t, []string{"i001"}, ejectedIDs(b))
		})
	}
}

// G34: nobody else sees it: not the registry, nor another balancer.
func TestG34_private(t *testing.T) {
	r, b, _, _ := watched(t, 4, balance.Outlier{Consecutive: 1})
	other := newBalancer(t, r, balance.Config{Policy: balance.RoundRobin{}, Outlier: &balance.Outlier{}})
	other.Stats()
	before := r.Service(orders).Snapshot()
	calls(t, b, "i000", 1, errSick)
	require.Equal(t, []string{"i000"}, ejectedIDs(b))
	after := r.Service(orders).Snapshot()
	assert.Same(t, before, after)
	assert.Equal(t, registry.Passing, endpoint(t, r, "i000").Health())
	assert.Equal(t, registry.Passing, endpoint(t, r, "i000").Live().Health())
	assert.Empty(t, ejectedIDs(other))
	assert.Zero(t, members(other)["i000"].Failures)
	assert.Equal(t, 5, counts(sequence(t, other, 20))["i000"])
}

// G34, G24: it goes on whatever else changes about the endpoint and the others,
// and ends with another address.
func TestG34_survives(t *testing.T) {
	r, b, clk, j := watched(t, 4, balance.Outlier{Consecutive: 1})
	calls(t, b, "i000", 1, errSick)
	in := instance("i000")
	in.Weight, in.Meta = 7, map[string]string{"a": "b"}
	register(t, r, in)
	setHealth(t, r, "i000", registry.Critical)
	setHealth(t, r, "i000", 0)
	deregister(t, r, "i003")
	register(t, r, instance("i009"))
	require.Equal(t, []string{"i000"}, ejectedIDs(b))
	require.Len(t, j.ejected(), 1)
	clk.pass(defaultBase - 1)
	require.Equal(t, []string{"i000"}, ejectedIDs(b))
	in.Addr = "10.0.0.9:80"
	register(t, r, in)
	assert.Empty(t, ejectedIDs(b))
	assert.Zero(t, members(b)["i000"].Ejections)
	assert.Len(t, j.ejected(), 1)
}

// G34: an ejected endpoint comes back at its time though nobody calls, and though
// it is the only one.
func TestG34_lastOne(t *testing.T) {
	_, b, clk, _ := watched(t, 1, balance.Outlier{Consecutive: 1, AlwaysOne: true})
	calls(t, b, "i000", 1, errSick)
	_, err := b.Pick(bg)
	require.ErrorIs(t, err, balance.ErrNoInstances)
	clk.pass(defaultBase)
	pick(t, b).Done(nil)
}
