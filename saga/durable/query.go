package durable

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/internal/core"
)

// A Record is a run with its journal.
type Record struct {
	Head   Head
	Events []Event

	program program // nil: the saga is not registered
}

// An Event is one entry of a journal.
type Event struct {
	N       int // 1, 2, ...
	At      time.Time
	Wake    time.Time // when what waits goes on
	Kind    string    // created started done failed interrupted decided aborting undo-started undo-done undo-failed waiting signal stuck operator ended
	Step    string    // its path
	Attempt int
	Outcome saga.Outcome
	Tainted bool
	Reason  saga.Reason
	Err     string
	Verb    string // of an operator: resume skip abort abandon
	By, Why string // and who, and for what reason
	Data    []byte // a state or a signal, encoded
}

// Get reads a run. ErrNotFound: there is none.
func (e *Engine) Get(ctx context.Context, id string) (*Record, error) {
	if e == nil || e.store == nil {
		return nil, errZeroEngine
	}
	if err := checkCall(ctx, id); err != nil {
		return nil, err
	}
	h, data, err := e.store.Load(ctx, id)
	if err != nil {
		return nil, ofRun(id, err)
	}
	events := decodeAll(data)
	e.mu.Lock()
	rec := &Record{Head: h, Events: make([]Event, len(events)), program: e.programs[h.Saga]}
	e.mu.Unlock()
	for i := range events {
		rec.Events[i] = eventOf(i+1, &events[i])
	}
	return rec, nil
}

func eventOf(n int, e *core.Event) Event {
	return Event{
		N: n, At: e.At, Wake: e.Wake, Kind: string(e.Kind), Step: e.Step, Attempt: e.Attempt,
		Outcome: saga.Outcome(e.Outcome), Tainted: e.Tainted, Reason: saga.Reason(e.Reason), Err: e.Err, Verb: e.Verb, By: e.By, Why: e.Why, Data: e.Data,
	}
}

// List ranges over heads, page by page. A run that does not change meanwhile comes
// exactly once. It ends with the first error.
func (e *Engine) List(ctx context.Context, q Query) iter.Seq2[Head, error] {
	return func(yield func(Head, error) bool) {
		if e == nil || e.store == nil {
			yield(Head{}, errZeroEngine)
			return
		}
		if ctx == nil {
			yield(Head{}, errNilContext)
			return
		}
		for {
			heads, cursor, err := e.store.List(ctx, q)
			if err != nil {
				yield(Head{}, err)
				return
			}
			for _, h := range heads {
				if !yield(h, nil) {
					return
				}
			}
			if cursor == "" {
				return
			}
			q.Cursor = cursor
		}
	}
}

// Sweep deletes the runs that have ended longer than Config.Retain ago, and tells how
// many. An engine does so by itself, once an hour.
func (e *Engine) Sweep(ctx context.Context) (deleted int, err error) {
	switch {
	case e == nil || e.store == nil:
		return 0, errZeroEngine
	case ctx == nil:
		return 0, errNilContext
	case e.isClosing():
		return 0, ErrClosed
	case e.cfg.Retain < 0:
		return 0, nil
	}
	q := Query{
		Status:        []saga.Status{saga.Completed, saga.Compensated, saga.Abandoned},
		UpdatedBefore: e.time.now().Add(-e.cfg.Retain),
	}
	for h, err := range e.List(ctx, q) {
		if err != nil {
			return deleted, err
		}
		switch err := e.store.Delete(ctx, h.ID, h.Rev); {
		case err == nil:
			deleted++
		case !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound):
			return deleted, err
		}
	}
	return deleted, nil
}
