package balance_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// An attemptError is that of an attempt, by number.
type attemptError int

func (e *attemptError) Error() string { return fmt.Sprint("attempt ", int(*e)) }

// An attempts notes which endpoints Do tried; the first fail of them fail, with
// an error of its own each.
type attempts struct {
	fail int
	ids  []string
	errs []error
}

func (a *attempts) call(_ context.Context, e *registry.Endpoint) (string, error) {
	a.ids = append(a.ids, e.ID())
	if n := len(a.ids); n <= a.fail {
		no := attemptError(n)
		a.errs = append(a.errs, &no)
		return fmt.Sprint("result ", n), &no
	}
	return "fine", nil
}

// G36: up to Attempts calls, each with an endpoint that was not tried yet. The
// last error comes back as it is, and so does the result with it.
func TestG36_attempts(t *testing.T) {
	cases := map[string]struct {
		n    int // instances
		r    balance.Retry
		fail int
		want int // attempts
	}{
		"success":                 {5, balance.Retry{}, 0, 1},
		"default":                 {5, balance.Retry{}, 99, 2},
		"second succeeds":         {5, balance.Retry{}, 1, 2},
		"four":                    {5, balance.Retry{Attempts: 4}, 99, 4},
		"four, third succeeds":    {5, balance.Retry{Attempts: 4}, 2, 3},
		"negative is one":         {5, balance.Retry{Attempts: -3}, 99, 1},
		"one":                     {5, balance.Retry{Attempts: 1}, 99, 1},
		"no more than there are":  {3, balance.Retry{Attempts: 9}, 99, 3},
		"many":                    {40, balance.Retry{Attempts: 40, Burst: 100}, 99, 40},
		"the burst is the end":    {9, balance.Retry{Attempts: 9, Burst: 3}, 99, 4},
		"as many as one wants":    {9, balance.Retry{Attempts: math.MaxInt, Budget: -1}, 99, 9},
		"a single one, no second": {1, balance.Retry{}, 99, 1},
	}
	for name, c := range cases {
		for _, policy := range []string{"LeastLoaded", "RoundRobin", "Maglev"} {
			t.Run(name+" "+policy, func(t *testing.T) {
				r, b := with(t, balance.Config{Policy: policies()[policy], Retry: c.r}, numbered(c.n)...)
				a := attempts{fail: c.fail}
				v, err := balance.DoWith(bg, b, balance.Query{Key: 36}, a.call)
				assert.Len(t, a.ids, c.want)
				assert.Len(t, counts(a.ids), c.want, "an endpoint was tried twice: %v", a.ids)
				if c.fail < c.want {
					require.NoError(t, err)
					assert.Equal(t, "fine", v)
				} else {
					assert.Same(t, a.errs[c.want-1], err, "the error of the last attempt itself")
					assert.Equal(t, fmt.Sprint("result ", c.want), v)
				}
				assert.Empty(t, inFlight(r))
				assert.EqualValues(t, c.want-1, b.Stats().Retries)
			})
		}
	}
}

// G36: what the query excludes is not tried, and the caller's set stays as it is.
func TestG36_query(t *testing.T) {
	r, b := with(t, balance.Config{Retry: balance.Retry{Attempts: 20, Burst: 20}}, numbered(12)...)
	var q balance.Query
	for i := range 7 {
		q.Exclude.Add(endpoint(t, r, fmt.Sprintf("i%03d", i)))
	}
	for range 2 {
		a := attempts{fail: 99}
		_, err := balance.DoWith(bg, b, q, a.call)
		require.Error(t, err)
		assert.Equal(t, []string{"i007", "i008", "i009", "i010", "i011"}, keys(counts(a.ids)))
	}
}

// G36: with a key the attempts are its choices in their order.
func TestG36_choicesOfKey(t *testing.T) {
	for name, policy := range hashes() {
		t.Run(name, func(t *testing.T) {
			_, b := with(t, balance.Config{Policy: policy, Retry: balance.Retry{Attempts: 5, Budget: -1}}, numbered(9)...)
			for _, key := range userKeys(50) {
				first, again := attempts{fail: 99}, attempts{fail: 99}
				_, _ = balance.DoWith(bg, b, balance.Query{Key: key}, first.call)
				_, _ = balance.DoWith(bg, b, balance.Query{Key: key}, again.call)
				require.Equal(t, first.ids, again.ids)
				require.Equal(t, homes(t, b, []uint64{key}), first.ids[:1])
			}
		})
	}
}

