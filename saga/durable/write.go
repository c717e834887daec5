package durable

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/internal/core"
)

// facts are the events that stay true when something else has been decided.
func facts(events []core.Event) []core.Event {
	return slices.DeleteFunc(slices.Clone(events), func(e core.Event) bool {
		switch e.Kind {
		case core.Started, core.UndoStarted:
			return e.Begins
		case core.Done:
			return e.Attempt == 0 // what follows from those within
		case core.Failed, core.Interrupted, core.UndoDone, core.UndoFailed:
			return false
		default:
			return true
		}
	})
}

// writeAnyway is write that an operator does not keep from it. The context of the steps has
// ended then all the same.
func (x *execution) writeAnyway(events []core.Event) error {
	x.again = true
	defer func() { x.again = false }()
	return x.write(events, func(*Head) {})
}

// write makes events durable together with the head that they lead to. turn is held.
func (x *execution) write(events []core.Event, change func(*Head)) error {
	if x.spoken && !x.again {
		return errReload
	}
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
		if h.Rev == 0 {
			x.err = why
			return why, false
		}
		return x.rest(wait, why)
	case err != nil:
		return ErrFenced, false
	case h.Rev == 0 && (stored.Epoch != 1 || stored.Owner != x.e.owner):
		x.err = ErrConflict // somebody else has it
		return ErrConflict, false
	case stored.Epoch != max(h.Epoch, 1) || stored.Owner != x.e.owner && stored.Owner != h.Owner:
		return ErrFenced, false
	}
	fresh := all[min(x.written, len(all)):]
	written := len(data) > 0 && len(fresh) >= len(data) && slices.EqualFunc(fresh[:len(data)], data, slices.Equal)
	if written { // but reported as failed
		x.wrote(h, len(data))
		fresh = fresh[len(data):]
	}
	x.head, x.written = stored, len(all)
	x.news = x.news || len(fresh) > 0
	if slices.ContainsFunc(decodeAll(fresh), func(e core.Event) bool { return e.Kind == core.Operator }) {
		x.spoken = true
		x.reload()
	}
	switch {
	case written:
		return nil, false
	case x.spoken && !x.again:
		return errReload, false
	case errors.Is(why, ErrConflict):
		return nil, true
	}
	return x.rest(x.e.cfg.Poll, why)
}

// rest waits before it is tried again, unless the execution ends meanwhile. If it does
// because of an operator it is tried again all the same, as facts have to be recorded.
func (x *execution) rest(d time.Duration, why error) (err error, again bool) {
	ctx := x.context()
	if x.e.time.pause(ctx, d) {
		return nil, true
	}
	switch {
	case !errors.Is(context.Cause(ctx), errReload):
		return why, false
	case !x.again:
		return errReload, false
	case x.e.time.pause(x.life, d):
		return nil, true
	}
	return why, false
}

// latest is the attempt that a head tells of.
func (h *Head) latest() core.Latest {
	return core.Latest{Step: h.Step, Attempt: h.Attempt, InFlight: h.InFlight, Wake: h.WakeAt}
}

// follow is what an event makes of a head.
func (h *Head) follow(e *core.Event) {
	switch e.Kind {
	case core.Started:
		h.Step, h.Attempt, h.InFlight, h.Status = e.Step, e.Attempt, true, saga.Running
	case core.UndoStarted:
		h.Step, h.Attempt, h.InFlight = e.Step, e.Attempt, true
	case core.Done, core.Failed, core.Interrupted, core.UndoDone, core.UndoFailed:
		h.InFlight = h.InFlight && e.Step != h.Step
	case core.Waiting:
		h.Step, h.Attempt, h.InFlight = e.Step, 0, false
	case core.Aborting:
		h.Status = saga.Compensating
	case core.Ended:
		h.Status = saga.Status(e.Status)
	case core.Stuck:
		h.Status, h.Reason = saga.Stuck, saga.Reason(e.Reason)
	default:
	}
}
