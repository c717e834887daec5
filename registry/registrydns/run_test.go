package registrydns_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registrydns"
)

func ignore(registry.Batch) error { return nil }

// Misuse is an error that names it.
func TestRun_misuse(t *testing.T) {
	var none *registrydns.Source
	assert.EqualError(t, none.Run(bg, ignore), "registrydns: nil or zero Source, use New")
	assert.EqualError(t, new(registrydns.Source).Run(bg, ignore), "registrydns: nil or zero Source, use New")
	src := newSource(t, registrydns.Config{Resolver: &script{}})
	assert.EqualError(t, src.Run(nil, ignore), "registrydns: nil context") //nolint:staticcheck // the misuse under test
	assert.EqualError(t, src.Run(bg, nil), "registrydns: nil deliver")
}

// A context that has ended leaves nothing to do.
func TestRun_ended(t *testing.T) {
	ctx, cancel := context.WithCancelCause(bg)
	cancel(errOver)
	s := &script{}
	src := newSource(t, registrydns.Config{Resolver: s})
	assert.Equal(t, errOver, src.Run(ctx, ignore))
	assert.Empty(t, s.asked)
}

// A second run at the same time is refused, since two would not have one row of
// not-found answers; one after the other may run.
func TestRun_twice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resolver{ip: func(context.Context) ([]netip.Addr, error) { return ips("10.0.0.1").addrs, nil }}
		src := newSource(t, registrydns.Config{Resolver: r})
		for range 2 {
			ctx, cancel := context.WithCancel(bg)
			go func() { assert.Equal(t, context.Canceled, src.Run(ctx, ignore)) }()
			synctest.Wait()
			assert.EqualError(t, src.Run(bg, ignore), "registrydns: the Source runs already, every feed needs one of its own")
			cancel()
			synctest.Wait()
		}
	})
}

// An answer that comes when the feed is over is not delivered.
func TestRun_lateAnswer(t *testing.T) {
	ctx, cancel := context.WithCancelCause(bg)
	r := resolver{ip: func(context.Context) ([]netip.Addr, error) {
		cancel(errOver)
		return ips("10.0.0.1").addrs, nil
	}}
	err := newSource(t, registrydns.Config{Resolver: r}).Run(ctx, func(registry.Batch) error {
		assert.Fail(t, "delivered")
		return nil
	})
	assert.Equal(t, errOver, err)
}

// A not-found answer at the end of a feed is not the first of two.
func TestRun_endIsNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(bg)
		stop := cancel
		r := resolver{ip: func(context.Context) ([]netip.Addr, error) {
			stop()
			return nil, notFound().err
		}}
		src := newSource(t, registrydns.Config{Resolver: r})
		assert.Equal(t, context.Canceled, src.Run(ctx, ignore))
		stop = func() {}
		var dns *net.DNSError
		assert.ErrorAs(t, src.Run(bg, ignore), &dns)
	})
}

// What was refused is delivered again with the next answer, equal or not, until
// all is taken.
func TestRun_refused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(bg)
		s := &script{over: cancel}
		for range 5 {
			s.replies = append(s.replies, ips("10.0.0.1"))
		}
		start := time.Now()
		var at []time.Duration
		err := newSource(t, registrydns.Config{Resolver: s}).Run(ctx, func(registry.Batch) error {
			at = append(at, time.Since(start))
			if len(at) < 3 {
				return &registry.Error{Op: registry.OpFeed, Field: "Limits.Instances", Err: errBroken}
			}
			return nil
		})
		assert.Equal(t, errOver, err)
		assert.Equal(t, []time.Duration{0, 30 * time.Second, time.Minute}, at)
	})
}

// A registry that is closed ends the run.
func TestRun_closed(t *testing.T) {
	closed := fmt.Errorf("wrapped: %w", registry.ErrClosed)
	s := &script{replies: []reply{ips("10.0.0.1")}}
	err := newSource(t, registrydns.Config{Resolver: s}).Run(bg, func(registry.Batch) error { return closed })
	assert.Equal(t, closed, err)
}

// A feed that ends during a delivery ends the run, whatever deliver returns.
func TestRun_endedByDeliver(t *testing.T) {
	for _, result := range []error{nil, errBroken} {
		ctx, cancel := context.WithCancelCause(bg)
		s := &script{replies: []reply{ips("10.0.0.1")}}
		err := newSource(t, registrydns.Config{Resolver: s}).Run(ctx, func(registry.Batch) error {
			cancel(errOver)
			return result
		})
		assert.Equal(t, errOver, err)
	}
}

// A panic of the Resolver and its runtime.Goexit go on to whoever called Run,
// which can be called again. They end a row of not-found answers.
func TestRun_panics(t *testing.T) {
	calls := 0
	r := resolver{ip: func(context.Context) ([]netip.Addr, error) {
		calls++
		switch calls {
		case 2:
			panic(errBroken)
		case 4:
			runtime.Goexit()
		}
		return nil, notFound().err
	}}
	src := newSource(t, registrydns.Config{Resolver: r})
	var dns *net.DNSError
	require.ErrorAs(t, src.Run(bg, ignore), &dns)
	require.PanicsWithValue(t, errBroken, func() { _ = src.Run(bg, ignore) })
	require.ErrorAs(t, src.Run(bg, ignore), &dns, "the first again")
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = src.Run(bg, ignore)
	}()
	<-gone
	require.ErrorAs(t, src.Run(bg, ignore), &dns, "and again")
}

// The Timeout bounds each lookup, not the run.
func TestRun_timeout(t *testing.T) {
	cases := []struct {
		timeout, want time.Duration // want 0: none
	}{
		{0, 5 * time.Second},
		{time.Minute, time.Minute},
		{-1, 0},
	}
	for _, c := range cases {
		t.Run(fmt.Sprint(c.timeout), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var left []time.Duration
				ctx, cancel := context.WithCancelCause(bg)
				r := resolver{ip: func(ctx context.Context) ([]netip.Addr, error) {
					deadline, ok := ctx.Deadline()
					assert.Equal(t, c.want != 0, ok)
					if ok {
						left = append(left, time.Until(deadline))
					}
					if len(left) == 2 || !ok {
						cancel(errOver)
					}
					return ips("10.0.0.1").addrs, nil
				}}
				err := newSource(t, registrydns.Config{Resolver: r, Timeout: c.timeout}).Run(ctx, ignore)
				assert.Equal(t, errOver, err)
				if c.want != 0 {
					assert.Equal(t, []time.Duration{c.want, c.want}, left)
				}
			})
		})
	}
}

// A lookup at its Timeout fails, with the deadline as its error.
func TestRun_timedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resolver{ip: func(ctx context.Context) ([]netip.Addr, error) {
			<-ctx.Done()
			return nil, errors.New("operation was canceled")
		}}
		start := time.Now()
		err := newSource(t, registrydns.Config{Resolver: r}).Run(bg, ignore)
		assert.Equal(t, 5*time.Second, time.Since(start))
		assert.EqualError(t, err, "registrydns: lookup orders.test.: context deadline exceeded after 5s")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// A Resolver that is late but has an answer is believed.
func TestRun_answerAfterTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resolver{ip: func(context.Context) ([]netip.Addr, error) {
			time.Sleep(time.Minute)
			return ips("10.0.0.1").addrs, nil
		}}
		assert.Equal(t, []string{"10.0.0.1:80"}, ids(one(t, registrydns.Config{Resolver: r})))
	})
}
