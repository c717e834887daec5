package breaker

import "context"

// Do calls fn unless the breaker rejects the call, and reports how it went. It
// returns what fn returns, unchanged; without a call, a zero T and either a
// *[RejectedError], the cause of a ctx that was done already, or an error that
// says what was nil.
//
// fn runs on the caller's goroutine with the caller's ctx, at most once. Its
// error is judged by Config.Classify. A panic in fn or in the classifier, or
// runtime.Goexit, is a failure; it is not recovered, so value and stack reach
// the caller.
//
// Do never waits, neither for a slot nor for time.
func Do[T any](ctx context.Context, b *Breaker, fn func(context.Context) (T, error)) (v T, err error) {
	// The path of breakers that admit every call, once more in Run: all else is
	// in do. What belongs to the call is kept where the deferred method finds
	// it; a closure would copy each variable it uses.
	if ctx != nil && b != nil && fn != nil {
		if e := b.cur.Load(); e != nil && e.pass != closely {
			if done := ctx.Done(); done != nil && isClosed(done) {
				return v, context.Cause(ctx)
			}
			c := call{e: e, ctx: ctx}
			if e.pass == noting {
				c.note()
			}
			defer c.unwind()
			v, err = fn(ctx)
			if err == nil && e.pulse.Load().Load() == 0 {
				c.e = nil
			} else {
				c.finish(err)
			}
			return v, err
		}
	}
	return do(ctx, b, fn, nil)
}

// DoResult is [Do] for calls whose failure is not, or not only, in the error:
// classify judges every return, nil errors too, in the place of
// Config.Classify. It may fall back on [DefaultClassify]. Nil: as Do.
func DoResult[T any](ctx context.Context, b *Breaker, fn func(context.Context) (T, error), classify func(T, error) Outcome) (T, error) {
	return do(ctx, b, fn, classify)
}

// Run is [Do] for functions without a result.
func (b *Breaker) Run(ctx context.Context, fn func(context.Context) error) (err error) {
	if ctx != nil && b != nil && fn != nil {
		if e := b.cur.Load(); e != nil && e.pass != closely {
			if done := ctx.Done(); done != nil && isClosed(done) {
				return context.Cause(ctx)
			}
			c := call{e: e, ctx: ctx}
			if e.pass == noting {
				c.note()
			}
			defer c.unwind()
			err = fn(ctx)
			if err == nil && e.pulse.Load().Load() == 0 {
				c.e = nil
			} else {
				c.finish(err)
			}
			return err
		}
	}
	if fn == nil {
		return misuse(ctx, b, true)
	}
	_, err = do(ctx, b, func(ctx context.Context) (struct{}, error) { return struct{}{}, fn(ctx) }, nil)
	return err
}

// do is Do for every state and configuration.
func do[T any](ctx context.Context, b *Breaker, fn func(context.Context) (T, error), classify func(T, error) Outcome) (v T, err error) {
	if err := misuse(ctx, b, fn == nil); err != nil {
		return v, err
	}
	if ended(ctx) {
		return v, context.Cause(ctx)
	}
	var c call
	if err := b.admit(ctx, &c); err != nil {
		return v, err
	}
	defer c.unwind()
	v, err = fn(ctx)
	if classify == nil {
		c.finish(err)
	} else {
		c.report(report{outcome: classify(v, err), err: err})
	}
	return v, err
}

// unwind runs when a call is over, however it ends. One that did not return, or
// whose classifier did not, is still there to be reported. There is no recover:
// a panic goes on with its stack, and this notices runtime.Goexit too.
func (c *call) unwind() {
	if c.e != nil { // small enough to be inlined where it is deferred
		c.abort()
	}
}

func (c *call) abort() { c.report(report{outcome: Failure, aborted: true}) }
