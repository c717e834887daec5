package durable

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/internal/core"
)

// An execution is one run that this engine has the lease of, from its claim, or its
// start, until it waits, ends, is stuck or is lost.
type execution struct {
	e       *Engine
	program program
	id, of  string        // of the run and of its saga
	asked   time.Time     // when the lease was asked for
	soft    atomic.Bool   // no further step starts
	ready   chan struct{} // closed when it is in the store, or will not be
	turn    chan struct{} // one slot: held by who writes

	// Guarded by turn: the lease is renewed by a goroutine of its own.
	head    Head // as it is in the store; Rev 0: it is not
	draft   Head // what is about to be
	encoder encoder
	written int // events in the store
	created []core.Event
	news    bool // somebody else has added to the journal
	spoken  bool // an operator has: what is about to be written may be wrong
	again   bool // what is written does not depend on whether an operator has
	err     error
	lease   lease

	life context.Context //nolint:containedctx // of the execution, whatever an operator says
	kill context.CancelCauseFunc

	// mu guards the fields below.
	mu     sync.Mutex
	ctx    context.Context //nolint:containedctx // of its steps
	cancel context.CancelCauseFunc
}

// errReload is the cause with which an execution ends that has to begin again, since
// an operator has spoken.
var errReload = errors.New("durable: an operator has spoken")

func (e *Engine) newExecution(p program, h Head, asked time.Time) *execution {
	x := &execution{e: e, program: p, id: h.ID, of: h.Saga, asked: asked, head: h, ready: make(chan struct{}), turn: make(chan struct{}, 1)}
	x.life, x.kill = context.WithCancelCause(e.ctx)
	x.renew()
	x.lease.x = x
	return x
}

// renew makes the context of the steps another one.
func (x *execution) renew() context.Context {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ctx, x.cancel = context.WithCancelCause(x.life)
	return x.ctx
}

// context is that of the steps now.
func (x *execution) context() context.Context {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.ctx
}

// reload ends the context of the steps, as an operator has spoken.
func (x *execution) reload() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.cancel(errReload)
}

// perform executes a run as far as it gets.
func (x *execution) perform() {
	defer x.e.finished(x)
	defer x.kill(context.Canceled)
	defer x.lease.end()
	defer x.settle()
	waited := x.head.Status == saga.Waiting
	x.lease.begin(x.asked)
	for ctx := x.context(); ; ctx = x.renew() {
		h, events, err := x.events()
		if err != nil {
			x.fault("load", err)
			x.release(x.e.time.now().Add(x.e.cfg.Poll))
			return
		}
		if waited {
			x.tellStatus(saga.StatusEvent{From: saga.Waiting, To: saga.Running})
			waited = false
		}
		res := x.program.Execute(ctx, core.Job[*saga.RunConfig]{
			ID: x.id, Labels: h.Labels, Config: &x.e.run, Events: events, Journal: x, Latest: h.latest(), Fresh: fresh(events),
			MaxState: x.e.maxState(), MaxCrashes: x.e.cfg.MaxCrashes, StepTimeout: x.e.cfg.StepTimeout,
		})
		if !errors.Is(res.Halted, errReload) && !errors.Is(x.conclude(res), errReload) {
			return
		}
		err = x.leave(res.Events)
		switch {
		case err != nil:
			x.fault("append", err)
			return
		case x.lease.expired():
			x.fault("lease", ErrFenced)
			return
		}
	}
}

// fresh reports whether a run has not begun. It may have a signal before it does.
func fresh(events []core.Event) bool {
	return !slices.ContainsFunc(events, func(e core.Event) bool {
		return e.Kind != core.Created && e.Kind != core.Signal
	})
}

// leave records what happened before an operator was heard, who has made the run go back:
// how attempts have ended, and nothing of what was to follow.
func (x *execution) leave(events []core.Event) error {
	x.turn <- struct{}{}
	defer func() { <-x.turn }()
	return x.writeAnyway(facts(events))
}

// settle tells who waits for the start that there is no more to come.
func (x *execution) settle() {
	select {
	case <-x.ready:
	default:
		if x.err == nil {
			x.err = ErrClosed
		}
		close(x.ready)
	}
}

// events is the journal: what it begins with, or what is in the store.
func (x *execution) events() (Head, []core.Event, error) {
	x.turn <- struct{}{}
	defer func() { <-x.turn }()
	if x.head.Rev == 0 {
		return x.head, x.created, nil
	}
	h, data, err := x.e.store.Load(x.e.ctx, x.id)
	if err != nil {
		return h, nil, err
	}
	if h.Epoch != x.head.Epoch {
		return h, nil, ErrFenced
	}
	x.head, x.written, x.news, x.spoken = h, len(data), false, false
	return h, decodeAll(data), nil
}

