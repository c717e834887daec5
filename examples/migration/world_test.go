package migration

import (
	"context"
	"errors"
	"fmt"
	"maps"
)

// A world is what the services of a shop have done. Each of them accepts to be asked
// again for the same order, and to undo what has not happened.
type world struct {
	asked   []string
	effects map[string]bool // of what, for which order
	faults  map[string]fault
	leave   func() // ends the context of the caller
}

// A fault is what goes wrong the first time that something is asked for.
type fault struct {
	refuses error // there is no effect
	loses   bool  // there is one, and no answer
	hangs   bool  // until the context ends
	panics  bool
	leaves  bool // the caller does, meanwhile
	always  bool
}

var errNoAnswer = errors.New("no answer")

func newWorld(faults map[string]fault, leave func()) *world {
	return &world{effects: make(map[string]bool), faults: maps.Clone(faults), leave: leave}
}

// ask has something done, or undone, for an order.
func (w *world) ask(ctx context.Context, what, effect string, holds bool, o *Order) error {
	w.asked = append(w.asked, what)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	f := w.faults[what]
	if !f.always {
		delete(w.faults, what)
	}
	if f.leaves {
		w.leave()
	}
	if f.refuses != nil {
		return f.refuses
	}
	w.effects[fmt.Sprint(effect, o.ID)] = holds
	switch {
	case f.panics:
		panic(what)
	case f.hangs:
		<-ctx.Done()
		return context.Cause(ctx)
	case f.loses:
		return errNoAnswer
	}
	return nil
}

// holds are the effects that an order has had and that were not undone.
func (w *world) holds(id int) []string {
	held := []string{}
	for _, effect := range []string{"reserve", "charge", "ship"} {
		if w.effects[fmt.Sprint(effect, id)] {
			held = append(held, effect)
		}
	}
	return held
}

type (
	stock struct{ *world }
	bank  struct{ *world }
	post  struct{ *world }
)

func (s stock) Reserve(ctx context.Context, o *Order) error {
	return s.ask(ctx, "reserve", "reserve", true, o)
}

func (s stock) Release(ctx context.Context, o *Order) error {
	return s.ask(ctx, "release", "reserve", false, o)
}

func (b bank) Charge(ctx context.Context, o *Order) error {
	return b.ask(ctx, "charge", "charge", true, o)
}

func (b bank) Refund(ctx context.Context, o *Order) error {
	return b.ask(ctx, "refund", "charge", false, o)
}

func (p post) Ship(ctx context.Context, o *Order) error { return p.ask(ctx, "ship", "ship", true, o) }
