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

// Endpoint is what was picked; nil for the zero Pick. It is the record of the last
// change that a snapshot shows: its Generation does not follow when an equal
// registration takes its place.
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
	if m, _, _, ok := p.t.end(p.gen); ok {
		m.live.Abandon()
	}
}

func (p Pick) end(err error, latency time.Duration) {
	if p.t == nil {
		return
	}
	b := p.t.b
	m, done, start, ok := p.t.end(p.gen)
	if !ok {
		return
	}
	// Before anything of the user's: a drain waits for this, and what follows
	// may panic.
	m.live.Release()
	if done != nil {
		defer func() { done(err) }() // whatever happens, since the gate waits for it
	}
	o := b.judge(err)
	if o == success {
		err = nil
	}
	if o != neither {
		b.observe(m, o, start, latency)
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
	case aborted(err), b.cfg.IsFailure(err):
		return failure
	case errors.Is(err, context.Canceled):
		return neither
	}
	return success
}

// aborted reports whether an error stands for a call that did not return.
func aborted(err error) bool {
	_, ok := err.(*registry.PanicError) //nolint:errorlint // nobody wraps it on its way here, and errors.As allocates
	return ok
}

// observe takes an outcome into account.
func (b *Balancer) observe(m *member, o outcome, start int64, latency time.Duration) {
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

// meanOver is how many endpoints at most the mean latency is about, and how many
// are looked at for them: it is asked for with every failure, and these come in
// crowds.
const (
	meanOver = 64
	lookedAt = 1024
)

// mean is the mean latency of the endpoints that have one, from a random one on.
func (b *Balancer) mean(now int64) float64 {
	s := b.state.Load()
	if s == nil {
		return 0
	}
	sum, n, all := 0.0, 0, len(s.members)
	if all == 0 {
		return 0
	}
	from := below(b.random(), all)
	for i := 0; i < min(all, lookedAt) && n < meanOver; i++ {
		if v, ok := s.members[(from+i)%all].m.latency.read(now, b.decay); ok {
			sum += v
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}
