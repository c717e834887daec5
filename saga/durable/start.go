package durable

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/internal/core"
)

// StartConfig is about one run.
type StartConfig struct {
	ID     string            // required, up to 256 bytes: the name of the run
	Labels map[string]string // for List, and for a traceparent
	Delay  time.Duration     // until it begins. Zero and negative: none
}

// A Run is a handle to a durable run. It is safe for concurrent use.
type Run[S any] struct {
	e       *Engine
	program program
	id      string
}

// Start makes a run durable and begins to execute it. With an ID, a saga and a state
// that there were before it returns the run there is, whatever has become of it; with
// the ID alone the error is ErrConflict. So it may be called again when nobody knows
// whether it worked. The end of ctx ends the call, not the run.
func Start[S any](ctx context.Context, e *Engine, s *saga.Saga[S], id string, state S) (*Run[S], error) {
	return StartWith(ctx, e, s, StartConfig{ID: id}, state)
}

// StartWith is [Start] with a config.
func StartWith[S any](ctx context.Context, e *Engine, s *saga.Saga[S], cfg StartConfig, state S) (*Run[S], error) {
	p, err := registered(e, s)
	if err != nil {
		return nil, err
	}
	if err := checkCall(ctx, cfg.ID); err != nil {
		return nil, err
	}
	data, err := p.Encode(&state)
	switch {
	case err != nil:
		return nil, fmt.Errorf("durable: Start: %w", err)
	case len(data) > e.maxState():
		return nil, fmt.Errorf("durable: Start: the state has %d bytes, want at most Config.MaxState, %d", len(data), e.maxState())
	}
	if err := e.start(ctx, p, cfg, data); err != nil {
		return nil, err
	}
	return &Run[S]{e, p, cfg.ID}, nil
}

// Find returns a handle to a run that there is.
func Find[S any](ctx context.Context, e *Engine, s *saga.Saga[S], id string) (*Run[S], error) {
	p, err := registered(e, s)
	if err != nil {
		return nil, err
	}
	if err := checkCall(ctx, id); err != nil {
		return nil, err
	}
	h, _, err := e.store.Load(ctx, id)
	switch {
	case err != nil:
		return nil, ofRun(id, err)
	case h.Saga != p.Name():
		return nil, about(ErrConflict, "run %q is one of the saga %q", id, h.Saga)
	}
	return &Run[S]{e, p, id}, nil
}

func checkCall(ctx context.Context, id string) error {
	switch {
	case ctx == nil:
		return errNilContext
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case id == "" || len(id) > maxID:
		return fmt.Errorf("durable: the ID has %d bytes, want 1 to %d", len(id), maxID)
	}
	return nil
}

// start creates a run. If there is room it is executed here, and its first step is
// recorded with its creation.
func (e *Engine) start(ctx context.Context, p program, cfg StartConfig, data []byte) error {
	now := e.time.now()
	created := core.Event{Kind: core.Created, At: now, Data: data}
	h := Head{
		ID: cfg.ID, Saga: p.Name(), Fingerprint: p.Fingerprint(), Status: saga.Running,
		WakeAt: now.Add(max(cfg.Delay, 0)), CreatedAt: now, UpdatedAt: now, Labels: maps.Clone(cfg.Labels),
	}
	if cfg.Delay <= 0 {
		h.Owner = e.owner
		x := e.newExecution(p, h, now)
		x.created = []core.Event{created}
		if e.enter(x, true) {
			select {
			case <-x.ready:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			if x.err == nil || errors.Is(x.err, ErrClosed) {
				return x.err
			}
			return e.same(ctx, h, data, x.err)
		}
		x.kill(context.Canceled)
		h.Owner = ""
	}
	if e.isClosing() {
		return ErrClosed
	}
	events, err := encodeAll([]core.Event{created})
	if err != nil {
		return err
	}
	switch err := e.store.Create(ctx, h, 0, events); {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return e.same(ctx, h, data, err)
	}
	e.wake()
	return nil
}

func (e *Engine) isClosing() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closing
}

// same checks that the run which is there is the one that was to be started, though
// to create it has failed for a reason.
func (e *Engine) same(ctx context.Context, h Head, data []byte, why error) error {
	stored, all, err := e.store.Load(ctx, h.ID)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(why, ErrConflict): // with what, nobody knows: perhaps it is this very run
		return ofRun(h.ID, err)
	default:
		return ofRun(h.ID, why)
	}
	events := decodeAll(all)
	if stored.Saga != h.Saga || len(events) == 0 || !slices.Equal(events[0].Data, data) {
		return about(ErrConflict, "there is another run %q", h.ID)
	}
	return nil
}

