package durable

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/internal/core"
)

// A Note says who does something to a run, and why. Both are required, and kept in
// the journal.
type Note struct{ By, Why string }

func (n Note) check(verb string) error {
	if n.By == "" || n.Why == "" {
		return fmt.Errorf("durable: %s: Note is {By: %q, Why: %q}, want both", verb, n.By, n.Why)
	}
	return nil
}

// Resume makes a run that is stuck go on with fresh attempts, and one that waits for
// another attempt try at once. Otherwise it returns ErrConflict.
func (e *Engine) Resume(ctx context.Context, id string, note Note) error {
	return e.operate(ctx, "resume", id, "", note, func(h *Head, res core.Result[*saga.Error]) bool {
		return h.Status == saga.Stuck || h.Owner == "" && res.Tries
	})
}

// Skip says of the step at which a run is stuck that it was settled by hand: it counts
// as applied, or as undone. Otherwise it returns ErrConflict.
func (e *Engine) Skip(ctx context.Context, id, step string, note Note) error {
	return e.operate(ctx, "skip", id, step, note, func(h *Head, res core.Result[*saga.Error]) bool {
		if h.Status != saga.Stuck || res.End == nil {
			return false
		}
		for _, u := range res.End.Undo {
			if u.Step == step {
				return true
			}
		}
		if res.Undoes { // an Undo that ends the process again and again has not failed
			return h.Reason == saga.ReasonCrashLoop && h.Step == step
		}
		return res.End.Step == step
	})
}

// Abort makes a run go back, and cancels the attempt under way. Of a run that is stuck
// at its pivot it says that the pivot had no effect. It does nothing to a run that
// goes back already. When the pivot is applied, or may be and is still tried, or when
// the run has ended, it returns ErrConflict.
func (e *Engine) Abort(ctx context.Context, id string, note Note) error {
	return e.operate(ctx, "abort", id, "", note, func(h *Head, res core.Result[*saga.Error]) bool {
		return !h.Status.Ended() && !res.Passed && (!res.Doubts || h.Status == saga.Stuck)
	})
}

// Abandon ends a run that is stuck as it is. No code of the saga runs any more.
// Otherwise it returns ErrConflict.
func (e *Engine) Abandon(ctx context.Context, id string, note Note) error {
	return e.operate(ctx, "abandon", id, "", note, func(h *Head, _ core.Result[*saga.Error]) bool {
		return h.Status == saga.Stuck
	})
}

// operate records what an operator wants, if the run is fit for it.
func (e *Engine) operate(ctx context.Context, verb, id, step string, note Note, fit func(*Head, core.Result[*saga.Error]) bool) error {
	if err := note.check(verb); err != nil {
		return err
	}
	var told saga.StatusEvent
	return e.change(ctx, id, func(h *Head, p program, events []core.Event) (*core.Event, error) {
		res, err := p.Inspect(core.Job[*saga.RunConfig]{ID: id, Config: &e.run, Events: events, Latest: h.latest()})
		if err != nil && (verb == "skip" || verb == "abort") {
			return nil, about(errors.Join(ErrConflict, err), "%s %q", verb, id)
		}
		if !fit(h, res) {
			return nil, about(ErrConflict, "%s %q, which is %v", verb, id, h.Status)
		}
		if verb == "abort" && res.Undoes {
			return nil, nil
		}
		told = saga.StatusEvent{Saga: h.Saga, Run: h.ID, From: h.Status, Cause: fmt.Errorf("%s by %s: %s", verb, note.By, note.Why)}
		if fresh(events) {
			told.From = 0
		}
		h.Reason = saga.ReasonNone
		switch {
		case verb == "abandon":
			h.Status, h.WakeAt = saga.Abandoned, time.Time{}
		case verb == "abort" || res.Undoes:
			h.Status, h.WakeAt = saga.Compensating, e.time.now()
		default:
			h.Status, h.WakeAt = saga.Running, e.time.now()
		}
		told.To = h.Status
		return &core.Event{Kind: core.Operator, Verb: verb, Step: step, Status: uint8(h.Status), By: note.By, Why: note.Why}, nil
	}, func() {
		if told.From != told.To {
			e.tellStatus(ctx, told)
		}
	})
}
