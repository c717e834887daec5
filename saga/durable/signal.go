package durable

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/internal/core"
)

// SignalConfig says whom a signal is for.
type SignalConfig struct {
	Run     string // required: the ID of the run
	Step    string // required: the path of an Await step
	DedupID string // of this signal: sent twice it is accepted twice and counts once. Empty: none
}

// Signal gives a run the signal that an Await step waits for, or will. The first one
// counts. ErrConflict: there was another one, or the run has ended. ErrNotFound: there
// is no such run, or no such step. It is durable on return.
func Signal[T any](ctx context.Context, e *Engine, id, step string, v T) error {
	return SignalWith(ctx, e, SignalConfig{Run: id, Step: step}, v)
}

// SignalWith is [Signal] with a config.
func SignalWith[T any](ctx context.Context, e *Engine, cfg SignalConfig, v T) error {
	return e.change(ctx, cfg.Run, func(h *Head, p program, events []core.Event) (*core.Event, error) {
		step, data, err := p.EncodeSignal(cfg.Step, v)
		switch {
		case err != nil:
			return nil, err
		case step == "":
			return nil, about(ErrNotFound, "the saga %q has no Await step %q", p.Name(), cfg.Step)
		}
		for i := range events {
			if old := &events[i]; old.Kind == core.Signal && p.Present(old.Step) == step {
				if cfg.DedupID != "" && old.By == cfg.DedupID {
					return nil, nil
				}
				return nil, about(ErrConflict, "step %q of run %q has its signal", cfg.Step, cfg.Run)
			}
		}
		if h.Status.Ended() {
			return nil, about(ErrConflict, "run %q has ended, it is %v", cfg.Run, h.Status)
		}
		if h.Status == saga.Waiting && !h.untold(events) {
			h.WakeAt = e.time.now()
		}
		return &core.Event{Kind: core.Signal, Step: step, By: cfg.DedupID, Data: data}, nil
	}, func() {})
}

// untold reports whether no event tells of the attempt that a head tells of, so that it
// alone says when the next one is due. Then no other step waits for anything.
func (h *Head) untold(events []core.Event) bool {
	told := 0
	for i := range events {
		if events[i].Step == h.Step {
			told = max(told, events[i].Attempt)
		}
	}
	return h.Attempt > told
}

// change adds an event to a run that perhaps somebody else executes. plan says which,
// nil for none, and may change the head; it is asked again if the run has changed. done is called when that is written.
func (e *Engine) change(ctx context.Context, id string, plan func(h *Head, p program, events []core.Event) (*core.Event, error), done func()) error {
	if e == nil || e.store == nil {
		return errZeroEngine
	}
	if err := checkCall(ctx, id); err != nil {
		return err
	}
	if e.isClosing() {
		return ErrClosed
	}
	for {
		h, data, err := e.store.Load(ctx, id)
		if err != nil {
			return ofRun(id, err)
		}
		e.mu.Lock()
		p := e.programs[h.Saga]
		e.mu.Unlock()
		if p == nil {
			return fmt.Errorf("durable: run %q is one of the saga %q, which is not registered", id, h.Saga)
		}
		events := decodeAll(data)
		at := h.Rev
		event, err := plan(&h, p, events)
		if event == nil || err != nil {
			return err
		}
		event.At, h.UpdatedAt = e.time.now(), e.time.now()
		encoded, err := encodeAll([]core.Event{*event})
		if err != nil {
			return err
		}
		if err = e.store.Append(ctx, at, h, 0, encoded); err == nil {
			done()
			e.heard(id, event)
			return nil
		}
		if !errors.Is(err, ErrConflict) {
			return ofRun(id, err)
		}
		// By the system's time: nobody would know that a Mock has to be moved for this.
		if !(timeline{}).pause(ctx, time.Millisecond) {
			return context.Cause(ctx)
		}
	}
}

// heard makes this engine notice at once what was added to a run.
func (e *Engine) heard(id string, event *core.Event) {
	e.mu.Lock()
	x := e.active[id]
	e.mu.Unlock()
	if x != nil && event.Kind == core.Operator {
		x.reload()
	}
	e.wake()
	e.tell(id, nil)
}
