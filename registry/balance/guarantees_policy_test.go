package balance_test

import (
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// each is a count for each of the IDs of n numbered instances.
func each(n, count int) map[string]int {
	all := map[string]int{}
	for _, in := range numbered(n) {
		all[in.ID] = count
	}
	return all
}

// spread is the difference between the greatest and the least count, without
// some IDs.
func spread(got map[string]int, without ...string) int {
	least, most := math.MaxInt, 0
	for id, n := range got {
		for _, out := range without {
			if id == out {
				n = -1
			}
		}
		if n >= 0 {
			least, most = min(least, n), max(most, n)
		}
	}
	return most - least
}

// inProportion expects counts in proportion to weights, each within five
// standard deviations.
func inProportion(t *testing.T, weights, got map[string]int) {
	t.Helper()
	total, sum := 0, 0
	for id := range weights {
		sum += weights[id]
	}
	for id := range got {
		total += got[id]
	}
	for id, w := range weights {
		p := float64(w) / float64(sum)
		sd := math.Sqrt(float64(total) * p * (1 - p))
		assert.InDelta(t, float64(total)*p, float64(got[id]), 5*sd+1e-9, "%s of %v", id, got)
	}
}

// weightsOf are instances w0, w1 and so on of these weights, and the weights by
// ID.
func weightsOf(weights ...int) (ins []registry.Instance, byID map[string]int) {
	byID = map[string]int{}
	for i, w := range weights {
		id := fmt.Sprintf("w%d", i)
		ins, byID[id] = append(ins, weighted(id, w)), w
	}
	return ins, byID
}

func TestG27_EachOnceInEveryWindow(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10, 97} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			_, b := with(t, balance.Config{Policy: balance.RoundRobin{}}, numbered(n)...)
			all := sequence(t, b, 5*n)
			for i := range all[:4*n+1] {
				require.Equal(t, each(n, 1), counts(all[i:i+n]), "from pick %d", i)
			}
		})
	}
}

// Also by Next, and by both mixed: there is one position.
func TestG27_OnePosition(t *testing.T) {
	_, b := with(t, balance.Config{Policy: balance.RoundRobin{}}, numbered(7)...)
	got := map[string]int{}
	for i := range 70 {
		if i%3 == 0 {
			got[pick(t, b).Endpoint().ID()]++
			continue
		}
		e, err := b.Next(balance.Query{})
		require.NoError(t, err)
		got[e.ID()]++
	}
	assert.Equal(t, each(7, 10), got)
}

// The picks of those that are excluded go to all others alike.
func TestG27_TheShareOfTheExcluded(t *testing.T) {
	for name, out := range map[string][]string{
		"one":         {"i004"},
		"the last":    {"i009"},
		"neighbours":  {"i004", "i005", "i006"},
		"two apart":   {"i001", "i006"},
		"all but two": {"i000", "i001", "i002", "i003", "i005", "i006", "i007", "i008"},
	} {
		t.Run(name, func(t *testing.T) {
			r, b := with(t, balance.Config{Policy: balance.RoundRobin{}}, numbered(10)...)
			var q balance.Query
			for _, id := range out {
				q.Exclude.Add(endpoint(t, r, id))
			}
			got := counts(sequenceWith(t, b, q, 5000))
			assert.Len(t, got, 10-len(out))
			assert.LessOrEqual(t, spread(got), 1, "%v", got)
		})
	}
}

// Only some calls exclude, as retries do. They do not disturb the round.
func TestG27_RetriesKeepTheRound(t *testing.T) {
	_, b := with(t, balance.Config{Policy: balance.RoundRobin{}}, numbered(10)...)
	got := map[string]int{}
	for range 1000 {
		p := pick(t, b)
		got[p.Endpoint().ID()]++
		if p.Endpoint().ID() == "i004" {
			again := pickWith(t, b, balance.Query{Exclude: tried(p.Endpoint())})
			got[again.Endpoint().ID()]++
		}
	}
	assert.LessOrEqual(t, spread(got), 1, "%v", got)
}

