package breaker

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Tests of the pure parts: no clock, no lock, no goroutine.

// G2: a span is over at exactly its length, not a nanosecond before.
func TestSpan(t *testing.T) {
	for _, c := range []struct {
		name  string
		s     span
		now   int64
		over  bool
		ahead bool
		left  time.Duration
	}{
		{"begin", span{100, 10}, 100, false, false, 10},
		{"just before the end", span{100, 10}, 109, false, false, 1},
		{"end", span{100, 10}, 110, true, false, 0},
		{"long after", span{100, 10}, math.MaxInt64, true, false, 0},
		{"before the begin", span{100, 10}, 99, false, true, 10},
		{"without length", span{100, 0}, 100, true, false, 0},
		{"without length, before its begin", span{100, 0}, 99, true, false, 0},
		{"without end", span{100, forever}, math.MaxInt64, false, false, 0},
		{"longest", span{100, math.MaxInt64}, math.MaxInt64, false, false, 100},
		{"across all of time", span{math.MinInt64, math.MaxInt64}, math.MaxInt64, true, false, 0},
		{"back across all of time", span{math.MaxInt64, 10}, math.MinInt64, false, true, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.over, c.s.over(c.now), "over")
			assert.Equal(t, c.ahead, c.s.ahead(c.now), "ahead")
			assert.Equal(t, c.left, c.s.left(c.now), "left")
		})
	}
	assert.Equal(t, int64(110), span{100, 10}.end())
	assert.Equal(t, int64(math.MaxInt64), span{100, math.MaxInt64}.end())
	assert.Equal(t, int64(math.MaxInt64), span{100, forever}.end())
}

func newTestSettings(t *testing.T, cfg Config) *settings {
	t.Helper()
	set, err := newSettings(cfg)
	require.NoError(t, err)
	return set
}

// G21: min(OpenFor x Backoff^(n-1), MaxOpenFor), saturated.
func TestOpenTime(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  Config
		want []time.Duration // of openings 1, 2, ...
	}{
		{"default", Config{}, []time.Duration{30 * time.Second, 30 * time.Second}},
		{"doubled, capped at ten times", Config{OpenFor: 1, Backoff: 2}, []time.Duration{1, 2, 4, 8, 10, 10}},
		{"capped", Config{OpenFor: 10, Backoff: 3, MaxOpenFor: 50}, []time.Duration{10, 30, 50, 50}},
		{"no cap", Config{OpenFor: 1, Backoff: 2, MaxOpenFor: -1}, []time.Duration{1, 2, 4, 8, 16, 32}},
		{"negative backoff", Config{OpenFor: 7, Backoff: -3}, []time.Duration{7, 7}},
		{"saturated", Config{OpenFor: math.MaxInt64, Backoff: 2}, []time.Duration{math.MaxInt64, math.MaxInt64}},
		{"saturated on the way", Config{OpenFor: 1 << 61, Backoff: 1.5, MaxOpenFor: -1}, []time.Duration{1 << 61, 3 << 60, 9 << 59, 27 << 58, math.MaxInt64}},
		{"until Reset", Config{OpenFor: -5, Backoff: 2}, []time.Duration{forever, forever}},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := newTestSettings(t, c.cfg)
			for i, want := range c.want {
				assert.Equal(t, want, set.openTime(i+1), "opening %d", i+1)
			}
			assert.Equal(t, set.openTime(1_000_000), set.openTime(math.MaxInt), "no overflow")
		})
	}
}

