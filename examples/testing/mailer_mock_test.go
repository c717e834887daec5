package shop_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
	shop "github.com/mainstay-go/mainstay/examples/testing"
)

// The same with a Mock, for the sake of a real server, which a bubble cannot have. The
// handler waits on a goroutine of the bus, so the test does not know when; the clock
// does. The timeout of an attempt is on that clock, too: its context has no deadline that
// an http.Client could take for one of system time.
//
// A timer that is set is not all that has to be waited for. The timeout is set before the
// request is made: without hangs it would now and then be over before the request has
// come. Waits are set after an attempt, so there is nothing else that could be late.
//
// Expect must not come before the last wait is over: it waits for the bus to settle,
// and the test, which it blocks, is what moves the clock. That would take half a
// minute, and fail.
func TestMailer_mock(t *testing.T) {
	told := newToldClock()
	began := told.Now()
	mail := newMailService(func() time.Duration { return told.Since(began) }, 0, 503, 503)
	server := httptest.NewServer(mail)
	t.Cleanup(server.Close) // after the bus, which may be in the middle of a request
	d := newDesk(t, server.URL, server.Client(), eventbus.Config{Clock: told})
	require.NoError(t, d.paid.Publish(t.Context(), shop.Paid{Order: "order-42", Mail: "ann@example.com"}))

	<-mail.hangs
	told.elapse(t, 5*time.Second) // its timeout
	told.elapse(t, time.Second)
	told.elapse(t, 2*time.Second)
	told.elapse(t, 3*time.Second)
	d.sent.Expect(shop.Sent{Order: "order-42"})
	assert.Equal(t, []time.Duration{0, 6 * time.Second, 8 * time.Second, 11 * time.Second}, mail.asked)
	d.undelivered.Expect()
}
