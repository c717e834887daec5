package balance

import (
	"context"
	"errors"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// A Pick is one tracked use of an endpoint. It counts as in flight until Done.
// It is a plain value: it may be copied, stored and sent, and all copies are the
// same pick. The zero Pick does nothing.
type Pick struct {
	t   *ticket
	gen uint64
	ep  *registry.Endpoint
}

// Endpoint is what was picked; nil for the zero Pick.
func (p Pick) Endpoint() *registry.Endpoint { return p.ep }

// Done ends the pick with what came of the call: nil is a success, see
// Config.IsFailure for the rest. The latency is the time since the pick. The
// first call on any copy counts; later ones, also at the same time, do nothing.
func (p Pick) Done(err error) { p.end(err, -1) }

// DoneAfter is Done with a latency that the caller has measured, for example up
// to the first byte of an answer that was read to its end. It is remembered
// whatever the policy is. Negative: the time since the pick, which is measured
// only if the policy looks at latencies.
func (p Pick) DoneAfter(err error, latency time.Duration) { p.end(err, latency) }

// Abandon ends the pick without an outcome. It is for cleanups of what was
// dropped, see [registry.Live.Abandon]: it takes no lock, reads no clock, and
// does not tell the gate.
func (p Pick) Abandon() {
	if p.t == nil {
		return
	}
	if e, _, _, ok := p.t.end(p.gen); ok {
		e.live.Abandon()
	}
}

func (p Pick) end(err error, latency time.Duration) {
	if p.t == nil {
		return
	}
	b := p.t.b
	e, done, start, ok := p.t.end(p.gen)
	if !ok {
		return
	}
	// Before anything of the user's: a drain waits for this, and what follows
	// may panic.
	e.live.Release()
	if done != nil {
		defer func() { done(err) }() // whatever happens, since the gate waits for it
	}
	o := b.judge(err)
	if o == success {
		err = nil
	}
	if o != neither {
		b.observe(e, o, start, latency)
	}
}

// An outcome is what a call says about its endpoint.
type outcome uint8

const (
	success outcome = iota
	failure
	neither // the caller gave up
)

func (b *Balancer) judge(err error) outcome {
	switch {
	case err == nil:
		return success
	case errors.Is(err, errAborted), b.cfg.IsFailure(err):
		return failure
	case errors.Is(err, context.Canceled):
		return neither
	}
	return success
}

// observe takes an outcome into account.
func (b *Balancer) observe(e *entry, o outcome, start int64, latency time.Duration) {
	m := e.m
	if o == failure {
		m.failures.Add(1)
	}
	if !b.timed && latency < 0 && b.cfg.Outlier == nil {
		return
	}
	now := b.time.now()
	if latency < 0 && b.timed {
		latency = time.Duration(now - start)
	}
	if latency >= 0 {
		sample := float64(latency)
		if o == failure {
			// Who fails at once must not look quick.
			own, _ := m.latency.read(now, b.decay)
			sample = max(sample, own, b.mean(now))
		}
		m.latency.add(sample, now, b.decay)
	}
	if b.cfg.Outlier != nil {
		b.count(m, o == failure, now)
	}
}

// meanOver is how many endpoints at most the mean latency is about: it is asked
// for with every failure, and these come in crowds.
const meanOver = 64

// mean is the mean latency of the endpoints that have one.
func (b *Balancer) mean(now int64) float64 {
	s := b.state.Load()
	if s == nil {
		return 0
	}
	sum, n := 0.0, 0
	for i := range min(len(s.members), meanOver) {
		if v, ok := s.members[i].m.latency.read(now, b.decay); ok {
			sum += v
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}
