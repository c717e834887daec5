package main

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

func TestUsualDay(t *testing.T) {
	d := usualDay()
	mails, orders := 0, 0
	for _, p := range d.phases {
		assert.Positive(t, p.after, p.name)
		orders += p.orders
		mails += p.orders / p.after * p.mails
	}
	assert.Greater(t, orders, d.mistaken, "there is an order whose mail fails")
	assert.Greater(t, mails, orders/2, "the mailer catches up in the end, so that every lag is on an event")
	assert.Less(t, d.phases[0].orders/d.phases[0].after+d.room, d.phases[0].orders, "there is a rush")
}

func TestOrder(t *testing.T) {
	d := day{silent: 5, mistaken: 6}
	assert.True(t, wantsMail(d.order(4)))
	assert.False(t, wantsMail(d.order(5)))
	assert.Equal(t, Order{6, "ann@nowhere.invalid"}, d.order(6))
	assert.Equal(t, Order{7, "ann@shop.example"}, d.order(7))
}

// rush has more orders than there is room for, and no mail before the end.
func rush(room int) day {
	return day{
		phases: []phase{{name: "rush", orders: room + 3, after: 1}},
		room:   room, silent: 1000, mistaken: 1000,
	}
}

func TestPlay(t *testing.T) {
	type want struct {
		published       int64
		waited, refused []int
		saw             string
		stats           eventbus.SubscriptionStats
	}
	for policy, want := range map[eventbus.Overflow]want{
		eventbus.Block: {
			published: 5, waited: []int{4, 5}, saw: "1-5",
			stats: eventbus.SubscriptionStats{Capacity: 2, Handled: 5},
		},
		eventbus.DropOldest: {
			published: 5, saw: "1 [2 lost] 4 5",
			stats: eventbus.SubscriptionStats{Capacity: 2, Handled: 3, Lagged: 2},
		},
		eventbus.DropNewest: {
			published: 5, saw: "1-3",
			stats: eventbus.SubscriptionStats{Capacity: 2, Handled: 3, Lagged: 2},
		},
		eventbus.Fail: {
			published: 3, refused: []int{4, 5}, saw: "1-3",
			stats: eventbus.SubscriptionStats{Capacity: 2, Handled: 3},
		},
		eventbus.Disconnect: {
			published: 5, saw: "1",
			stats: eventbus.SubscriptionStats{Capacity: 2, Handled: 1, Discarded: 2},
		},
		eventbus.Unbounded: {
			published: 5, saw: "1-5",
			stats: eventbus.SubscriptionStats{Capacity: 1_000_000, Handled: 5},
		},
	} {
		t.Run(policy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, err := rush(2).play(t.Context(), policy)
				require.NoError(t, err)
				require.NoError(t, o.closing)
				assert.Equal(t, 5, o.placed)
				assert.Equal(t, want.published, o.published)
				assert.Equal(t, want.waited, o.waited)
				assert.Equal(t, want.refused, o.refused)
				require.Len(t, o.books, 2)
				assert.Len(t, o.books[0].seen, int(want.published))
				assert.Equal(t, want.saw, saw(o.books[1].seen))
				want.stats.Name, want.stats.Topic, want.stats.OnFull = "mailer", "orders.placed", policy
				assert.Equal(t, want.stats, o.books[1].stats)
				assert.Equal(t, policy == eventbus.Disconnect, o.books[1].end != nil)
			})
		})
	}
}

func TestPlay_badRoom(t *testing.T) {
	_, err := rush(1<<31-4).play(t.Context(), eventbus.Block)
	assert.ErrorContains(t, err, "Capacity is 2147483644")
}

// Whoever gives the day up, at whichever order, is told why and leaves no
// goroutine.
func TestPlay_interrupted(t *testing.T) {
	d := usualDay()
	for _, policy := range policies {
		for orders := range 15 {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				s, err := open(ctx, policy, d.room)
				require.NoError(t, err)
				for id := range orders {
					require.NoError(t, s.place(ctx, d.order(id+1)))
				}
				cancel(assert.AnError)
				synctest.Wait()
				assert.ErrorIs(t, s.place(ctx, d.order(orders+1)), assert.AnError)
				s.mailer.busy = true
				assert.ErrorIs(t, s.mailer.send(ctx), assert.AnError)
				assert.ErrorIs(t, s.mailer.begin(ctx), assert.AnError)
				assert.ErrorIs(t, s.close(ctx), assert.AnError)
			})
		}
	}
}