// G21: jitter scales by 1 +- Jitter, uniformly, and a seed repeats it.
func TestJitter(t *testing.T) {
	draw := func(seed uint64, name string) (sum time.Duration, all []time.Duration) {
		set := newTestSettings(t, Config{OpenFor: 1000, Jitter: 0.5, JitterSeed: seed})
		var b backoff
		for range 10_000 {
			d := b.next(set, nameSeed(name))
			require.GreaterOrEqual(t, d, time.Duration(500))
			require.LessOrEqual(t, d, time.Duration(1500))
			sum += d
			all = append(all, d)
		}
		return sum, all
	}
	sum, one := draw(1, "a")
	assert.InDelta(t, 1000, float64(sum)/10_000, 10, "mean")
	_, again := draw(1, "a")
	assert.Equal(t, one, again, "same seed and name")
	_, other := draw(1, "b")
	assert.NotEqual(t, one, other, "other name")
	_, free := draw(0, "a")
	_, free2 := draw(0, "a")
	assert.NotEqual(t, free, free2, "no seed")

	set := newTestSettings(t, Config{OpenFor: 1, Jitter: 0.5, JitterSeed: 1})
	var b backoff
	for range 100 {
		assert.Positive(t, b.next(set, 0), "jitter leaves no open time of 0")
	}
	set = newTestSettings(t, Config{OpenFor: math.MaxInt64, Jitter: 0.5, JitterSeed: 1})
	for range 100 {
		assert.Positive(t, b.next(set, 0), "nor does it overflow")
	}
}

// G21, G2: the backoff starts over after exactly StableAfter.
func TestBackoffRow(t *testing.T) {
	set := newTestSettings(t, Config{OpenFor: 10, Backoff: 2, MaxOpenFor: -1, StableAfter: 100})
	var b backoff
	assert.True(t, b.rested(set, 0), "never opened")
	assert.Equal(t, time.Duration(10), b.next(set, 0))
	assert.Equal(t, time.Duration(20), b.next(set, 0))
	b.closedAt = 1000
	assert.False(t, b.rested(set, 1099), "closed a nanosecond too short")
	assert.True(t, b.rested(set, 1100), "closed for exactly StableAfter")

	set.StableAfter = 0
	b = backoff{level: 3, closedAt: 0, lastOpen: 70}
	assert.False(t, b.rested(set, 69))
	assert.True(t, b.rested(set, 70), "as long as it was last open")
	set.StableAfter = -1
	assert.True(t, b.rested(set, 0), "any close does")
	b = backoff{level: math.MaxInt}
	b.next(set, 0)
	assert.Equal(t, math.MaxInt, b.level, "the level saturates")
}

// G26: floor(kf) or ceil(kf) of any k arrivals in a row, at a constant share.
func TestDiffuser(t *testing.T) {
	for _, share := range []float64{0, 0.1, 1.0 / 3, 0.5, 0.55, 0.999, 1} {
		var d diffuser
		var prefix []int
		admitted := 0
		fixed := uint64(share * one)
		f := float64(fixed) / one
		for range 400 {
			if d.admit(fixed) {
				admitted++
			}
			prefix = append(prefix, admitted)
		}
		for from := range prefix {
			for to := from; to < len(prefix); to += 37 {
				n := prefix[to] - prefix[from]
				kf := float64(to-from) * f
				require.LessOrEqual(t, math.Floor(kf), float64(n), "share %v, arrivals %d to %d", share, from, to)
				require.GreaterOrEqual(t, math.Ceil(kf), float64(n), "share %v, arrivals %d to %d", share, from, to)
			}
		}
	}
	// The default share: a whole number of calls in every ten.
	var tenth diffuser
	admitted := 0
	for range 1000 {
		if tenth.admit(rampShare(span{0, time.Hour}, 0.1, 0)) {
			admitted++
		}
	}
	assert.Equal(t, 100, admitted)

	// Where the sum wraps, too.
	var d diffuser
	d.sum.Store(math.MaxUint64 - one/2)
	assert.True(t, d.admit(one))
	assert.True(t, d.admit(one))
}

// G26: linear from RampFrom to 1.
func TestRampShare(t *testing.T) {
	s := span{1000, 100}
	for _, c := range []struct {
		now  int64
		want float64
	}{{1000, 0.1}, {1050, 0.55}, {1100, 1}, {5000, 1}, {900, 0.1}} {
		assert.InDelta(t, c.want, float64(rampShare(s, 0.1, c.now))/one, 1e-9, "at %d", c.now)
	}
	assert.Zero(t, rampShare(s, 0, 1000))
}

