package balance

import (
	"context"
	"errors"

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
	told := errAborted // in case fn does not return
	defer func() { p.Done(told) }()
	timed := ctx
	if d := b.cfg.Retry.AttemptTimeout; d > 0 {
		var cancel context.CancelFunc
		timed, cancel = b.time.withTimeout(ctx, d)
		defer cancel()
	}
	v, err = fn(timed, p.Endpoint())
	told = err
	if errors.Is(err, context.Canceled) && ctx.Err() == nil && errors.Is(context.Cause(timed), context.DeadlineExceeded) {
		told = context.DeadlineExceeded // with a Clock that is not what Err says
	}
	return v, err
}