// G36: without any attempt the error is that of Pick, and fn is not called.
func TestG36_noAttempt(t *testing.T) {
	gone, cancel := context.WithCancelCause(bg)
	cause := errors.New("gone")
	cancel(cause)
	never := func(context.Context, *registry.Endpoint) (int, error) { panic("called") }
	r, b := with(t, balance.Config{})
	_, err := balance.Do(bg, b, never)
	require.ErrorIs(t, err, balance.ErrNoInstances)
	register(t, r, instance("a"))
	_, err = balance.Do(gone, b, never)
	require.Same(t, cause, err)

	_, err = balance.Do[int](bg, b, nil)
	require.ErrorContains(t, err, "nil function")
	_, err = balance.Do(nil, b, never) //nolint:staticcheck // misuse is what this is about
	require.ErrorContains(t, err, "nil context")
	_, err = balance.Do(bg, nil, never)
	require.ErrorContains(t, err, "nil or zero Balancer")
	_, err = balance.Do(bg, new(balance.Balancer), never)
	require.ErrorContains(t, err, "nil or zero Balancer")

	require.NoError(t, r.Close(bg))
	_, err = balance.Do(bg, b, never)
	require.ErrorIs(t, err, registry.ErrClosed)
	assert.InDelta(t, 10, b.Stats().RetryTokens, 0)
}

// G36: If decides which errors are worth another attempt. It is not asked where
// there is none to be made.
func TestG36_if(t *testing.T) {
	var asked []error
	cfg := balance.Config{Retry: balance.Retry{Attempts: 3, If: func(err error) bool {
		asked = append(asked, err)
		return !errors.Is(err, errSick)
	}}}
	_, b := with(t, cfg, numbered(5)...)
	a := attempts{fail: 99}
	_, err := balance.Do(bg, b, a.call)
	assert.Equal(t, a.errs[2], err)
	assert.Equal(t, a.errs[:2], asked)

	n := 0
	_, err = balance.Do(bg, b, func(context.Context, *registry.Endpoint) (int, error) { n++; return 0, errSick })
	assert.Same(t, errSick, err)
	assert.Equal(t, 1, n)
	s := b.Stats()
	assert.EqualValues(t, 2, s.Retries)
	assert.Zero(t, s.RetriesDenied, "nobody wanted one")
}

// G36: once ctx has ended there is no further attempt, If is not asked, and the
// error is that of the attempt, not of ctx.
func TestG36_ctxEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(bg)
	r, b := with(t, balance.Config{Retry: balance.Retry{If: func(error) bool {
		assert.Fail(t, "nobody waits for another attempt")
		return true
	}}}, numbered(5)...)
	n := 0
	_, err := balance.Do(ctx, b, func(context.Context, *registry.Endpoint) (int, error) {
		n++
		cancel()
		return 0, errSick
	})
	assert.Same(t, errSick, err)
	assert.Equal(t, 1, n)
	assert.Empty(t, inFlight(r))
	assert.InDelta(t, 10, b.Stats().RetryTokens, 0)
}

// G36: ctx may end at the last moment, while If is asked. Nothing is picked then,
// the error still is that of the attempt, and the token comes back.
func TestG36_ctxEndsWhileIfIsAsked(t *testing.T) {
	ctx, cancel := context.WithCancelCause(bg)
	gates := newGateLog()
	r, b := with(t, balance.Config{Gate: gates.gate, Retry: balance.Retry{Attempts: 5, If: func(error) bool {
		cancel(errGate)
		return true
	}}}, numbered(5)...)
	a := attempts{fail: 99}
	v, err := balance.Do(ctx, b, a.call)
	require.Len(t, a.ids, 1)
	assert.Same(t, a.errs[0], err)
	assert.Equal(t, "result 1", v)
	assert.Equal(t, map[string]int{a.ids[0]: 1}, gates.asked)
	assert.Empty(t, inFlight(r))
	s := b.Stats()
	assert.InDelta(t, 10, s.RetryTokens, 0)
	assert.Zero(t, s.Retries)
	assert.Zero(t, s.RetriesDenied)
}

