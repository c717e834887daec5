// Package migration holds what .github/MIGRATION.md shows, before and after, and the
// tests of what it says.
package migration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

type Order struct{ ID, Cents int }

var (
	ErrDeclined = errors.New("card declined")
	ErrNoRoute  = errors.New("no route to that address")
)

type Shop struct {
	stock stock
	bank  bank
	post  post

	checkout *saga.Saga[Order]
	percent  int // of the orders that are sagas already
}

func (s *Shop) Place(ctx context.Context, o *Order) (err error) {
	var undo []func(context.Context, *Order) error
	defer func() {
		if err == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		for _, u := range slices.Backward(undo) {
			err = errors.Join(err, u(ctx, o))
		}
	}()

	if err = s.stock.Reserve(ctx, o); err != nil {
		return err
	}
	undo = append(undo, s.stock.Release)
	if err = s.bank.Charge(ctx, o); err != nil {
		return err
	}
	undo = append(undo, s.bank.Refund)
	return s.post.Ship(ctx, o)
}

func (s *Shop) Checkout() (*saga.Saga[Order], error) {
	return saga.NewWith(saga.Spec[Order]{
		Name: "checkout",
		Steps: []saga.Step[Order]{
			{Name: "reserve", Do: s.stock.Reserve, Undo: s.stock.Release},
			{Name: "charge", Do: s.bank.Charge, Undo: s.bank.Refund},
			{Name: "ship", Do: s.post.Ship, Pivot: true}, // never undone, so tried until it is known
		},
		Classify: func(err error) error {
			if errors.Is(err, ErrDeclined) || errors.Is(err, ErrNoRoute) {
				return saga.Reject(err) // an answer: nothing has happened
			}
			return err // anything else may be an answer that was lost
		},
	})
}

func (s *Shop) Buy(ctx context.Context, o *Order) error {
	if o.ID%100 < s.percent {
		return s.checkout.Run(ctx, o)
	}
	return s.Place(ctx, o)
}

func newShop(t *testing.T, w *world) *Shop {
	t.Helper()
	s := &Shop{stock: stock{w}, bank: bank{w}, post: post{w}}
	var err error
	s.checkout, err = s.Checkout()
	require.NoError(t, err)
	return s
}

// What becomes of an order, with the code before and with the saga.
func TestCompensation(t *testing.T) {
	all := []string{"reserve", "charge", "ship"}
	none := []string{}
	type end struct{ asked, holds []string }
	for name, c := range map[string]struct {
		faults        map[string]fault
		before, after end
	}{
		"all is well": {
			nil,
			end{all, all},
			end{all, all},
		},
		"the card is declined": {
			map[string]fault{"charge": {refuses: ErrDeclined}},
			end{[]string{"reserve", "charge", "release"}, none},
			end{[]string{"reserve", "charge", "release"}, none},
		},
		"in reverse order": {
			map[string]fault{"ship": {refuses: ErrNoRoute}},
			end{[]string{"reserve", "charge", "ship", "refund", "release"}, none},
			end{[]string{"reserve", "charge", "ship", "refund", "release"}, none},
		},
		"the caller leaves": {
			map[string]fault{"charge": {refuses: ErrDeclined, leaves: true}},
			end{[]string{"reserve", "charge", "release"}, none},
			end{[]string{"reserve", "charge", "release"}, none},
		},
		"it is charged, and the answer is lost": {
			map[string]fault{"charge": {loses: true}},
			end{[]string{"reserve", "charge", "release"}, []string{"charge"}},
			end{[]string{"reserve", "charge", "refund", "release"}, none},
		},
		"it is not charged, and there is no answer": {
			map[string]fault{"charge": {refuses: errNoAnswer}},
			end{[]string{"reserve", "charge", "release"}, none},
			end{[]string{"reserve", "charge", "refund", "release"}, none}, // of nothing
		},
		"it is shipped, and the answer is lost": {
			map[string]fault{"ship": {loses: true}},
			end{[]string{"reserve", "charge", "ship", "refund", "release"}, []string{"ship"}},
			end{[]string{"reserve", "charge", "ship", "ship"}, all},
		},
		"a refund fails once": {
			map[string]fault{"ship": {refuses: ErrNoRoute}, "refund": {refuses: errNoAnswer}},
			end{[]string{"reserve", "charge", "ship", "refund", "release"}, []string{"charge"}},
			end{[]string{"reserve", "charge", "ship", "refund", "refund", "release"}, none},
		},
		"a panic": {
			map[string]fault{"charge": {panics: true}},
			end{[]string{"reserve", "charge"}, []string{"reserve", "charge"}},
			end{[]string{"reserve", "charge", "refund", "release"}, none},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for which, want := range map[string]end{"before": c.before, "after": c.after} {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					w := newWorld(c.faults, cancel)
					shop := newShop(t, w)
					if which == "after" {
						shop.percent = 100
					}
					panicked, err := guarded(func() error { return shop.Buy(ctx, &Order{ID: 7}) })
					assert.Equal(t, want, end{w.asked, w.holds(7)}, which)
					assert.Equal(t, c.faults["charge"].panics, panicked != nil, which)
					if panicked == nil {
						assert.Equal(t, len(want.holds) == 3, err == nil, "%s: %v", which, err)
					}
				})
			}
		})
	}
}

