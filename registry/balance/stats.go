package balance

import (
	"iter"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// A Member is an endpoint as a balancer sees it.
type Member struct {
	Endpoint  *registry.Endpoint
	Usable    bool // and not ejected
	Ejected   bool
	Latency   time.Duration // smoothed; 0 before the first sample, and unless the policy looks at latencies or Pick.DoneAfter tells them
	Ejections int           // that count for the length of the next one
	Failures  uint64        // calls of this balancer that failed
}

// Stats are numbers about a balancer, for metrics.
type Stats struct {
	Members       int // endpoints it looks at
	Usable        int // of them, and not ejected
	Ejected       int // of them
	Panic         bool
	Retries       uint64  // by Do
	RetriesDenied uint64  // for want of budget
	RetryTokens   float64 // retries in hand
	Panics        uint64  // contained panics and Goexits of Filter and hooks
}

// Members ranges over the endpoints that the balancer looks at, in order of ID:
// those that Filter and SubsetSize left, without those of negative weight.
func (b *Balancer) Members() iter.Seq[Member] {
	return func(yield func(Member) bool) {
		for _, m := range b.members() {
			if !yield(m) {
				return
			}
		}
	}
}

func (b *Balancer) members() []Member {
	b.mu.Lock()
	defer b.unlock()
	s := b.adapt()
	now := b.time.now()
	all := make([]Member, len(s.members))
	for i := range s.members {
		e := &s.members[i]
		latency, _ := e.m.latency.read(now, b.decay)
		all[i] = Member{
			Endpoint: e.ep, Usable: e.usable, Ejected: e.m.ejection.on,
			Latency: duration(latency), Failures: e.m.failures.Load(),
		}
		if b.cfg.Outlier != nil {
			all[i].Ejections = e.m.ejection.count(b.cfg.Outlier, now)
		}
	}
	return all
}

// Stats is a picture of now.
func (b *Balancer) Stats() Stats {
	s := b.wait()
	return Stats{
		Members:       len(s.members),
		Usable:        s.usable,
		Ejected:       s.ejected,
		Panic:         s.panic,
		Retries:       b.budget.retries.Load(),
		RetriesDenied: b.budget.denied.Load(),
		RetryTokens:   float64(b.budget.tokens.Load()) / token,
		Panics:        b.panics.Load(),
	}
}