func TestG27_TheShareOfTheEjected(t *testing.T) {
	_, b := with(t, balance.Config{Policy: balance.RoundRobin{}, Outlier: &balance.Outlier{Consecutive: 1}}, numbered(10)...)
	pickOf(t, b, "i004").Done(errSick)
	got := counts(sequence(t, b, 900))
	want := each(10, 100)
	delete(want, "i004")
	assert.Equal(t, want, got)
}

// A newcomer that gets a tenth of its share leaves the rest to all ripe ones.
func TestG27_TheShareOfTheRamping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := with(t, balance.Config{Policy: balance.RoundRobin{}, SlowStart: time.Hour, Rand: seeded(27)}, numbered(10)...)
		time.Sleep(2 * time.Hour)
		register(t, r, instance("i0045"))
		got := counts(sequence(t, b, 11_000))
		assert.LessOrEqual(t, spread(got, "i0045"), 1, "%v", got)
		assert.InDelta(t, 100, got["i0045"], 50)
	})
}

// Changes do not begin the round again.
func TestG27_ThePositionSurvives(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, r *registry.Registry, i int){
		"metadata": func(t *testing.T, r *registry.Registry, i int) {
			in := instance("i003")
			in.Version = fmt.Sprint(i)
			register(t, r, in)
		},
		"health": func(t *testing.T, r *registry.Registry, i int) {
			setHealth(t, r, "i003", registry.Health(i%2)*registry.Warning)
		},
		"others come and go": func(t *testing.T, r *registry.Registry, i int) {
			register(t, r, instance("z"))
			setHealth(t, r, "z", registry.Critical)
			if i%3 == 0 {
				deregister(t, r, "z")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, b := with(t, balance.Config{Policy: balance.RoundRobin{}}, numbered(10)...)
			got := map[string]int{}
			for i := range 100 {
				got[sequence(t, b, 1)[0]]++
				change(t, r, i)
			}
			assert.Equal(t, each(10, 10), got)
		})
	}
}

// A set that changes all the time, at random moments, is used evenly.
func TestG27_ASetThatChanges(t *testing.T) {
	r, b := with(t, balance.Config{Policy: balance.RoundRobin{}}, numbered(10)...)
	got, random, there := map[string]int{}, seeded(72), false
	for range 3000 {
		for _, id := range sequence(t, b, int(random()%7)) {
			got[id]++
		}
		if there = !there; there {
			register(t, r, instance("i0005"))
		} else {
			deregister(t, r, "i0005")
		}
	}
	assert.Less(t, spread(got, "i0005"), 150, "about 860 each: %v", got)
}

