package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

var (
	errBoom  = errors.New("boom")
	errOther = errors.New("other")
)

const (
	openFor  = 30 * time.Second
	thousand = 1000
)

// returning is a function that returns err.
func returning(err error) func(context.Context) error {
	return func(context.Context) error { return err }
}

// lasting is a function that takes a time, which passes in a bubble only, and
// then returns err.
func lasting(d time.Duration, err error) func(context.Context) error {
	return func(context.Context) error {
		time.Sleep(d)
		return err
	}
}

// passing makes n calls, which must be admitted, and succeed.
func passing(tb testing.TB, b *breaker.Breaker, n int) {
	tb.Helper()
	for i := range n {
		require.NoError(tb, b.Run(context.Background(), returning(nil)), "success %d", i+1)
	}
}

// failing makes n calls, which must be admitted, and fail.
func failing(tb testing.TB, b *breaker.Breaker, n int) {
	tb.Helper()
	for i := range n {
		require.Equal(tb, errBoom, b.Run(context.Background(), returning(errBoom)), "failure %d", i+1)
	}
}

// refused makes a call, which must be rejected without fn being run.
func refused(tb testing.TB, b *breaker.Breaker) {
	tb.Helper()
	require.Error(tb, refusal(tb, b))
}

// refusal is what a call is refused with.
func refusal(tb testing.TB, b *breaker.Breaker) *breaker.RejectedError {
	tb.Helper()
	ran := false
	err := b.Run(context.Background(), func(context.Context) error {
		ran = true
		return nil
	})
	var rejection *breaker.RejectedError
	require.ErrorAs(tb, err, &rejection)
	require.ErrorIs(tb, err, breaker.ErrRejected)
	require.False(tb, ran, "a rejected call ran")
	return rejection
}

// forms are the ways to make a call: what returns an error of fn's or of its
// own.
var forms = map[string]func(context.Context, *breaker.Breaker, func(context.Context) error) error{
	"Do": func(ctx context.Context, b *breaker.Breaker, fn func(context.Context) error) error {
		_, err := breaker.Do(ctx, b, func(ctx context.Context) (int, error) { return 1, fn(ctx) })
		return err
	},
	"DoResult": func(ctx context.Context, b *breaker.Breaker, fn func(context.Context) error) error {
		_, err := breaker.DoResult(ctx, b, func(ctx context.Context) (int, error) { return 1, fn(ctx) },
			func(_ int, err error) breaker.Outcome { return breaker.DefaultClassify(ctx, err) })
		return err
	},
	"Run": func(ctx context.Context, b *breaker.Breaker, fn func(context.Context) error) error {
		return b.Run(ctx, fn)
	},
	"Allow": func(ctx context.Context, b *breaker.Breaker, fn func(context.Context) error) (err error) {
		p, err := b.Allow(ctx)
		if err != nil {
			return err
		}
		defer func() { p.Done(err) }()
		return fn(ctx)
	},
}

// issued is a permit, which must be had.
func issued(tb testing.TB, b *breaker.Breaker) *breaker.Permit {
	tb.Helper()
	p, err := b.Allow(context.Background())
	require.NoError(tb, err)
	return &p
}

// halfOpened is a breaker whose open time is over. It runs on the time of a
// bubble, unless cfg has a fakeClock.
func halfOpened(tb testing.TB, cfg breaker.Config) *breaker.Breaker {
	tb.Helper()
	b, err := breaker.New("b", cfg)
	require.NoError(tb, err)
	b.Trip(0, errBoom)
	left := refusal(tb, b).RetryAfter()
	if c, ok := cfg.Clock.(*fakeClock); ok {
		c.advance(left)
	} else {
		time.Sleep(left)
	}
	require.Equal(tb, breaker.HalfOpen, b.State())
	return b
}

// A fakeClock is a time to set. It begins at Unix 0.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func newFakeClock() *fakeClock { return &fakeClock{now: time.Unix(0, 0)} }

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *fakeClock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// A recorder keeps what hooks are told.
type recorder struct {
	mu          sync.Mutex
	transitions []breaker.Transition
	completions []breaker.Completion
	rejections  []*breaker.RejectedError
}

func (r *recorder) hooks() breaker.Hooks {
	return breaker.Hooks{
		Transition: func(_ context.Context, t breaker.Transition) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.transitions = append(r.transitions, t)
		},
		Rejected: func(_ context.Context, e *breaker.RejectedError) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.rejections = append(r.rejections, e)
		},
		Done: func(_ context.Context, c breaker.Completion) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.completions = append(r.completions, c)
		},
	}
}

// transition is the hooks without those that make calls read the clock.
func (r *recorder) transition() breaker.Hooks {
	return breaker.Hooks{Transition: r.hooks().Transition}
}

func (r *recorder) all() []breaker.Transition {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.transitions)
}

// steps are the transitions as text: "closed > open: failures".
func (r *recorder) steps() []string {
	steps := []string{}
	for _, t := range r.all() {
		step := fmt.Sprintf("%v > %v: %v", t.From, t.To, t.Reason)
		if t.WouldOpen {
			step += ", would open"
		}
		steps = append(steps, step)
	}
	return steps
}

func (r *recorder) last(tb testing.TB) breaker.Transition {
	tb.Helper()
	all := r.all()
	require.NotEmpty(tb, all)
	return all[len(all)-1]
}

// completed is the last call reported.
func (r *recorder) completed(tb testing.TB) breaker.Completion {
	tb.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.NotEmpty(tb, r.completions)
	return r.completions[len(r.completions)-1]
}

// chained fails the test unless each transition begins where the one before
// ended.
func chained(tb testing.TB, all []breaker.Transition) {
	tb.Helper()
	from := breaker.Closed
	for i, t := range all {
		require.Equal(tb, from, t.From, "transition %d", i)
		require.Equal(tb, t.From, t.Before.State, "transition %d", i)
		from = t.To
	}
}

// tallies are the parts of a snapshot that count outcomes.
type tallies struct{ Calls, Failures, Ignored, Late uint64 }

func tally(b *breaker.Breaker) tallies {
	s := b.Snapshot()
	return tallies{s.Calls, s.Failures, s.Ignored, s.Late}
}

// inBubbles runs a table of cases, each in a synctest bubble of its own.
func inBubbles[C any](t *testing.T, cases map[string]C, test func(*testing.T, C)) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, c) })
		})
	}
}

// exiting runs f on a goroutine of its own, which may end by panic or
// runtime.Goexit, and reports how it ended.
func exiting(f func()) (panicked any, returned bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { panicked = recover() }()
		f()
		returned = true
	}()
	<-done
	return panicked, returned
}

func assertState(tb testing.TB, want breaker.State, b *breaker.Breaker) {
	tb.Helper()
	assert.Equal(tb, want.String(), b.State().String())
	assert.Equal(tb, want.String(), b.Snapshot().State.String())
}
