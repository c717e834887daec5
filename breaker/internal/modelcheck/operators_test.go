package modelcheck

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/mainstay-go/mainstay/breaker"
)

// Operations of a machine that are no calls: time goes by, and operators act.

func (x *machine) set(t *rapid.T, now int64) {
	t.Logf("time: %v", time.Duration(now))
	x.clock.at.Store(now)
	x.m.now = now
}

func (x *machine) wait(t *rapid.T) {
	x.set(t, x.m.now+int64(pick(t, "wait", ms, 1, 3*ms, 10*ms, 20*ms, 100*ms, 2*time.Second, 40*time.Second)))
}

// untilDue goes to where something changes, or just not yet.
func (x *machine) untilDue(t *rapid.T) {
	if due := x.m.due(); len(due) > 0 {
		slices.Sort(due)
		at := pick(t, "due", slices.Compact(due)...)
		x.set(t, at+pick[int64](t, "off", 0, -1, 1))
	}
}

func (x *machine) goBack(t *rapid.T) {
	x.set(t, x.m.now-int64(pick(t, "back", ms, 1, 15*ms, time.Second, time.Hour, 365*24*time.Hour)))
}

// centuries go by, but not more than a Duration can tell apart.
func (x *machine) centuries(t *rapid.T) {
	const century = 100 * 365 * 24 * time.Hour
	if x.m.now < math.MaxInt64-2*int64(century) && chance(t, "really", 3) {
		x.set(t, x.m.now+int64(century))
	}
}

// openTime is an argument of Trip.
func (x *machine) openTime(t *rapid.T) time.Duration {
	return pick(t, "openFor", 20*ms, 0, 100*ms, 0, time.Second, -1, math.MaxInt64)
}

func (x *machine) trip(t *rapid.T) {
	d, err := x.openTime(t), x.err(t)
	if x.m.forced.on && d == 0 && x.m.cfg.raw.Jitter > 0 {
		d = ms // what is drawn under a forced state would show too late
	}
	x.b.Trip(d, err)
	x.learn()
	x.m.trip(d, err)
}

func (x *machine) forceOpen(t *rapid.T) {
	err := x.err(t)
	x.b.ForceOpen(err)
	x.m.forceOpen(err)
}

func (x *machine) reconfigure(t *rapid.T) {
	cfg := x.prepare(drawChange(t, x.m.cfg, families[rapid.IntRange(0, len(families)-1).Draw(t, "family")]))
	t.Logf("%v, %+v", cfg.raw.Trip, cfg.raw)
	if err := x.b.Reconfigure(cfg.raw); err != nil {
		t.Fatalf("Reconfigure: %v", err)
	}
	x.m.reconfigure(cfg)
}

// misconfigure changes nothing.
func (x *machine) misconfigure(t *rapid.T) {
	bad := breaker.Config{Probes: 1}
	switch pick(t, "bad", "rate", "CloseOf", "Jitter") {
	case "rate":
		bad.Trip = breaker.FailureRate(math.NaN(), 0, breaker.LastN(1))
	case "CloseOf":
		bad.CloseAfter, bad.CloseOf = 3, 2
	default:
		bad.Jitter = 2
	}
	if err := x.b.Reconfigure(bad); err == nil {
		t.Fatal("Reconfigure accepts anything")
	}
}

// react arms the next Transition hook.
func (x *machine) react(t *rapid.T) {
	cause := errors.New("by a hook")
	r := pick(t, "reaction", reactions(cause)...)
	t.Logf("the next hook: %s", r.name)
	x.reacting, x.imitating = r, r
}

func reactions(cause error) []reaction {
	ran := false // what the call of a hook came to
	return []reaction{
		{"panics", func(*machine) { panic(cause) }, func(x *machine) { x.m.totals.panics++ }},
		{"looks", func(x *machine) { _, _ = x.b.State(), x.b.Snapshot() }, func(*machine) {}},
		{"resets", func(x *machine) { x.b.Reset() }, func(x *machine) { x.m.reset() }},
		{"trips", func(x *machine) { x.b.Trip(30*ms, cause) }, func(x *machine) { x.m.trip(30*ms, cause) }},
		{"forces open", func(x *machine) { x.b.ForceOpen(cause) }, func(x *machine) { x.m.forceOpen(cause) }},
		{"forces closed", func(x *machine) { x.b.ForceClosed() }, func(x *machine) { x.m.forceClosed() }},
		{"auto", func(x *machine) { x.b.Auto() }, func(x *machine) { x.m.ends() }},
		{
			"calls", func(x *machine) {
				_ = x.b.Run(context.Background(), func(context.Context) error {
					ran = true
					return nil
				})
			},
			func(x *machine) {
				id := len(x.permits)
				x.permits = append(x.permits, nil)
				if x.m.call(id, &caller{}, ran) == nil {
					x.m.report(id, report{})
				}
			},
		},
	}
}
