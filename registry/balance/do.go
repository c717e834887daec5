package balance

import (
	"context"
	"errors"
	"fmt"

	"github.com/mainstay-go/mainstay/registry"
)

// Do calls fn with an endpoint and returns what it returns. If fn fails it is
// called again with an endpoint that was not tried yet, as often as Config.Retry
// allows, so it has to be repeatable. When there is no further attempt, the
// error is that of the last one, unchanged; without any attempt, that of
// [Balancer.Pick].
//
// It waits for fn, also beyond Retry.AttemptTimeout, which only ends the context
// of fn, with context.DeadlineExceeded as its cause. A panic or runtime.Goexit in
// fn is a failure of the endpoint and goes on to the caller.
func Do[T any](ctx context.Context, b *Balancer, fn func(context.Context, *registry.Endpoint) (T, error)) (T, error) {
	return DoWith(ctx, b, Query{}, fn)
}

// DoWith is [Do] with a key or without some endpoints.
func DoWith[T any](ctx context.Context, b *Balancer, q Query, fn func(context.Context, *registry.Endpoint) (T, error)) (T, error) {
	var v T
	var err error
	if fn == nil {
		return v, errNilFunc
	}
	a := b.Attempts(ctx, q)
	for {
		p, last := a.Next(err)
		if last != nil {
			return v, last
		}
		if v, err = call(ctx, b, p, fn); err == nil {
			return v, nil
		}
	}
}

// call makes one attempt.
func call[T any](ctx context.Context, b *Balancer, p Pick, fn func(context.Context, *registry.Endpoint) (T, error)) (v T, err error) {
	returned := false
	defer func() {
		if !returned { // a failure, whatever IsFailure says
			p.Done(&registry.PanicError{Value: "balance: the call panicked or called runtime.Goexit"})
		}
	}()
	timed := ctx
	if d := b.cfg.Retry.AttemptTimeout; d > 0 {
		var cancel context.CancelFunc
		timed, cancel = b.time.withTimeout(ctx, d)
		defer cancel()
	}
	v, err = fn(timed, p.Endpoint())
	returned = true
	p.Done(meant(timed, err))
	return v, err
}

// meant is what the error of a call says about its context. A deadline of a Clock
// ends it as a cancel does, and some calls return the cause of a cancel, which need
// not say that the caller gave up.
func meant(ctx context.Context, err error) error {
	switch {
	case err == nil || !errors.Is(ctx.Err(), context.Canceled):
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		if errors.Is(err, context.Canceled) {
			return context.DeadlineExceeded
		}
	case !errors.Is(err, context.Canceled):
		return fmt.Errorf("%w: %w", context.Canceled, err)
	}
	return err
}
