package registrydns_test

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/registry/registrydns"
)

// Interval is 30 seconds by default, and 10 % more or less.
func TestInterval_jitter(t *testing.T) {
	cases := []struct {
		interval time.Duration
		random   uint64
		want     time.Duration
	}{
		{0, 0, 27 * time.Second},
		{0, 1 << 63, 30 * time.Second},
		{0, math.MaxUint64, 33*time.Second - time.Nanosecond},
		{time.Minute, 0, 54 * time.Second},
		{time.Minute, 1 << 62, 57 * time.Second},
		{1, 0, 0}, // less than a nanosecond is at once
	}
	for _, c := range cases {
		t.Run(fmt.Sprint(c.interval, c.random), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, s := play(t, registrydns.Config{
					Interval: c.interval, Rand: func() uint64 { return c.random },
				}, ips("10.0.0.1"), ips("10.0.0.1"))
				assert.InDelta(t, c.want, s.at[1].Sub(s.at[0]), 10)
			})
		})
	}
}

// Without a Rand the intervals differ, and stay within their bounds.
func TestInterval_random(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, over := context.WithCancelCause(bg)
		s := &script{over: over}
		for range 101 {
			s.replies = append(s.replies, ips("10.0.0.1"))
		}
		src, err := registrydns.New(registrydns.Config{Service: "orders", Name: "orders.test", Port: 80, Resolver: s})
		assert.NoError(t, err)
		assert.Equal(t, errOver, src.Run(ctx, ignore))
		seen := make(map[time.Duration]bool)
		for i, at := range s.at[1:] {
			d := at.Sub(s.at[i])
			assert.True(t, 27*time.Second <= d && d <= 33*time.Second, d)
			seen[d] = true
		}
		assert.Greater(t, len(seen), 90)
	})
}

// The interval begins when the answer is there, so a slow server is not asked
// without a pause.
func TestInterval_afterTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(bg)
		var at []time.Time
		r := resolver{ip: func(context.Context) ([]netip.Addr, error) {
			at = append(at, time.Now())
			if len(at) == 3 {
				cancel(errOver)
			}
			time.Sleep(4 * time.Second)
			return ips("10.0.0.1").addrs, nil
		}}
		assert.Equal(t, errOver, newSource(t, registrydns.Config{Resolver: r, Interval: time.Second}).Run(ctx, ignore))
		assert.Equal(t, 5*time.Second, at[1].Sub(at[0]))
		assert.Equal(t, 5*time.Second, at[2].Sub(at[1]))
	})
}

// The longest interval overflows nothing.
func TestInterval_longest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(bg)
		time.AfterFunc(100*365*24*time.Hour, func() { cancel(errOver) })
		s := &script{replies: []reply{ips("10.0.0.1"), ips("10.0.0.1")}, over: cancel}
		assert.Equal(t, errOver, newSource(t, registrydns.Config{Resolver: s, Interval: math.MaxInt64}).Run(ctx, ignore))
		assert.Len(t, s.asked, 1)
	})
}

// All of it on a Mock: nothing happens until the test moves it.
func TestClock_mock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mock := clock.NewMock()
		ctx, cancel := context.WithCancel(bg)
		lookups, hang := 0, false
		r := resolver{ip: func(ctx context.Context) ([]netip.Addr, error) {
			_, ok := ctx.Deadline()
			assert.False(t, ok, "one of a Mock would be in 1970")
			lookups++
			if hang {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return ips("10.0.0.1").addrs, nil
		}}
		src := newSource(t, registrydns.Config{Resolver: r, Clock: mock})
		ended := make(chan error, 1)
		go func() { ended <- src.Run(ctx, ignore) }()
		synctest.Wait()
		assert.Equal(t, 1, lookups)

		time.Sleep(time.Hour)
		assert.Equal(t, 1, lookups, "real time does not count")
		mock.Add(30*time.Second - 1)
		synctest.Wait()
		assert.Equal(t, 1, lookups)
		hang = true
		mock.Add(1)
		synctest.Wait()
		assert.Equal(t, 2, lookups)

		mock.Add(5*time.Second - 1)
		synctest.Wait()
		assert.Empty(t, ended)
		mock.Add(1)
		assert.ErrorIs(t, <-ended, context.DeadlineExceeded)

		hang = false
		go func() { ended <- src.Run(ctx, ignore) }()
		synctest.Wait()
		cancel()
		assert.Equal(t, context.Canceled, <-ended, "while it waits on the Mock")
	})
}

// An interval that the jitter makes zero has passed already; a Mock alone would
// wait for the next time that it is moved.
func TestClock_mockNoInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events, s := play(t, registrydns.Config{
			Clock: clock.NewMock(), Interval: 1, Rand: func() uint64 { return 0 },
		}, ips("10.0.0.1"), ips("10.0.0.2"))
		assert.Equal(t, []string{"10.0.0.1:80", "10.0.0.2:80"}, events)
		assert.Len(t, s.asked, 2)
	})
}
