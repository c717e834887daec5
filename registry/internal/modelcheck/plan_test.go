package modelcheck

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

const ms = time.Millisecond

// A config is what a history is about.
type config struct {
	hooks bool          // they are told every change
	free  bool          // the clock moves also during operations, see bound
	many  int           // IDs in use
	grace time.Duration // of drains: they wait for it on goroutines of their own

	preserve     bool
	percent      int
	minimum      int
	window, hold time.Duration
}

// one of the values, at random.
func one[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func plannedConfig(r *rand.Rand, workers int) *config {
	c := &config{free: r.IntN(2) == 0, many: 1 + r.IntN(3)}
	c.hooks = r.IntN(4) > 0
	if !c.free && workers > 1 {
		c.grace = one(r, 0, 0, ms, 3*ms)
		c.hooks = c.hooks && c.grace == 0 // the clock moves while drains wait, see bound
	}
	if r.IntN(3) > 0 {
		return c
	}
	// What is held may be told before or after what expires, depending on who
	// looks when. To restore it is a renewal that takes the lock.
	c.preserve, c.hooks, c.free, c.grace, c.many = true, false, false, 0, 2+r.IntN(ids-2)
	c.percent, c.minimum = one(r, 10, 34, 50, 100), one(r, -1, 2, 4)
	c.window, c.hold = one(r, 2*ms, 5*ms), one(r, 3*ms, 20*ms)
	return c
}

func (c *config) registry() registry.Preserve {
	if !c.preserve {
		return registry.Preserve{MaxEvict: -1}
	}
	return registry.Preserve{MaxEvict: float64(c.percent) / 100, MinInstances: c.minimum, Window: c.window, MaxHold: c.hold}
}

var planned = slices.Concat(
	slices.Repeat([]action{doRegister, doRenew, doSnapshot, doAdvance}, 5),
	slices.Repeat([]action{doDeregister, doSweep, doRing}, 2),
	[]action{doUpdate, doSetHealth, doDrain, doExpel, doDeclare, doRetire, doGet, doWait},
)

func (h *history) plan(r *rand.Rand, worker, number int) *op {
	o := &op{action: one(r, planned...), worker: worker, number: number, service: r.IntN(len(services)), who: r.IntN(h.cfg.many)}
	if r.IntN(3) > 0 {
		o.service = 0
	}
	o.content = plannedContent(r)
	o.health = one[registry.Health](r, 0, registry.Passing, registry.Warning, registry.Down)
	o.d = one(r, 1, ms, ms, 3*ms, 10*ms)
	if h.cfg.grace > 0 && r.IntN(8) == 0 {
		o.action = one(r, doDrain, doDrain, doRetire)
	}
	if o.action == doWait && h.cfg.preserve {
		o.action = doSnapshot // a waiter would keep the roster, and with it its window
	}
	if o.action != doRegister {
		return o
	}
	if r.IntN(3) > 0 {
		o.health = 0
	}
	o.ifAbsent = r.IntN(4) == 0
	o.entries = []entry{{o.service, o.who, o.content}}
	if r.IntN(4) == 0 {
		if e := (entry{one(r, 0, 0, 1), r.IntN(h.cfg.many), plannedContent(r)}); e.who != o.who || e.service != o.service {
			o.entries = append(o.entries, e)
			o.ifAbsent = o.ifAbsent && e.service == o.service // to tell why it was refused
		}
	}
	return o
}

func plannedContent(r *rand.Rand) content {
	return content{r.IntN(2), one(r, -1, ms, 3*ms, 3*ms, 10*ms)}
}
