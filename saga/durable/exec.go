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
	again   bool // an operator has, and that is known
	err     error
	lease   lease

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
	x.renew()
	x.lease.x = x
	return x
}

// renew makes the context of the steps another one.
func (x *execution) renew() context.Context {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ctx, x.cancel = context.WithCancelCause(x.e.ctx)
	return x.ctx
}

// context is that of the steps now.
func (x *execution) context() context.Context {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.ctx
}

// end ends the context of the steps.
func (x *execution) end(cause error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.cancel(cause)
}

// perform executes a run as far as it gets.
func (x *execution) perform() {
	defer x.e.finished(x)
	defer x.end(context.Canceled)
	defer x.lease.end()
	defer x.settle()
	waited := x.head.Status == saga.Waiting
	x.lease.begin(x.asked)
	if waited {
		x.tellStatus(saga.Waiting, saga.Running)
	}
	for ctx := x.context(); ; ctx = x.renew() {
		h, events, err := x.events()
		if err != nil {
			x.fault("load", err)
			x.release(x.e.time.now().Add(x.e.cfg.Poll))
			return
		}
		res := x.program.Execute(ctx, core.Job[*saga.RunConfig]{
			ID: x.id, Labels: h.Labels, Config: &x.e.run, Events: events, Journal: x, Latest: h.latest(), Fresh: len(events) == 1,
			MaxState: x.e.maxState(), MaxCrashes: x.e.cfg.MaxCrashes, StepTimeout: x.e.cfg.StepTimeout,
		})
		if !errors.Is(res.Halted, errReload) {
			x.conclude(res)
			return
		}
		if err := x.leave(res.Events); err != nil {
			x.fault("append", err)
			return
		}
	}
}

// leave records what happened before an operator spoke.
func (x *execution) leave(events []core.Event) error {
	x.turn <- struct{}{}
	defer func() { <-x.turn }()
	x.again = true
	defer func() { x.again = false }()
	return x.write(events, func(*Head) {})
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
	x.head, x.written, x.news = h, len(data), false
	return h, decodeAll(data), nil
}

// stop makes an execution end, at once if it is hard.
func (x *execution) stop(cause error, hard bool) {
	x.soft.Store(true)
	if hard {
		x.end(cause)
	}
}

// Append implements core.Journal.
func (x *execution) Append(events []core.Event) error {
	x.turn <- struct{}{}
	defer func() { <-x.turn }()
	soft := x.soft.Load()
	if soft { // what has happened is recorded, and nothing else happens
		events = slices.DeleteFunc(slices.Clone(events), func(e core.Event) bool { return e.Begins })
	}
	if len(events) > 0 || x.head.Rev == 0 {
		if err := x.write(events, func(*Head) {}); err != nil {
			return err
		}
	}
	if soft {
		return ErrClosed
	}
	return nil
}