// G36: a context that ends by its deadline ends the attempts too, and those that
// are left are not made by Attempts either.
func TestG36_ctxEndsByDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(bg, time.Second, errGate)
		defer cancel()
		_, b := with(t, balance.Config{Retry: balance.Retry{Attempts: 5}}, numbered(5)...)
		a := b.Attempts(ctx, balance.Query{})
		p, err := a.Next(nil)
		require.NoError(t, err)
		p.Done(errSick)
		p, err = a.Next(errSick)
		require.NoError(t, err)
		p.Done(errSick)
		<-ctx.Done()
		last := errors.New("last")
		p, err = a.Next(last)
		assert.Same(t, last, err)
		assert.Zero(t, p)
		assert.EqualValues(t, 1, b.Stats().Retries)
		a = b.Attempts(ctx, balance.Query{})
		_, err = a.Next(nil)
		assert.Same(t, errGate, err)
	})
}

// G36: Burst tokens at the start, Budget for each call up to Burst, and one for
// each retry.
func TestG36_budget(t *testing.T) {
	_, b := with(t, balance.Config{Retry: balance.Retry{Burst: 3, Budget: 0.5}}, numbered(4)...)
	tokens := func() float64 { return b.Stats().RetryTokens }
	try := func(fail int) int {
		a := attempts{fail: fail}
		_, _ = balance.Do(bg, b, a.call)
		return len(a.ids)
	}
	assert.InDelta(t, 3, tokens(), 1e-9)
	require.Equal(t, 1, try(0))
	assert.InDelta(t, 3, tokens(), 1e-9, "no more than Burst")
	require.Equal(t, 2, try(99))
	assert.InDelta(t, 2, tokens(), 1e-9)
	for _, want := range []float64{1.5, 1, 0.5} {
		require.Equal(t, 2, try(99))
		assert.InDelta(t, want, tokens(), 1e-9)
	}
	require.Equal(t, 2, try(99), "0.5 and what this call earns are one")
	require.Equal(t, 1, try(99))
	assert.InDelta(t, 0.5, tokens(), 1e-9)
	s := b.Stats()
	assert.EqualValues(t, 5, s.Retries)
	assert.EqualValues(t, 1, s.RetriesDenied)
	for range 20 {
		try(0)
	}
	assert.InDelta(t, 3, tokens(), 1e-9)
}

// G36: a retry for which there is no endpoint costs nothing, and no more tokens
// come back than there may be.
func TestG36_budgetOfRetryNotMade(t *testing.T) {
	_, b := with(t, balance.Config{}, numbered(1)...)
	a := attempts{fail: 99}
	_, _ = balance.Do(bg, b, a.call)
	s := b.Stats()
	assert.InDelta(t, 10, s.RetryTokens, 1e-9)
	assert.Zero(t, s.Retries)

	type within struct{}
	// The gate of the second endpoint makes other calls, which earn, while the
	// token for it is out, and refuses then.
	var other *balance.Balancer
	gate := func(e *registry.Endpoint) balance.Gate {
		if e.ID() == "i000" {
			return nil
		}
		return balance.GateFunc(func(ctx context.Context) (func(error), error) {
			if ctx.Value(within{}) == nil {
				inner := context.WithValue(ctx, within{}, true)
				for range 10 {
					_, _ = balance.Do(inner, other, func(context.Context, *registry.Endpoint) (int, error) { return 0, nil })
				}
			}
			return nil, errSick
		})
	}
	_, other = with(t, balance.Config{Gate: gate, Retry: balance.Retry{Burst: 2}}, numbered(2)...)
	b = other
	a = attempts{fail: 1}
	_, err := balance.Do(bg, b, a.call)
	require.Error(t, err)
	require.Equal(t, []string{"i000"}, a.ids)
	assert.LessOrEqual(t, b.Stats().RetryTokens, 2.0, "more than Burst in hand")
}

// G36: an attempt that fails is a failure of its endpoint alone.
func TestG36_outcomes(t *testing.T) {
	_, b := with(t, balance.Config{Policy: balance.RoundRobin{}, Outlier: &balance.Outlier{Consecutive: 1}}, numbered(4)...)
	a := attempts{fail: 1}
	_, err := balance.Do(bg, b, a.call)
	require.NoError(t, err)
	assert.Equal(t, a.ids[:1], ejectedIDs(b))
	all := members(b)
	assert.EqualValues(t, 1, all[a.ids[0]].Failures)
	assert.Zero(t, all[a.ids[1]].Failures)
}