// ID is the name of the run; "" for a nil one.
func (r *Run[S]) ID() string {
	if r == nil {
		return ""
	}
	return r.id
}

// Wait waits until the run has ended or is stuck, wherever it is executed, and
// returns its state. The error is a *[saga.Error] unless it is completed, the cause
// of ctx, or ErrClosed if the engine is closed before. It may be called again after
// an operator has resumed the run. In a step of that very run it returns ErrConflict.
func (r *Run[S]) Wait(ctx context.Context) (state S, err error) {
	if r == nil || r.e == nil {
		return state, errZeroRun
	}
	if err := checkCall(ctx, r.id); err != nil {
		return state, err
	}
	if info := saga.Info(ctx); info.Run == r.id && info.Saga == r.program.Name() && info.Step != "" {
		return state, about(ErrConflict, "run %q would wait for itself", r.id)
	}
	for {
		over, here := r.e.await(r.id)
		if !here {
			state, h, failed, err := r.look(ctx, true)
			if err != nil || h.Status.Ended() || h.Status == saga.Stuck {
				r.e.forget(r.id, over)
				return state, either(err, failed)
			}
		}
		how, err := r.e.attend(ctx, over, here)
		r.e.forget(r.id, over)
		if err != nil {
			return state, err
		}
		if how != nil {
			decoded, err := r.program.Decode(how.state)
			if err != nil {
				return state, err
			}
			return *decoded.(*S), either(nil, how.err)
		}
	}
}

// either is the error that there is.
func either(err error, failed *saga.Error) error {
	if err == nil && failed != nil {
		return failed
	}
	return err
}

// attend waits for what is told of a run. If it is not executed here that is for a while
// only, as it may end elsewhere.
func (e *Engine) attend(ctx context.Context, over <-chan *end, here bool) (how *end, err error) {
	var ring chan struct{}
	if !here {
		ring = make(chan struct{})
		defer e.time.afterFunc(e.cfg.Poll, func() { close(ring) })()
	}
	select {
	case how = <-over:
	case <-ring:
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-e.gone:
		err = ErrClosed
	}
	select {
	case how = <-over: // of two at once this one counts
		err = nil
	default:
	}
	return how, err
}

// State is the run as it was last recorded.
func (r *Run[S]) State(ctx context.Context) (state S, h Head, err error) {
	if r == nil || r.e == nil {
		return state, h, errZeroRun
	}
	if err := checkCall(ctx, r.id); err != nil {
		return state, h, err
	}
	state, h, _, err = r.look(ctx, false)
	return state, h, err
}

// look reads the run, or only its head as long as it goes on.
func (r *Run[S]) look(ctx context.Context, brief bool) (state S, h Head, end *saga.Error, err error) {
	h, data, err := r.e.store.Load(ctx, r.id)
	if err != nil || brief && !h.Status.Ended() && h.Status != saga.Stuck {
		return state, h, nil, ofRun(r.id, err)
	}
	how, kept := r.e.kept(h)
	if kept && how.state != nil {
		decoded, err := r.program.Decode(how.state)
		if err != nil {
			return state, h, nil, err
		}
		return *decoded.(*S), h, how.err, nil
	}
	events := decodeAll(data)
	res, err := r.program.Inspect(core.Job[*saga.RunConfig]{ID: r.id, Config: &r.e.run, Events: events})
	switch {
	case err == nil:
	case h.Status == saga.Stuck || h.Status == saga.Abandoned:
		return state, h, &saga.Error{Saga: h.Saga, Run: h.ID, Status: h.Status, Reason: h.Reason, Err: err}, nil
	case h.Status.Ended():
		return state, h, nil, err
	default: // whoever claims it will find out
		return state, h, nil, nil
	}
	if kept {
		return *res.State.(*S), h, how.err, nil
	}
	return *res.State.(*S), h, res.End, nil
}

// await is a channel that tells how a run has ended here, or that one has to look, and
// whether it is executed here.
func (e *Engine) await(id string) (over chan *end, here bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	over = make(chan *end, 1)
	e.waiting[id] = append(e.waiting[id], over)
	return over, e.active[id] != nil
}

func (e *Engine) forget(id string, ch chan *end) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.waiting[id] = slices.DeleteFunc(e.waiting[id], func(c chan *end) bool { return c == ch }); len(e.waiting[id]) == 0 {
		delete(e.waiting, id)
	}
}