// Weighted and random draws, and the exactness of a rotation, by all the ways
// through a balancer.
func TestG28_Proportions(t *testing.T) {
	for name, c := range map[string]struct {
		policy  balance.Policy
		weights []int
	}{
		"drawn":            {balance.Weighted{}, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		"drawn, 1000 to 1": {balance.Weighted{}, []int{1000, 1}},
		"drawn, equal":     {balance.Weighted{}, []int{5, 5, 5}},
		"drawn, greatest":  {balance.Weighted{}, []int{1_000_000, 500_000, 999_983}},
		"smooth":           {balance.Weighted{Smooth: true}, []int{1, 2, 3, 4}},
		"smooth, drawn":    {balance.Weighted{Smooth: true}, []int{999_983, 500_000, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			ins, weights := weightsOf(c.weights...)
			_, b := with(t, balance.Config{Policy: c.policy, Rand: seeded(28)}, ins...)
			inProportion(t, weights, counts(sequence(t, b, 20_000)))
		})
	}
}

// Every window of sum/gcd picks is exact, and no run is longer than it has to be.
func TestG28_SmoothIsExact(t *testing.T) {
	for _, c := range []struct {
		weights     []int
		period, run int
	}{
		{[]int{1, 2, 3, 4}, 10, 1},
		{[]int{100, 200, 300, 400}, 10, 1},
		{[]int{5, 1, 1}, 7, 3},
		{[]int{9, 1}, 10, 9},
		{[]int{7, 7, 7}, 3, 1},
		{[]int{300, 200}, 5, 2},
		{[]int{16_383, 1}, 16_384, 16_383},
	} {
		t.Run(fmt.Sprint(c.weights), func(t *testing.T) {
			ins, weights := weightsOf(c.weights...)
			sum := 0
			for _, w := range c.weights {
				sum += w
			}
			_, b := with(t, balance.Config{Policy: balance.Weighted{Smooth: true}}, ins...)
			all := sequence(t, b, 2*c.period+100)
			window, last := counts(all[:c.period]), ""
			run := 0
			for i, id := range all {
				if id != last {
					run, last = 0, id
				}
				run++
				require.LessOrEqual(t, run, c.run, "a run of %s at %d", id, i)
				if i >= c.period {
					window[id]++
					window[all[i-c.period]]--
				}
				if i < c.period-1 {
					continue
				}
				for id, n := range window {
					require.Equal(t, weights[id]*c.period/sum, n, "%s in the window that ends at %d", id, i)
				}
			}
		})
	}
}

// A rotation draws no random numbers, a draw takes one, whatever the weights.
func TestG28_HowManyNumbersAPickDraws(t *testing.T) {
	for name, c := range map[string]struct {
		policy  balance.Policy
		weights []int
		want    float64
	}{
		"RoundRobin":           {balance.RoundRobin{}, []int{1, 1_000_000}, 0},
		"Random":               {balance.Random{}, []int{1, 1_000_000}, 1},
		"Weighted, equal":      {balance.Weighted{}, []int{3, 3}, 1},
		"Weighted, skewed":     {balance.Weighted{}, []int{1, 1_000_000, 1}, 1},
		"Smooth at the limit":  {balance.Weighted{Smooth: true}, []int{16_383, 1}, 0},
		"Smooth above it":      {balance.Weighted{Smooth: true}, []int{16_384, 1}, 1},
		"Smooth, of great gcd": {balance.Weighted{Smooth: true}, []int{1_000_000, 500_000}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			ins, _ := weightsOf(c.weights...)
			var drawn atomic.Int64
			random := seeded(1)
			_, b := with(t, balance.Config{Policy: c.policy, Rand: func() uint64 { drawn.Add(1); return random() }}, ins...)
			sequence(t, b, 1)
			drawn.Store(0)
			sequence(t, b, 1000)
			assert.InDelta(t, 1000*c.want, drawn.Load(), 0)
		})
	}
}

func TestG28_WeightsAreIgnored(t *testing.T) {
	ins, weights := weightsOf(1, 1_000_000, 1000)
	for id := range weights {
		weights[id] = 1
	}
	_, b := with(t, balance.Config{Policy: balance.RoundRobin{}}, ins...)
	assert.Equal(t, map[string]int{"w0": 100, "w1": 100, "w2": 100}, counts(sequence(t, b, 300)))
	_, b = with(t, balance.Config{Policy: balance.Random{}, Rand: seeded(28)}, ins...)
	inProportion(t, weights, counts(sequence(t, b, 30_000)))
}

// A new weight counts from the next pick on, and the rotation goes on where it
// was.
func TestG28_AWeightThatChanges(t *testing.T) {
	r, b := with(t, balance.Config{Policy: balance.Weighted{Smooth: true}}, weighted("a", 1), weighted("b", 1))
	assert.Equal(t, map[string]int{"a": 5, "b": 5}, counts(sequence(t, b, 10)))
	register(t, r, weighted("a", 4))
	assert.Equal(t, map[string]int{"a": 8, "b": 2}, counts(sequence(t, b, 10)))

	got := map[string]int{}
	for i := range 100 {
		in := weighted("b", 1)
		in.Version = fmt.Sprint(i)
		register(t, r, in)
		got[sequence(t, b, 1)[0]]++
	}
	assert.Equal(t, map[string]int{"a": 80, "b": 20}, got)
}
