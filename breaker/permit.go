package breaker

import (
	"context"
	"sync/atomic"
	"time"
)

// A Permit is the right to make one call, issued by [Breaker.Allow]. The call is
// reported through one of its methods, the first of which counts, whoever calls
// it; the rest do nothing. Its methods may be used concurrently. It must not be
// copied after its first use: go vet tells. The zero Permit's methods do
// nothing.
//
// A permit that is dropped unreported costs nothing in a closed stay and is
// covered by its lease in a half-open one.
type Permit struct {
	call     call
	reported atomic.Bool
}

// Allow is the two-step form of [Do], for calls that do not fit a function: it
// returns a [Permit], or the error that Do would. On an error the Permit is zero,
// so that a deferred Done is safe. The Permit keeps ctx, for the classifier and
// the hooks, until it is garbage itself.
//
// Mind what is deferred: `defer p.Done(err)` evaluates err at once, when it is
// nil, and so makes every call a success; and a function that panics has no error
// to report. The example shows a form without either trap.
func (b *Breaker) Allow(ctx context.Context) (Permit, error) {
	if ctx != nil && b != nil {
		if e := b.cur.Load(); e != nil && e.pass == freely {
			if done := ctx.Done(); done == nil || !isClosed(done) {
				return Permit{call: call{e: e, ctx: ctx}}, nil
			}
		}
	}
	return b.allow(ctx)
}

func (b *Breaker) allow(ctx context.Context) (Permit, error) {
	if err := misuse(ctx, b, false); err != nil {
		return Permit{}, err
	}
	if ended(ctx) {
		return Permit{}, context.Cause(ctx)
	}
	var c call
	if err := b.admit(ctx, &c); err != nil {
		return Permit{}, err
	}
	return Permit{call: c}, nil
}

// Done reports that the call returned err, which is classified as in Run. A
// classifier that panics has not judged: the call counts as a failure.
func (p *Permit) Done(err error) {
	if p.take() && (err != nil || p.call.e.pulse.Load().Load() != 0) {
		p.finish(err)
	}
}

func (p *Permit) finish(err error) {
	c := p.call // unwind must not write what other methods read
	defer c.unwind()
	c.finish(err)
}

// Record reports an outcome that the caller has judged. cause is the error
// behind it, for the Cause of an opening; it may be nil. Only MinBudget is above
// the caller's judgement.
func (p *Permit) Record(o Outcome, cause error) {
	if p.take() {
		c := p.call
		c.report(report{outcome: o, err: cause})
	}
}

// Trip reports a failure and opens the breaker for d, as [Breaker.Trip] does,
// for instance because the dependency asked for it. If the stay that issued the
// permit is over it does nothing; if the breaker is forced closed it says that
// it would have opened; if its closed state is suspended by a forced one the
// failure counts. MinBudget does not apply.
func (p *Permit) Trip(d time.Duration, cause error) {
	if p.take() {
		c := p.call
		c.report(report{outcome: Failure, err: cause, trip: true, openFor: d})
	}
}

// Progress tells that a long call is alive: data still arrives. In the second
// half of a probe's lease it reports the probe as a success then and there, so
// that a healthy stream neither blocks half-open nor is lost. (One that a
// SlowRate rule finds slow by then is a failed probe, as ever.) Earlier, or in
// other calls, it does nothing.
func (p *Permit) Progress() {
	e := p.call.e
	if p.call.ticket == 0 || p.reported.Load() {
		return
	}
	// One step: between a look and a report the lease could end, and a report
	// that comes late would have spent the permit for nothing.
	b, c := e.b, p.call
	m := b.look()
	cur := b.cur.Load()
	if cur.stay != e.stay || !e.stay.half.due(c.ticket, m.now, cur.set.ProbeLease) || !p.take() {
		b.mu.Unlock()
		return
	}
	r, s := report{outcome: Success}, c.sightAt(m.now)
	b.settle(&c, &r, s, m)
	b.conclude(&c, &r, s, false, b.unlock())
}

// take claims the one report.
func (p *Permit) take() bool { return p.call.e != nil && !p.reported.Swap(true) }