func TestProbes(t *testing.T) {
	t.Run("G1: limit, and slots are reused", func(t *testing.T) {
		var p probes
		a, ok := p.admit(0, 2)
		require.True(t, ok)
		b, ok := p.admit(0, 2)
		require.True(t, ok)
		_, ok = p.admit(0, 2)
		assert.False(t, ok, "third of two")
		require.True(t, p.held(a))
		p.release(a)
		c, ok := p.admit(0, 2)
		require.True(t, ok)
		assert.Equal(t, a.slot(), c.slot())
		assert.False(t, p.held(a), "a stale ticket is not its successor's")
		p.release(c)
		p.release(b)
		assert.Zero(t, p.inUse)
	})
	t.Run("G23: verdicts", func(t *testing.T) {
		var p probes
		assert.Equal(t, undecided, p.pass(2))
		assert.Equal(t, toClose, p.pass(2))
		p = probes{}
		assert.Equal(t, undecided, p.fail(2, 4))
		assert.Equal(t, undecided, p.fail(2, 4))
		assert.Equal(t, toOpen, p.fail(2, 4), "2 of 4 cannot be reached after 3 failures")
		p = probes{}
		assert.Equal(t, toOpen, p.fail(3, 3))
	})
	t.Run("G25: leases", func(t *testing.T) {
		var p probes
		a, _ := p.admit(100, 4)
		assert.Equal(t, undecided, p.expire(109, 10, 1, 1))
		assert.True(t, p.held(a))
		assert.Equal(t, toOpen, p.expire(110, 10, 1, 1))
		assert.False(t, p.held(a))
		assert.Zero(t, p.inUse)
		assert.False(t, p.held(0), "no ticket")
	})
	t.Run("G34: a lease ahead of the clock starts over", func(t *testing.T) {
		var p probes
		a, _ := p.admit(100, 1)
		assert.Equal(t, undecided, p.expire(50, 10, 1, 1))
		assert.Equal(t, undecided, p.expire(59, 10, 1, 1))
		assert.True(t, p.held(a))
		assert.Equal(t, toOpen, p.expire(60, 10, 1, 1))
	})
	t.Run("G25: second half of the lease", func(t *testing.T) {
		var p probes
		a, _ := p.admit(100, 1)
		assert.False(t, p.due(a, 104, 10))
		assert.True(t, p.due(a, 105, 10))
		assert.False(t, p.due(a, 1000, forever), "no lease, no half")
	})
	t.Run("leases without end", func(t *testing.T) {
		var p probes
		p.admit(100, 1)
		assert.Equal(t, undecided, p.expire(math.MaxInt64, forever, 1, 1))
		from, to := p.window(forever)
		assert.Equal(t, int64(100), from)
		assert.Equal(t, int64(math.MaxInt64), to)
	})
	t.Run("window of a full house", func(t *testing.T) {
		var p probes
		p.admit(100, 2)
		p.admit(105, 2)
		from, to := p.window(10)
		assert.Equal(t, int64(105), from)
		assert.Equal(t, int64(110), to)
	})
}