// stop makes an execution end, at once if it is hard.
func (x *execution) stop(cause error, hard bool) {
	x.soft.Store(true)
	if hard {
		x.kill(cause)
	}
}

// Append implements core.Journal.
func (x *execution) Append(events []core.Event) error {
	x.turn <- struct{}{}
	defer func() { <-x.turn }()
	soft := x.soft.Load()
	if soft {
		events = past(events)
	}
	if len(events) > 0 || x.head.Rev == 0 {
		err := x.write(events, func(*Head) {})
		if errors.Is(err, errReload) {
			return errors.Join(errReload, x.writeAnyway(facts(events)))
		}
		if err != nil {
			return err
		}
	}
	if soft {
		return ErrClosed
	}
	return nil
}

// past are the events without those of which what they tell is about to begin, as it does not.
func past(events []core.Event) []core.Event {
	return slices.DeleteFunc(slices.Clone(events), func(e core.Event) bool { return e.Begins })
}

// conclude records what an execution has come to, and gives the run back.
// The error is errReload if an operator was first.
func (x *execution) conclude(res core.Result[*saga.Error]) error {
	switch {
	case errors.Is(res.Halted, ErrFenced), errors.Is(res.Halted, ErrNotFound):
		x.fault("lease", res.Halted)
		return nil
	case errors.Is(res.Halted, ErrConflict):
		return nil // it was no new run
	case res.Halted != nil && !errors.Is(res.Halted, ErrClosed):
		x.fault("append", res.Halted)
		return nil
	}
	status, reason := saga.Status(res.Status), saga.ReasonNone
	if res.End != nil {
		reason = res.End.Reason
	}
	if reason == saga.ReasonJournalUnreadable {
		x.fault("journal", res.End.Err)
	}
	var how *end
	x.turn <- struct{}{}
	if res.Halted != nil {
		res.Events = past(res.Events)
	}
	err := x.write(res.Events, func(h *Head) {
		h.Owner = ""
		switch {
		case res.Halted != nil:
			h.WakeAt = x.e.time.now()
		case res.Waits:
			if h.Status = saga.Waiting; res.Undoes {
				h.Status = saga.Compensating
			}
			if h.WakeAt = res.Wake; x.news && !res.Untold { // perhaps it is what it waits for
				h.WakeAt = x.e.time.now()
			}
		default:
			h.Status, h.WakeAt = status, time.Time{}
			if res.Saved != nil { // before anybody can see that it has ended
				how = &end{rev: h.Rev + 1, created: h.CreatedAt, err: res.End, state: res.Saved}
				x.e.keep(h.ID, *how)
			}
			if status == saga.Stuck {
				h.Reason = reason
			}
		}
	})
	<-x.turn
	switch {
	case errors.Is(err, errReload):
		return err
	case err != nil:
		x.fault("append", err)
		return nil
	}
	res.Told()
	switch {
	case res.Waits && !res.Undoes:
		x.tellStatus(saga.StatusEvent{From: saga.Running, To: saga.Waiting})
	case res.Saved == nil && status == saga.Stuck: // the run itself knows nothing of that
		x.tellStatus(saga.StatusEvent{From: saga.Running, To: status, Reason: reason, Cause: res.End.Err})
	}
	if res.Halted == nil && !res.Waits {
		x.e.tell(x.id, how)
	}
	return nil
}

// fault reports what is no outcome of a step.
func (x *execution) fault(op string, err error) { x.e.fault(Head{ID: x.id, Saga: x.of}, op, err) }

// tellStatus tells the hook of a change that the run itself does not know of.
func (x *execution) tellStatus(event saga.StatusEvent) {
	event.Saga, event.Run = x.of, x.id
	x.e.tellStatus(x.e.ctx, event)
}

// tellStatus tells the hook on a context: that of the call which has changed the status, or
// that of the engine.
func (e *Engine) tellStatus(ctx context.Context, event saga.StatusEvent) {
	if hook := e.cfg.Hooks.Status; hook != nil {
		event.At = e.time.now()
		if failed := contained(func() { hook(ctx, event) }); failed != nil {
			e.tellFault(ctx, saga.FaultEvent{Op: "status", Saga: event.Saga, Run: event.Run, Err: failed})
		}
	}
}

// release gives a run back that could not be read.
func (x *execution) release(wake time.Time) {
	x.turn <- struct{}{}
	defer func() { <-x.turn }()
	if err := x.write(nil, func(h *Head) { h.Owner, h.WakeAt = "", wake }); err != nil {
		x.fault("append", err)
	}
}
