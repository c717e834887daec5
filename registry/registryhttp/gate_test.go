package registryhttp_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// guarded gives every instance a breaker that opens at the second failure in a
// row, or for as long as the instance says.
func guarded(t *testing.T) (*breaker.Group[string], tweak) {
	t.Helper()
	breakers, err := breaker.NewGroup(breaker.GroupConfig[string]{Config: breaker.Config{
		Trip: breaker.ConsecutiveFailures(2), OpenFor: 10 * time.Second, CloseAfter: 1, Probes: 1,
	}})
	require.NoError(t, err)
	return breakers, func(cfg *registryhttp.TransportConfig) {
		cfg.Balancer.Gate = func(e *registry.Endpoint) balance.Gate {
			return balance.GateFunc(func(ctx context.Context) (func(error), error) {
				p, err := breakers.Get(e.Addr()).Allow(ctx) // Get per call: a Group may forget what it does not see used
				if err != nil {
					return nil, err
				}
				return func(err error) {
					var se *registryhttp.StatusError
					if errors.As(err, &se) {
						if d := breakerhttp.RetryAfter(se.Header, time.Now()); d > 0 {
							p.Trip(min(d, 5*time.Minute), err)
							return
						}
					}
					p.Done(err)
				}, nil
			})
		}
	}
}

// G35 over HTTP: an instance whose breaker is open gets no calls; when it comes
// back it gets them again.
func TestGate_OpenBreakerIsSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sick := true
		breakers, gate := guarded(t)
		f := newFixture(t, network{
			"a": func(req *http.Request) (*http.Response, error) {
				if sick {
					return answer(503, "sick")(req)
				}
				return answer(200, "a")(req)
			},
			"b": answer(200, "b"),
		}, named("a", "b"), gate)
		for range 2 {
			assert.Equal(t, "b", ask(t, f), "by another attempt")
		}
		require.Equal(t, breaker.Open, breakers.Get(addr("a")).State())
		retries := f.stats(t).Retries
		for range 5 {
			assert.Equal(t, "b", ask(t, f))
		}
		assert.Equal(t, retries, f.stats(t).Retries, "at once")
		sick = false
		time.Sleep(11 * time.Second)
		assert.Equal(t, "a", ask(t, f))
		assert.Equal(t, breaker.Closed, breakers.Get(addr("a")).State())
		assert.Zero(t, f.inFlight())
	})
}

// G35 over HTTP: if all are open, nothing is sent, and the error tells for how
// long.
func TestGate_AllOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, gate := guarded(t)
		sent := 0
		f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
			sent++
			return answer(503, "", "Retry-After", "60")(req)
		}), named("a", "b"), gate)
		resp, err := f.RoundTrip(get(t))
		finish(t, resp, err)
		require.Equal(t, 2, sent)
		body := newUpload("payload")
		_, err = f.RoundTrip(newRequest(t, http.MethodPost, body))
		require.ErrorIs(t, err, balance.ErrNoInstances)
		require.ErrorIs(t, err, breaker.ErrOpen)
		var rejected *breaker.RejectedError
		require.ErrorAs(t, err, &rejected)
		assert.Equal(t, time.Minute, rejected.RetryAfter())
		var e *balance.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, orders, e.Service)
		assert.Equal(t, 2, sent)
		assert.Equal(t, int64(1), body.closes.Load())
		assert.Zero(t, f.inFlight())
	})
}

// G35 over HTTP: if the last breaker opens between attempts, the answer there
// was is the answer.
func TestGate_NoneLeftForAnotherAttempt(t *testing.T) {
	breakers, gate := guarded(t)
	f := newFixture(t, answer(503, "sick"), named("a", "b"), gate)
	breakers.Get(addr("b")).ForceOpen(nil)
	assert.Equal(t, "sick", ask(t, f))
	assert.Zero(t, f.stats(t).Retries)
	assert.InDelta(t, 10, f.stats(t).RetryTokens, 0)
}

// G26, G35 over HTTP: a breaker is told of failures only. A 404 says that the
// instance works, and a caller who has left says nothing.
func TestGate_WhatTrips(t *testing.T) {
	left := errors.New("user left")
	for name, test := range map[string]struct {
		base  roundTrip
		cause error // of the caller's cancel, meanwhile; nil: it stays
		trips bool
	}{
		"404":                      {answer(404, ""), nil, false},
		"400":                      {answer(400, ""), nil, false},
		"500":                      {answer(500, ""), nil, true},
		"error":                    {fail(errReset), nil, true},
		"caller left":              {fail(context.Canceled), context.Canceled, false},
		"caller left, with cause":  {fail(left), left, false},
		"caller left, other error": {fail(errReset), context.Canceled, false},
	} {
		t.Run(name, func(t *testing.T) {
			breakers, gate := guarded(t)
			var leave func()
			f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
				leave()
				return test.base(req)
			}), named("a"), gate)
			for range 5 {
				ctx, cancel := context.WithCancelCause(t.Context())
				leave = func() {
					if test.cause != nil {
						cancel(test.cause)
					}
				}
				if resp, err := f.RoundTrip(get(t).WithContext(ctx)); err == nil {
					finish(t, resp, nil)
				}
				cancel(nil)
			}
			assert.Equal(t, test.trips, breakers.Get(addr("a")).State() == breaker.Open)
		})
	}
}
