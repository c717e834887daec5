package shop

import (
	"context"
	"errors"
	"time"

	"github.com/mainstay-go/mainstay/saga"
)

// ErrDeclined is a bank's answer that it will not pay, and has not.
var ErrDeclined = errors.New("declined")

// A Warehouse keeps things back once, however often it is asked to under one key. What
// it is to release is named by that key, and need not have happened.
type Warehouse interface {
	Reserve(ctx context.Context, key, item string) error
	Release(ctx context.Context, key string) error
}

// A Bank charges and refunds under keys in the same way.
type Bank interface {
	Charge(ctx context.Context, key string, cents int) error
	Refund(ctx context.Context, key string) error
}

// An Order is the state of the saga.
type Order struct {
	Item  string
	Cents int
}

// Orders is the saga of an order: a lamp is reserved and paid for, or neither.
func Orders(w Warehouse, b Bank) *saga.Saga[Order] {
	return saga.MustNew("order", []saga.Step[Order]{
		{
			Name: "reserve",
			Do:   func(ctx context.Context, o *Order) error { return w.Reserve(ctx, saga.Info(ctx).Key, o.Item) },
			Undo: func(ctx context.Context, _ *Order) error { return w.Release(ctx, saga.Info(ctx).DoKey) },
		},
		{
			Name: "charge",
			Do: func(ctx context.Context, o *Order) error {
				err := b.Charge(ctx, saga.Info(ctx).Key, o.Cents)
				if errors.Is(err, ErrDeclined) {
					return saga.Reject(err) // nothing to try again, nothing to refund
				}
				return err
			},
			Undo:    func(ctx context.Context, _ *Order) error { return b.Refund(ctx, saga.Info(ctx).DoKey) },
			Timeout: 2 * time.Second,
			Retry:   saga.Retry{Attempts: 4, Wait: time.Second, MaxWait: 3 * time.Second}, // with jitter
		},
	})
}