// G18, G19: the counters against lists of everything that happened.
func TestCountersAgainstLists(t *testing.T) {
	type outcome struct {
		at  int64
		bad bool
	}
	rules := map[string]rule{
		"consecutive":       {kind: consecutive, limit: 4},
		"count of last":     {kind: failureCount, limit: 3, window: LastN(8)},
		"count of last 1":   {kind: failureCount, limit: 1, window: LastN(1)},
		"rate of last":      {kind: failureRate, rate: 0.4, window: LastN(10)},
		"rate, no minimum":  {kind: failureRate, rate: 0.3, minCalls: -1, window: LastN(12)},
		"rate 0.07":         {kind: failureRate, rate: 0.07, minCalls: -1, window: LastN(100)},
		"rate 1":            {kind: failureRate, rate: 1, minCalls: 3, window: LastN(5)},
		"count within":      {kind: failureCount, limit: 3, window: Within(1000)},
		"count of 1 within": {kind: failureCount, limit: 1, window: Within(1000)},
	}
	for name, r := range rules {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(100) {
				rng := rand.New(rand.NewPCG(seed, 1))
				p := []float64{0.02, 0.1, 0.3, 0.6}[rng.IntN(4)]
				c := newCounter(&r)
				var all []outcome
				now := int64(0)
				for range 300 {
					now += int64(rng.IntN(300))
					bad := rng.Float64() < p
					all = append(all, outcome{now, bad})

					// The list's answer.
					var calls, bads int64
					for i, o := range all {
						var in bool
						switch {
						case r.kind == consecutive:
							in = o.bad
							if !o.bad {
								calls, bads = 0, 0
							}
						case r.window.Last > 0:
							in = i >= len(all)-r.window.Last
						default:
							in = o.bad && now-o.at < int64(r.window.Within)
						}
						if in {
							calls++
							if o.bad {
								bads++
							}
						}
					}
					want := bads >= int64(r.limit)
					if r.kind == failureRate {
						want = calls >= r.minimum() && bads*millionths >= r.perMillion()*calls
					}

					if bad {
						require.Equal(t, want, c.bad(now, &r, false), "seed %d, outcome %d: limit", seed, len(all))
					} else {
						c.good(now)
					}
					gotCalls, gotBad := c.counts(now, &r)
					require.Equal(t, bads, gotBad, "seed %d, outcome %d: bad", seed, len(all))
					if r.window.Last > 0 {
						require.Equal(t, calls, gotCalls, "seed %d, outcome %d: calls", seed, len(all))
					}
					if bad && want { // a breaker starts with a new counter then
						c = newCounter(&r)
						all = nil
					}
				}
			}
		})
	}
}

// G19: a rate over Within counts the outcomes of the present bucket and of the
// buckets-1 before it.
func TestRateWindowAgainstList(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 2))
		const width, buckets = 10, 8
		r := rule{kind: failureRate, rate: 0.5, minCalls: 4, window: Window{Within: width * buckets, Buckets: buckets}}
		w := newRateWindow(width*buckets, buckets, 1<<rng.IntN(3))
		type outcome struct {
			tick int64
			bad  bool
		}
		var all []outcome
		now, newest := int64(0), int64(0)
		for range 300 {
			now += []int64{0, 1, 3, 7, 10, 25, 200, -15, -300}[rng.IntN(9)]
			newest = max(newest, max(now, 0)/width)
			bad := rng.IntN(3) == 0
			all = append(all, outcome{newest, bad})
			var calls, bads int64
			for _, o := range all {
				if o.tick > newest-buckets {
					calls++
					if o.bad {
						bads++
					}
				}
			}
			if bad {
				require.Equal(t, calls >= 4 && 2*bads >= calls, w.bad(now, &r, false), "seed %d", seed)
			} else {
				w.good(now)
			}
			gotCalls, gotBad := w.counts(now, &r)
			require.Equal(t, [2]int64{calls, bads}, [2]int64{gotCalls, gotBad}, "seed %d", seed)
		}
		calls, _ := w.counts(newest*width+width*buckets, &r)
		require.Zero(t, calls, "G19: an idle window holds nothing, without an outcome to clear it")
	}
}

// G20: a bucket saturates, and does not spill into its tick.
func TestRateWindowSaturates(t *testing.T) {
	r := rule{kind: failureRate, rate: 1, window: Window{Within: 80, Buckets: 8}}
	w := newRateWindow(80, 8, 1)
	w.rows[1][3].Store(3<<countBits | maxCount - 1)
	w.newest.Store(3)
	for range 3 {
		w.good(35)
	}
	calls, _ := w.counts(35, &r)
	assert.Equal(t, int64(maxCount), calls)
	w.good(45)
	calls, _ = w.counts(45, &r)
	assert.Equal(t, int64(maxCount+1), calls)
}

