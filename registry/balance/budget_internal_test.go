package balance

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newBudget(r Retry) *budget {
	b := new(budget)
	b.init(Config{Retry: r}.withDefaults().Retry)
	return b
}

// inHand are the tokens.
func (b *budget) inHand() float64 { return float64(b.tokens.Load()) / token }

// spent is how many retries it grants in a row, up to most.
func (b *budget) spent(most int) (n int) {
	for n < most && b.spend() {
		n++
	}
	return n
}

// earned lets n calls earn.
func (b *budget) calls(n int) *budget {
	for range n {
		b.earn()
	}
	return b
}

func TestBudget(t *testing.T) {
	cases := map[string]struct {
		r     Retry
		begin int // retries at the start
		calls int // that earn then
		then  int // retries after these
	}{
		"the defaults":                 {Retry{}, 10, 25, 5},
		"not a whole one":              {Retry{}, 10, 4, 0},
		"just a whole one":             {Retry{}, 10, 5, 1},
		"tenths add up":                {Retry{Budget: 0.1}, 10, 70, 7},
		"no more than the burst":       {Retry{Burst: 3, Budget: 1}, 3, 100, 3},
		"more than one per call":       {Retry{Burst: 10, Budget: 2.5}, 10, 2, 5},
		"more per call than the burst": {Retry{Burst: 2, Budget: 1e300}, 2, 1, 2},
		"next to nothing":              {Retry{Burst: 1, Budget: 1e-9}, 1, 1000, 0},
		"a big burst":                  {Retry{Burst: math.MaxInt, Budget: 0.5}, 5000, 0, 5000},
		"no budget":                    {Retry{Burst: 1, Budget: -1}, 5000, 0, 5000},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBudget(c.r)
			assert.Equal(t, c.begin, b.spent(5000))
			assert.Equal(t, c.then, b.calls(c.calls).spent(5000))
		})
	}
}

// Earning stops at the burst: nothing is saved up while all goes well.
func TestBudget_full(t *testing.T) {
	b := newBudget(Retry{Burst: 3, Budget: 0.7})
	b.calls(100)
	assert.InDelta(t, 3, b.inHand(), 1e-9)
	require.True(t, b.spend())
	b.calls(100)
	assert.InDelta(t, 3, b.inHand(), 1e-9)
}

// A retry that could not be made costs nothing.
func TestBudget_refund(t *testing.T) {
	b := newBudget(Retry{Burst: 2})
	require.True(t, b.spend())
	b.refund()
	assert.Zero(t, b.retries.Load())
	assert.Equal(t, 2, b.spent(10))
	assert.EqualValues(t, 2, b.retries.Load())
	assert.EqualValues(t, 1, b.denied.Load())
}

// Others may have filled the budget up before a token comes back, and there are
// never more than Burst in hand.
func TestBudget_refundOfFull(t *testing.T) {
	b := newBudget(Retry{Burst: 2, Budget: 1})
	require.True(t, b.spend())
	b.earn()
	b.refund()
	assert.LessOrEqual(t, b.inHand(), 2.0)
	assert.Equal(t, 2, b.spent(10))
}

// Retries never exceed Burst + Budget*calls, and what is in hand is always
// between none and Burst, whoever meets whom.
func TestBudget_concurrent(t *testing.T) {
	const goroutines, each, burst, share = 8, 5_000, 7, 0.2
	b := newBudget(Retry{Burst: burst, Budget: share})
	var calls, granted, denied atomic.Int64
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 7))
			for range each {
				calls.Add(1) // first: no retry may be granted for a call that is not counted yet
				b.earn()
				for range rng.IntN(3) {
					if b.spend() {
						granted.Add(1)
					} else {
						denied.Add(1)
					}
				}
				n := granted.Load() // before calls, so that it cannot be ahead of them
				assert.LessOrEqual(t, float64(n), burst+share*float64(calls.Load())+1e-6)
				assert.GreaterOrEqual(t, b.inHand(), 0.0)
				assert.LessOrEqual(t, b.inHand(), float64(burst))
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, granted.Load(), b.retries.Load())
	assert.EqualValues(t, denied.Load(), b.denied.Load())
	// All that was earned and not given out is still there, up to Burst: the
	// demand above is five times what is earned, so it never was full for long.
	assert.InDelta(t, burst+share*goroutines*each, float64(granted.Load())+b.inHand(), burst)
}

// Far from empty and from full nothing gets lost, to the last bit.
func TestBudget_conserves(t *testing.T) {
	const goroutines, each = 8, 30_000
	b := newBudget(Retry{Burst: 1_000_000, Budget: 0.7})
	begin := b.burst / 2
	b.tokens.Store(begin)
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for i := range each {
				b.earn()
				if i%2 == 0 && b.spend() && i%4 == 0 {
					b.refund()
				}
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, goroutines*each/4, b.retries.Load())
	assert.Equal(t, begin+goroutines*(each*b.earned-each/4*token), b.tokens.Load())
}

// FuzzBudget compares with a model in whole tokens of a tenth.
func FuzzBudget(f *testing.F) {
	f.Add(uint8(10), uint8(2), []byte{0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1})
	f.Add(uint8(1), uint8(25), []byte{1, 1, 0, 1, 1, 0, 2, 1})
	f.Fuzz(func(t *testing.T, burst, tenths uint8, steps []byte) {
		if burst == 0 || tenths == 0 {
			return
		}
		b := newBudget(Retry{Burst: int(burst), Budget: float64(tenths) / 10})
		have := 10 * int(burst)
		var retries, denied uint64
		for _, s := range steps {
			switch s % 3 {
			case 0:
				b.earn()
				have = min(have+int(tenths), 10*int(burst))
			case 1:
				ok := have >= 10
				require.Equal(t, ok, b.spend())
				if ok {
					have -= 10
					retries++
				} else {
					denied++
				}
			case 2:
				if ok := have >= 10; ok {
					require.True(t, b.spend())
					b.refund()
				}
			}
			require.InDelta(t, float64(have)/10, b.inHand(), 1e-6)
			require.Equal(t, retries, b.retries.Load())
			require.Equal(t, denied, b.denied.Load())
		}
	})
}