// The error tells why the saga failed; how undoing went is listed beside it.
func TestCompensationErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults := map[string]fault{"ship": {refuses: ErrNoRoute}, "refund": {refuses: errNoAnswer, always: true}}
		for percent, joined := range map[int]bool{0: true, 100: false} {
			shop := newShop(t, newWorld(faults, nil))
			shop.percent = percent
			err := shop.Buy(t.Context(), &Order{ID: 7})
			assert.ErrorIs(t, err, ErrNoRoute)
			assert.Equal(t, joined, errors.Is(err, errNoAnswer))
			var failed *saga.Error
			if assert.Equal(t, !joined, errors.As(err, &failed)) && !joined {
				assert.ErrorIs(t, err, saga.ErrStuck)
				require.Len(t, failed.Undo, 1)
				assert.Equal(t, "charge", failed.Undo[0].Step)
			}
		}
	})
}

// Both ways at once: services need not know which way an order went.
func TestCompensationSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(map[string]fault{}, nil)
		shop := newShop(t, w)
		shop.percent = 50
		sagas := 0
		for id := range 100 {
			declined := id%2 == 0
			if declined {
				w.faults["charge"] = fault{refuses: ErrDeclined}
			}
			err := shop.Buy(t.Context(), &Order{ID: id})
			if failed := (*saga.Error)(nil); errors.As(err, &failed) {
				sagas++
			}
			assert.Equal(t, declined, errors.Is(err, ErrDeclined))
			assert.Equal(t, declined, len(w.holds(id)) == 0)
		}
		assert.Equal(t, 25, sagas)
	})
}

// The process ends while the card is charged: another one goes on.
func TestCompensationAfterACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		w := newWorld(map[string]fault{"charge": {hangs: true}}, nil)
		shop := newShop(t, w)
		var store durable.MemoryStore
		open := func() *durable.Engine {
			engine, err := durable.Open(&store, durable.Config{})
			require.NoError(t, err)
			require.NoError(t, durable.Register(engine, shop.checkout))
			return engine
		}
		engine := open()
		order := Order{ID: 7}
		run, err := durable.Start(ctx, engine, shop.checkout, fmt.Sprint("order-", order.ID), order)
		require.NoError(t, err)
		synctest.Wait() // until it hangs
		ended, end := context.WithCancel(ctx)
		end()
		assert.ErrorIs(t, engine.Close(ended), context.Canceled)
		synctest.Wait()

		engine = open()
		again, err := durable.Start(ctx, engine, shop.checkout, "order-7", order) // by a client that asks again
		require.NoError(t, err)
		assert.Equal(t, run.ID(), again.ID())
		_, err = again.Wait(ctx)
		assert.NoError(t, err)
		assert.NoError(t, engine.Close(ctx))
		assert.Equal(t, []string{"reserve", "charge", "charge", "ship"}, w.asked)
		assert.Equal(t, []string{"reserve", "charge", "ship"}, w.holds(7))
	})
}

// guarded returns the value that fn panicked with, or its error.
func guarded(fn func() error) (panicked any, err error) {
	defer func() { panicked = recover() }()
	return nil, fn()
}
