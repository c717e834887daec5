package shop_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
	shop "github.com/mainstay-go/mainstay/examples/testing"
)

// A receipt is tried until the mail service takes it, after waits that double up to a
// limit; the first attempt hangs until its timeout. Publish does not wait for that, but
// the Recorder does: Expect settles the bus first, which means that all is handled,
// retries and what handlers publish included. In a bubble that takes no time, so nothing
// in this test says how long it takes.
func TestMailer_synctest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		since := func() time.Duration { return time.Since(began) }
		mail := newMailService(since, 0, 503, 503)
		d := newDesk(t, "http://mail", &mail.client, eventbus.Config{})
		require.NoError(t, d.paid.Publish(t.Context(), shop.Paid{Order: "order-42", Mail: "ann@example.com"}))
		assert.Zero(t, since())

		d.sent.Expect(shop.Sent{Order: "order-42"})
		assert.Equal(t, []time.Duration{0, 6 * time.Second, 8 * time.Second, 11 * time.Second}, mail.asked)
		d.undelivered.Expect()
	})
}

// What is given up is told. The event behind it has waited for that: a subscription with
// one worker keeps the order, also while it tries again.
func TestMailer_givesUpSynctest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		since := func() time.Duration { return time.Since(began) }
		mail := newMailService(since, 503, 503, 503, 503)
		d := newDesk(t, "http://mail", &mail.client, eventbus.Config{})
		require.NoError(t, d.paid.Publish(t.Context(), shop.Paid{Order: "order-42", Mail: "ann@example.com"}))
		require.NoError(t, d.paid.Publish(t.Context(), shop.Paid{Order: "order-43", Mail: "bob@example.com"}))

		d.sent.Expect(shop.Sent{Order: "order-43"})
		assert.Equal(t, []time.Duration{0, time.Second, 3 * time.Second, 6 * time.Second, 6 * time.Second}, mail.asked)
		lost := d.undelivered.Data()
		require.Len(t, lost, 1)
		assert.Equal(t, 4, lost[0].Attempts)
		assert.EqualError(t, lost[0].Err, "mail service: 503 Service Unavailable")
	})
}
