package modelcheck

import (
	"context"
	"math"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/mainstay-go/mainstay/breaker"
)

// A machine drives a breaker and its model side by side.
type machine struct {
	family family
	clock  *handClock
	b      *breaker.Breaker
	m      *model

	configs int
	errs    int // numbers the errors of calls, so that each is known again
	callers []*caller
	permits []*breaker.Permit // by number; nil: the call was rejected
	refused []rejection       // the last ones

	// What the hooks were told since the last operation.
	events    []observedEvent
	done      []observedDone
	rejected  []observedRejection
	reacting  reaction // of the next Transition hook
	imitating reaction // ... in the model
}

type rejection struct {
	err   *breaker.RejectedError
	stay  int
	state breaker.State
}

type observedEvent struct {
	hooks int
	ctx   context.Context //nolint:containedctx // what the hook was given is what is checked
	breaker.Transition
}

type observedDone struct {
	hooks int
	ctx   context.Context //nolint:containedctx // as above
	breaker.Completion
}

type observedRejection struct {
	hooks int
	ctx   context.Context //nolint:containedctx // as above
	err   *breaker.RejectedError
}

// A reaction is what a Transition hook does to the breaker, once.
type reaction struct {
	name string
	do   func(x *machine)
	same func(x *machine) // to the model
}

const name = "model \"checked\"\n"

func newMachine(t *rapid.T, f family) *machine {
	x := &machine{family: f, clock: newClock(pick(t, "base", bases...))}
	cfg := x.prepare(drawConfig(t, f))
	t.Logf("%v, %+v", cfg.raw.Trip, cfg.raw)
	b, err := breaker.New(name, cfg.raw)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	x.b, x.m = b, newModel(cfg)
	x.m.told = func(event) {
		r := x.imitating
		x.imitating = reaction{}
		if r.same != nil {
			r.same(x)
		}
	}
	return x
}

// prepare gives the Config hooks that tell who they are.
func (x *machine) prepare(cfg *config) *config {
	x.configs++
	id := x.configs
	cfg.hooks = id
	cfg.raw.Clock = x.clock
	cfg.raw.Hooks = breaker.Hooks{}
	if cfg.transition {
		cfg.raw.Hooks.Transition = func(ctx context.Context, t breaker.Transition) {
			x.events = append(x.events, observedEvent{id, ctx, t})
			r := x.reacting
			x.reacting = reaction{}
			if r.do != nil {
				r.do(x)
			}
		}
	}
	if cfg.rejected {
		cfg.raw.Hooks.Rejected = func(ctx context.Context, err *breaker.RejectedError) {
			x.rejected = append(x.rejected, observedRejection{id, ctx, err})
		}
	}
	if cfg.ended {
		cfg.raw.Hooks.Done = func(ctx context.Context, c breaker.Completion) {
			x.done = append(x.done, observedDone{id, ctx, c})
		}
	}
	return cfg
}

// Counts of what the machines did, to be told at the end.
type tally struct {
	operations, transitions, wouldOpen, rejections, late, lost atomic.Int64
}

// TestMachine checks the breaker against the model, operation by operation.
func TestMachine(t *testing.T) {
	const steps = 250
	want := size(operations, 1_000_000, 100_000_000, 40_000)
	// Repeat does `steps` operations on average, and as much is the deviation
	// from that. With six deviations of the sum on top it does not fall short.
	checks := float64(want) / steps
	checks += 6 * math.Sqrt(checks)
	set(t, "rapid.steps", strconv.Itoa(steps))
	set(t, "rapid.checks", strconv.Itoa(int(checks)/len(families)+1))
	n := new(tally)
	t.Run("families", func(t *testing.T) {
		for _, f := range families {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				rapid.Check(t, func(t *rapid.T) { newMachine(t, f).run(t, n) })
			})
		}
	})
	t.Logf("%d operations over %d families of rules: %d transitions, %d would have opened, "+
		"%d rejections, %d late outcomes, %d probes lost; as modelled, all of them",
		n.operations.Load(), len(families), n.transitions.Load(), n.wouldOpen.Load(),
		n.rejections.Load(), n.late.Load(), n.lost.Load())
	if *operations == 0 {
		assert.GreaterOrEqual(t, n.operations.Load(), int64(want))
	}
}

func (x *machine) run(t *rapid.T, n *tally) {
	t.Repeat(map[string]func(*rapid.T){
		"": x.check,
		"operation": func(t *rapid.T) {
			n.operations.Add(1)
			op := operation.Draw(t, "operation")
			doing[op](x, t)
			for _, e := range x.m.events {
				n.transitions.Add(1)
				if e.wouldOpen {
					n.wouldOpen.Add(1)
				}
				if e.reason == breaker.ReasonProbeLost {
					n.lost.Add(1)
				}
			}
		},
	})
	n.rejections.Add(int64(x.m.totals.rejected))
	n.late.Add(int64(x.m.totals.late))
}
