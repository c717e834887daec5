package eventbus

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
)

// An attach is a bridge in use.
type attach struct {
	bus    *Bus
	bridge Bridge
	cfg    BridgeConfig
	sub    *Subscription // of the export side

	stopImport context.CancelCauseFunc
	closing    context.Context //nolint:containedctx // of the bridge's Close, which comes when everything has ended
	abort      context.CancelCauseFunc
	running    atomic.Int64  // imports, and one for the export
	closed     chan struct{} // when the bridge is
	err        error         // of its Close
}

// Attach sends and receives events over a bridge until ctx ends, the returned
// subscription, which is the sending side, is done, or the bus is closed. Then
// the bridge is closed: it belongs to the bus from here on, so attach it once.
// If that fails the error is part of what [Bus.Close] returns.
func (b *Bus) Attach(ctx context.Context, br Bridge, cfg BridgeConfig) (*Subscription, error) {
	if err := b.usable(); err != nil {
		return nil, err
	}
	a := &attach{bus: b, bridge: br, cfg: cfg.withDefaults(), closed: make(chan struct{})}
	if err := cfg.validate(ctx, br); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	receiving, stop := context.WithCancelCause(ctx)
	a.stopImport = stop
	a.closing, a.abort = context.WithCancelCause(context.WithoutCancel(ctx))
	sub, err := subscribePatterns(ctx, b, cfg.Export, a.cfg.Queue, a.forward)
	if err != nil {
		stop(err)
		a.abort(err)
		return nil, err
	}
	a.sub = sub
	b.mu.Lock()
	if b.shut != nil { // it came too late for Close to know of it
		b.mu.Unlock()
		stop(ErrClosed)
		a.abort(ErrClosed)
		sub.Cancel()
		return nil, &Error{Topic: sub.where, Err: ErrClosed}
	}
	b.attached = append(b.attached, a)
	b.mu.Unlock()
	a.running.Store(int64(len(cfg.Import)) + 1)
	for _, pattern := range cfg.Import {
		go a.receive(receiving, pattern, 0)
	}
	sub.onDone(func() {
		stop(ErrClosed)
		a.ends()
	})
	return sub, nil
}

// ends counts down what runs, and closes the bridge after the last.
func (a *attach) ends() {
	if a.running.Add(-1) > 0 {
		return
	}
	defer close(a.closed)
	defer a.abort(ErrClosed)
	var err error = &PanicError{Goexit: true} // unless it returns
	a.err = err
	if perr := safely(func() { err = a.bridge.Close(a.closing) }); perr != nil {
		err = perr
	}
	if err != nil {
		a.err = fmt.Errorf("eventbus: close the bridge of %q: %w", a.sub.name, err)
		return // it stays attached, for Close to tell
	}
	a.err = nil
	b := a.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	b.attached = slices.DeleteFunc(b.attached, func(o *attach) bool { return o == a })
}

// halt ends it now, and reports whether the bridge is still open.
func (a *attach) halt(cause error) bool {
	select {
	case <-a.closed:
		return false
	default:
		a.abort(cause)
		return true
	}
}

// closeErrors are those of bridges that have been closed.
func closeErrors(list []*attach) (errs []error) {
	for _, a := range list {
		select {
		case <-a.closed:
			if a.err != nil {
				errs = append(errs, a.err)
			}
		default:
		}
	}
	return errs
}
