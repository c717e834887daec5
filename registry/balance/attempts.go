package balance

import (
	"context"

	"github.com/mainstay-go/mainstay/registry"
)

// Attempts are the attempts of one call, for callers that [Do] does not fit: a
// call whose use of the endpoint goes on after it has returned, like an HTTP
// response that is still to be read. It must not be copied once it is used, and
// is not safe for concurrent use.
type Attempts struct {
	b   *Balancer
	ctx context.Context //nolint:containedctx // of the call, which this is the state of
	q   Query
	n   int
	ep  *registry.Endpoint // of the latest attempt, which becomes one tried only if there is another
}

// Attempts begins a call. Nothing is picked yet.
func (b *Balancer) Attempts(ctx context.Context, q Query) Attempts {
	return Attempts{b: b, ctx: ctx, q: q}
}

// Next picks an endpoint for the first attempt, or for another one after an
// attempt that failed with err: one that was not tried yet, as far as
// Config.Retry allows. If there is to be none it returns err, or for the first
// attempt the error of [Balancer.Pick].
//
// Every pick has to be ended, before or after Next. After a success there is no
// Next: with nil it is an error, but for the first attempt.
func (a *Attempts) Next(err error) (Pick, error) {
	if a.n == 0 {
		p, err := a.b.PickWith(a.ctx, a.q)
		if err == nil {
			a.b.budget.earn()
			a.n, a.ep = 1, p.Endpoint()
		}
		return p, err
	}
	if err == nil {
		return Pick{}, errNoFailure
	}
	r := &a.b.cfg.Retry
	if a.n >= r.Attempts || a.ctx.Err() != nil || r.If != nil && !r.If(err) || !a.b.budget.spend() {
		return Pick{}, err
	}
	picked := false
	defer func() {
		if !picked { // nothing to try, or something of the user's panicked
			a.b.budget.refund()
		}
	}()
	a.q.Exclude.Add(a.ep)
	p, none := a.b.PickWith(a.ctx, a.q)
	if none != nil {
		return Pick{}, err
	}
	picked = true
	a.n, a.ep = a.n+1, p.Endpoint()
	return p, nil
}
