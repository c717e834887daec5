package shop_test

import (
	"context"
	"errors"
	"time"

	shop "github.com/mainstay-go/mainstay/examples/testing"
)

// A world is what an order has effects on: a warehouse and a bank, which keep one entry
// for each key. It is looked at when nobody works on it any more, so it has no lock.
type world struct {
	reserved map[string]string
	charged  map[string]int

	troubles []func(context.Context) error // what becomes of the first charges
	since    func() time.Duration          // the time
	charges  []time.Duration               // when one was tried
}

func newWorld(since func() time.Duration, troubles ...func(context.Context) error) *world {
	return &world{make(map[string]string), make(map[string]int), troubles, since, nil}
}

func (w *world) Reserve(_ context.Context, key, item string) error {
	w.reserved[key] = item
	return nil
}

func (w *world) Release(_ context.Context, key string) error {
	delete(w.reserved, key)
	return nil
}

func (w *world) Charge(ctx context.Context, key string, cents int) error {
	w.charges = append(w.charges, w.since())
	if len(w.charges) <= len(w.troubles) {
		return w.troubles[len(w.charges)-1](ctx)
	}
	w.charged[key] = cents
	return nil
}

func (w *world) Refund(_ context.Context, key string) error {
	delete(w.charged, key)
	return nil
}

// total is all that is charged.
func (w *world) total() (cents int) {
	for _, c := range w.charged {
		cents += c
	}
	return cents
}

var errDown = errors.New("bank is down")

// down is the answer of a bank that is.
func down(context.Context) error { return errDown }

// decline is a bank that will not pay.
func decline(context.Context) error { return shop.ErrDeclined }

// hang is a bank that gives none.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}
