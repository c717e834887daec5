package shop_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/breaker"
	shop "github.com/mainstay-go/mainstay/examples/testing"
)

// The breaker opens, rejects, probes and closes. In a bubble everything runs on the
// time of the bubble: the breaker, whose Clock is nil, time.Now in Prices, and the
// deadline of its context. time.Sleep moves that time, exactly and at once.
func TestPrices_synctest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newPriceService()
		prices := shop.NewPrices("http://prices", &service.client, nil)
		began := time.Now()
		shows := func(cents int, since time.Duration) {
			t.Helper()
			price, err := prices.Of(t.Context(), "lamp")
			assert.NoError(t, err)
			assert.Equal(t, shop.Price{Cents: cents, At: began.Add(since)}, price)
		}

		shows(499, 0)
		service.cents = 0
		for range 3 { // failures, which customers do not see
			shows(499, 0)
		}
		assert.Equal(t, 4, service.calls)
		assert.Equal(t, breaker.Open, prices.Guard().State)
		assert.Equal(t, 30*time.Second, prices.Guard().RetryAfter)

		time.Sleep(30*time.Second - 1)
		shows(499, 0)
		assert.Equal(t, 4, service.calls, "a nanosecond early nobody is let through")
		time.Sleep(time.Nanosecond)
		shows(499, 0)
		assert.Equal(t, 5, service.calls, "a probe, which has failed")
		assert.Equal(t, time.Minute, prices.Guard().RetryAfter)

		time.Sleep(time.Minute)
		service.cents = 549
		shows(549, 90*time.Second)
		assert.Equal(t, breaker.HalfOpen, prices.Guard().State)
		shows(549, 90*time.Second)
		assert.Equal(t, breaker.Closed, prices.Guard().State)

		service.cents = 0
		time.Sleep(time.Hour)
		shows(549, 90*time.Second)
		time.Sleep(time.Nanosecond)
		_, err := prices.Of(t.Context(), "lamp")
		assert.EqualError(t, err, "price service: 503 Service Unavailable", "a price an hour old is none")
	})
}

// A service that hangs costs three customers two seconds each, and then nobody. This
// is for a bubble alone: the deadline of a context is on system time, which a Mock
// does not move, so that with one the test would really take eight seconds.
//
// Whoever is to be caught in the middle of something runs on a goroutine of its own;
// synctest.Wait returns when it can get no further.
func TestPrices_hangingSynctest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newPriceService()
		prices := shop.NewPrices("http://prices", &service.client, nil)
		of := func() (took time.Duration) {
			began := time.Now()
			_, _ = prices.Of(t.Context(), "lamp")
			return time.Since(began)
		}
		service.hangs = true
		for range 3 {
			assert.Equal(t, 2*time.Second, of())
		}
		assert.Zero(t, of())
		assert.Equal(t, 3, service.calls)

		time.Sleep(30 * time.Second)
		probe := make(chan time.Duration)
		go func() { probe <- of() }()
		synctest.Wait() // it hangs, and nobody else has to
		assert.Equal(t, 4, service.calls)
		assert.Zero(t, of())
		assert.Equal(t, 2*time.Second, <-probe)
		assert.Equal(t, 4, service.calls)
	})
}

// That there is no such item is an answer, and no failure. Where no time passes a test
// needs neither a bubble nor a Mock.
func TestPrices_unknownItem(t *testing.T) {
	service := newPriceService()
	prices := shop.NewPrices("http://prices", &service.client, nil)
	_, err := prices.Of(t.Context(), "lamp")
	assert.NoError(t, err)
	service.cents = -1 // it is sold out
	for range 5 {
		_, err := prices.Of(t.Context(), "lamp")
		assert.ErrorIs(t, err, shop.ErrNoItem)
	}
	assert.Equal(t, breaker.Closed, prices.Guard().State)
}