// conclude records what an execution has come to, and gives the run back.
func (x *execution) conclude(res core.Result[*saga.Error]) {
	switch {
	case errors.Is(res.Halted, ErrFenced), errors.Is(res.Halted, ErrNotFound):
		x.fault("lease", res.Halted)
		return
	case errors.Is(res.Halted, ErrConflict):
		return // it was no new run
	case res.Halted != nil && !errors.Is(res.Halted, ErrClosed):
		x.fault("append", res.Halted)
		return
	}
	status, reason := saga.Status(res.Status), saga.NoReason
	if res.End != nil {
		reason = res.End.Reason
	}
	if reason == saga.JournalUnreadable {
		x.fault("journal", res.End.Err)
	}
	var how *end
	x.turn <- struct{}{}
	err := x.write(res.Events, func(h *Head) {
		h.Owner = ""
		switch {
		case res.Halted != nil:
			h.WakeAt = x.e.time.now()
		case res.Waits:
			if h.Status = saga.Waiting; res.Undoes {
				h.Status = saga.Compensating
			}
			if h.WakeAt = res.Wake; x.news { // perhaps it is what it waits for
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
	if err != nil {
		x.fault("append", err)
		return
	}
	res.Told()
	if res.Waits && !res.Undoes {
		x.tellStatus(saga.Running, saga.Waiting)
	}
	if res.Halted == nil && !res.Waits {
		x.e.tell(x.id, how)
	}
}

// fault reports what is no outcome of a step.
func (x *execution) fault(op string, err error) { x.e.fault(Head{ID: x.id, Saga: x.of}, op, err) }

// tellStatus tells the hook that a run waits, or no longer does. The other changes are
// told where they are made.
func (x *execution) tellStatus(from, to saga.Status) {
	if hook := x.e.cfg.Hooks.Status; hook != nil {
		event := saga.StatusEvent{Saga: x.of, Run: x.id, From: from, To: to, At: x.e.time.now()}
		if failed := contained(func() { hook(x.e.ctx, event) }); failed != nil {
			x.fault("status", &saga.PanicError{Value: failed})
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

// write makes events durable together with the head that they lead to. turn is held.
func (x *execution) write(events []core.Event, change func(*Head)) error {
	if x.head.Rev == 0 {
		events = append(x.created, events...)
	}
	data, err := x.encoder.encode(events)
	if err != nil {
		return err
	}
	for tries := 0; ; tries++ {
		x.draft = x.head
		for i := range events {
			x.draft.follow(&events[i])
		}
		x.draft.UpdatedAt, x.draft.Fingerprint = x.e.time.now(), x.program.Fingerprint()
		change(&x.draft)
		h := x.draft
		if h.Rev == 0 {
			err = x.e.store.Create(x.e.ctx, h, x.e.cfg.Lease, data)
		} else {
			err = x.e.store.Append(x.e.ctx, h.Rev, h, x.e.cfg.Lease, data)
		}
		switch {
		case err == nil:
			x.wrote(h, len(data))
			return nil
		case h.Rev == 0 && errors.Is(err, ErrConflict):
			x.err = err
			return err
		case errors.Is(err, ErrNotFound):
			return ErrFenced
		}
		done, again := x.reread(h, data, err, tries)
		if done != nil || !again {
			return done
		}
	}
}

// wrote notes that a head is in the store.
func (x *execution) wrote(h Head, events int) {
	if h.Rev++; h.Rev == 1 {
		h.Epoch = 1
		close(x.ready)
	}
	x.head, x.written = h, x.written+events
	x.lease.renewed(h.UpdatedAt)
}

// reread finds out what is in the store after an attempt to write: whether that
// worked after all, whether there is another owner, or whether somebody has added
// something, so that it has to be tried again.
func (x *execution) reread(h Head, data [][]byte, why error, tries int) (err error, again bool) {
	if !errors.Is(why, ErrConflict) {
		x.fault("append", why)
	}
	stored, all, err := x.e.store.Load(x.e.ctx, h.ID)
	switch {
	case errors.Is(err, ErrNotFound) && h.Rev == 0, err != nil && !errors.Is(err, ErrNotFound):
		wait := x.e.cfg.Poll << min(tries, 5)
		if x.e.cfg.Lease > 0 {
			wait = min(wait, x.e.cfg.Lease/10)
		}
		if h.Rev == 0 || !x.e.time.pause(x.context(), wait) {
			if h.Rev == 0 {
				x.err = why
			}
			return why, false
		}
		return nil, true
	case err != nil:
		return ErrFenced, false
	case h.Rev == 0 && (stored.Epoch != 1 || stored.Owner != x.e.owner):
		x.err = ErrConflict // somebody else has it
		return ErrConflict, false
	case stored.Epoch != max(h.Epoch, 1) || stored.Owner != x.e.owner && stored.Owner != h.Owner:
		return ErrFenced, false
	}
	fresh := all[min(x.written, len(all)):]
	if len(data) > 0 && len(fresh) == len(data) && slices.EqualFunc(fresh, data, slices.Equal) {
		x.wrote(h, len(data)) // written, but reported as failed
		return nil, false
	}
	events := decodeAll(fresh)
	x.head, x.written = stored, len(all)
	x.news = x.news || len(fresh) > 0
	if !x.again && slices.ContainsFunc(events, func(e core.Event) bool { return e.Kind == core.Operator }) {
		x.end(errReload)
		return errReload, false
	}
	if errors.Is(why, ErrConflict) {
		return nil, true
	}
	if !x.e.time.pause(x.context(), x.e.cfg.Poll) {
		return why, false
	}
	return nil, true
}

// latest is the attempt that a head tells of. An Undo was in flight if what it waited for
// had come when the head was written. Of the action of a run that was aborted nobody knows,
// and the same is said.
func (h *Head) latest() core.Latest {
	return core.Latest{
		Step: h.Step, Attempt: h.Attempt,
		InFlight: h.Status == saga.Running || h.Status == saga.Compensating && !h.WakeAt.After(h.UpdatedAt),
	}
}

// follow is what an event makes of a head.
func (h *Head) follow(e *core.Event) {
	switch e.Kind {
	case core.Started:
		h.Step, h.Attempt, h.Status = e.Step, e.Attempt, saga.Running
	case core.UndoStarted:
		h.Step, h.Attempt = e.Step, e.Attempt
	case core.Waiting:
		h.Step, h.Attempt = e.Step, 0
	case core.Aborting:
		h.Status = saga.Compensating
	case core.Ended:
		h.Status = saga.Status(e.Status)
	case core.Stuck:
		h.Status, h.Reason = saga.Stuck, saga.Reason(e.Reason)
	default:
	}
}
