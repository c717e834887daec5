package shop_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/breaker"
	shop "github.com/mainstay-go/mainstay/examples/testing"
)

// The same with a Mock, and that is the way if the service has to be a real one: while
// a goroutine of a bubble reads from a socket, no time passes there.
//
// This is the easy case of a Mock. A breaker only reads the clock: it has no timer that
// could be missing when Add comes, so there is nothing to wait for, and neither a bubble
// nor another goroutine. What is on system time still is the deadline of the context;
// it must not be over before a server on this machine has answered.
func TestPrices_mock(t *testing.T) {
	mock := clock.NewMock()
	service := newPriceService()
	server := httptest.NewServer(service)
	defer server.Close()
	prices := shop.NewPrices(server.URL, server.Client(), mock)
	began := mock.Now()
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

	mock.Add(30*time.Second - 1)
	shows(499, 0)
	assert.Equal(t, 4, service.calls, "a nanosecond early nobody is let through")
	mock.Add(1)
	shows(499, 0)
	assert.Equal(t, 5, service.calls, "a probe, which has failed")
	assert.Equal(t, time.Minute, prices.Guard().RetryAfter)

	mock.Add(time.Minute)
	service.cents = 549
	shows(549, 90*time.Second)
	assert.Equal(t, breaker.HalfOpen, prices.Guard().State)
	shows(549, 90*time.Second)
	assert.Equal(t, breaker.Closed, prices.Guard().State)

	service.cents = 0
	mock.Add(time.Hour)
	shows(549, 90*time.Second)
	mock.Add(1)
	_, err := prices.Of(t.Context(), "lamp")
	assert.EqualError(t, err, "price service: 503 Service Unavailable", "a price an hour old is none")
}