// A goroutine that was held up for a whole window after reading the time finds
// a bucket that is ahead: it adds there and does not throw the bucket back.
func TestRateWindowHeldUp(t *testing.T) {
	w := newRateWindow(80, 8, 1)
	row := w.rows[1]
	w.add(row, 11) // bucket 3
	w.add(row, 3)  // bucket 3, eight ticks ago
	assert.Equal(t, uint64(11<<countBits|2), row[3].Load())
}

// G34: bad outcomes of a clock that went backward count in the newest.
func TestLogWindowBackward(t *testing.T) {
	r := rule{kind: failureCount, limit: 3, window: Within(1000)}
	c := newCounter(&r)
	assert.False(t, c.bad(5000, &r, false))
	assert.False(t, c.bad(10, &r, false))
	calls, bad := c.counts(10, &r)
	assert.Equal(t, [2]int64{2, 2}, [2]int64{calls, bad})
	assert.True(t, c.bad(5999, &r, false))
	_, bad = c.counts(6000, &r)
	assert.Equal(t, int64(1), bad, "G2: exactly W old has left")
}

// G29: whatever the limit becomes, and becomes again, nothing counted is lost.
func TestHistoryFit(t *testing.T) {
	r := rule{kind: failureCount, limit: 5, window: LastN(10)}
	c := newCounter(&r)
	for range 3 {
		c.bad(0, &r, false)
	}
	r.limit = 2
	c.fit(&r)
	_, bad := c.counts(0, &r)
	assert.Equal(t, int64(3), bad, "lowered")
	r.limit = 5
	c.fit(&r)
	assert.False(t, c.bad(0, &r, false), "4 of 5")
	r.limit = 7
	c.fit(&r)
	assert.False(t, c.bad(0, &r, false), "5 of 7")
	_, bad = c.counts(0, &r)
	assert.Equal(t, int64(5), bad, "raised")
	r.limit = 3
	c.fit(&r)
	assert.True(t, c.bad(0, &r, false), "a limit that is exceeded takes effect at the next bad outcome")
	for range 10 {
		c.good(0)
	}
	_, bad = c.counts(0, &r)
	assert.Zero(t, bad)
}

func TestStripes(t *testing.T) {
	n := stripes()
	assert.Contains(t, []int{1, 2, 4, 8, 16}, n)
	seen := map[int]int{}
	for now := range int64(10_000) {
		seen[stripe(now*100, 4)]++ // a clock that ticks every 100ns
	}
	require.Len(t, seen, 4)
	for i, hits := range seen {
		assert.InDelta(t, 2500, hits, 500, "stripe %d", i)
	}
	assert.Zero(t, stripe(12345, 1))
}

func TestElapsed(t *testing.T) {
	const lo, hi = math.MinInt64, math.MaxInt64
	assert.Equal(t, int64(5), elapsed(10, 15))
	assert.Equal(t, int64(-5), elapsed(15, 10))
	assert.Equal(t, int64(hi), elapsed(lo, hi))
	assert.Equal(t, int64(lo), elapsed(hi, lo))
	assert.Equal(t, int64(hi), elapsed(-1, hi))
	assert.Equal(t, int64(lo), before(lo+5, 10))
	assert.Equal(t, int64(5), before(15, 10))
}

// G2: the longest open time ends at exactly its end.
func TestLongestSpan(t *testing.T) {
	c := &settableClock{}
	b := MustNew("x", Config{Clock: c})
	b.Trip(math.MaxInt64, nil)
	c.now = c.now.Add(math.MaxInt64 - 1)
	assert.Equal(t, Open, b.State())
	c.now = c.now.Add(1)
	assert.Equal(t, HalfOpen, b.State())
}

type settableClock struct{ now time.Time }

func (c *settableClock) Now() time.Time                  { return c.now }
func (c *settableClock) Since(t time.Time) time.Duration { return c.now.Sub(t) }
