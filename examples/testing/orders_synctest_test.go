package shop_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	shop "github.com/mainstay-go/mainstay/examples/testing"
	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

// A charge is tried four times, after waits that grow up to a limit. The first attempt
// hangs until its timeout. Run blocks for five seconds, in which nobody has anything to
// do, so they take no time.
//
// The waits are half of 1s, 2s and 3s: Rand draws the middle of the jitter.
func TestOrder_synctest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		since := func() time.Duration { return time.Since(began) }
		w := newWorld(since, hang, down, down)
		err := shop.Orders(w, w).RunWith(t.Context(), saga.RunConfig{Rand: middle}, &shop.Order{Item: "lamp", Cents: 4900})
		require.NoError(t, err)
		assert.Equal(t, []time.Duration{0, 2500 * time.Millisecond, 3500 * time.Millisecond, 5 * time.Second}, w.charges)
		assert.Equal(t, 4900, w.total())
		assert.Len(t, w.reserved, 1)
	})
}

// When no attempt is left the order is undone, the charge too: nobody knows what the
// bank has made of it. What is declined is neither tried again nor refunded. A Recorder,
// by hooks, tells the order of things.
//
// There are no subtests in a bubble. It is the other way round: one for each case.
func TestOrder_undoneSynctest(t *testing.T) {
	for name, c := range map[string]struct {
		troubles []func(context.Context) error
		err      error
		after    time.Duration
		trace    []string
	}{
		"bank is down": {
			[]func(context.Context) error{down, down, down, down},
			errDown, 3 * time.Second,
			[]string{
				"do reserve applied", "do charge unknown", "do charge unknown", "do charge unknown", "do charge unknown",
				"undo charge applied", "undo reserve applied",
			},
		},
		"declined": {
			[]func(context.Context) error{decline},
			shop.ErrDeclined, 0,
			[]string{"do reserve applied", "do charge rejected", "undo reserve applied"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				since := func() time.Duration { return time.Since(began) }
				w := newWorld(since, c.troubles...)
				var does sagatest.Recorder
				cfg := saga.RunConfig{Rand: middle, Hooks: does.Hooks()}
				err := shop.Orders(w, w).RunWith(t.Context(), cfg, &shop.Order{Item: "lamp", Cents: 4900})
				require.ErrorIs(t, err, c.err)
				assert.Equal(t, c.after, since())
				assert.Equal(t, c.trace, does.Trace())
				assert.Empty(t, w.reserved)
			})
		})
	}
}
