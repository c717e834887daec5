package saga

import (
	"context"
	"fmt"
	"sync"
)

// A run is one execution. Its own goroutine goes through the steps; children of
// groups have goroutines of their own, which it waits for.
type run struct {
	frame
	recorder
	life
}

// A life is what is new with every run of those that use the same memory in turn.
type life struct {
	self   *identity
	ctx    context.Context //nolint:containedctx // of the caller
	cfg    *RunConfig
	time   timeline
	status Status
	rest   flow // parked or halt, if that is how far it has come

	first    *origin       // of contexts on the first level
	contexts []stepContext // for that level, not yet used
	pending  answer        // how the first attempt of the next step has failed; without an error there was none

	// What follows the pivot, and a pivot that may be applied, goes by late
	// instead of ctx. Set by the goroutine of the run alone, before anything
	// else that looks at it begins.
	late    *term
	unhook  func() bool // of late, from ctx
	pivoted bool        // the pivot is applied
	doubt   bool        // it may be

	// mu guards the fields below.
	mu       sync.Mutex
	failure  *Error // what ended the forward part; nil: nothing so far
	panicked bool   // a PanicError of ours is in it, or among its Undo
}

// A flow is how a part of the forward way has ended.
type flow uint8

const (
	onward flow = iota // it is done
	parked             // it has to wait, and somebody goes on with it later
	back               // the run has to go back
	stuck              // it can neither go on nor back
	halt               // what happens cannot be recorded any more
)

func (p *program) newRun() *run {
	r := &run{}
	r.frame = frame{run: r, prog: p, nodes: p.nodes, marks: make([]mark, len(p.nodes)), elem: -1, deadline: never}
	return r
}

// born begins a run, one that is new or as good as that.
func (r *run) born(b *birth, state any) {
	r.self, r.first, r.contexts = &b.identity, &b.origin, b.contexts[:]
	r.ctx, r.cfg, r.time.clock, r.frame.state = b.Context, b.cfg, b.cfg.Clock, state
}

// execute runs the saga to its end, also if a function of the user's calls
// runtime.Goexit: then this goroutine ends after that.
func (r *run) execute() {
	returned := false
	defer func() {
		if r.late != nil {
			r.unhook()
			r.late.close()
		}
	}()
	defer func() {
		if !returned && !r.status.Ended() && r.status != Stuck {
			r.conclude(r.lost())
		}
	}()
	if r.status == 0 {
		r.change(Running)
	}
	if r.undoing {
		r.conclude(back)
	} else {
		ctx, free := r.timed(r.first, &r.frame)
		defer free()
		r.conclude(r.forward(ctx, &r.frame))
	}
	returned = true
}

// lost is how the way forward ends when a goroutine exits on it. What has been
// done is in the marks.
func (r *run) lost() flow {
	exit := &PanicError{Goexit: true}
	if r.irreversible() {
		r.stick("", Unknown, exit, position{pivoted: r.pivoted}.reason())
		return stuck
	}
	r.fail("", Unknown, exit)
	return back
}

// irreversible reports whether the pivot is applied, or may be.
func (r *run) irreversible() bool { return r.pivoted || r.doubt }

// conclude brings the run to its end.
func (r *run) conclude(f flow) {
	switch f {
	case onward:
		r.change(Completed)
	case stuck:
		r.change(Stuck)
	case back:
		r.recordBack()
		r.change(Compensating)
		g := r.newGrace()
		next := stuck
		defer func() { // also if the goroutine exits
			g.close()
			switch {
			case next == parked || next == halt:
				r.rest = next
			case len(r.failure.Undo) == 0:
				r.change(Compensated)
			default:
				r.failure.Reason = ReasonUndoFailed
				r.change(Stuck)
			}
		}()
		g.start()
		r.undoAll(g, &r.frame, &next)
	case parked, halt:
		r.rest = f
	}
}

// change changes the status.
func (r *run) change(to Status) {
	from := r.status
	if from == to { // it was so already when an earlier process left it
		return
	}
	r.status = to
	if f := r.failure; f != nil {
		f.Status = to
	}
	r.recordStatus(to)
	if hook := r.cfg.Hooks.Status; hook != nil {
		e := StatusEvent{Saga: r.prog.name, Run: r.name(), From: from, To: to, At: r.time.source.now()}
		if f := r.failure; f != nil {
			e.Cause, e.Reason = f.Err, f.Reason
		}
		r.frame.tell(func() { r.observe(r.ctx, "status", func() { hook(r.ctx, e) }) })
	}
}

// observe runs a hook.
func (r *run) observe(ctx context.Context, op string, hook func()) {
	contained := func() {
		safely(hook, func(p *PanicError) {
			if p != nil {
				r.fault(ctx, op, p)
			}
		})
	}
	if r.journal == nil {
		contained()
		return
	}
	over := make(chan struct{}) // a hook that exits must not end what goes on without a caller
	go func() {
		defer close(over)
		contained()
	}()
	<-over
}

func (r *run) fault(ctx context.Context, op string, err error) {
	if hook := r.cfg.Hooks.Fault; hook != nil {
		safely(func() { hook(ctx, FaultEvent{op, r.prog.name, r.name(), err}) }, func(*PanicError) {})
	}
}

// fail notes what ends the forward part. The first failure counts; of the others a panic is
// told to the hook, as nobody returns it.
func (r *run) fail(path string, o Outcome, err error) {
	r.mu.Lock()
	first := r.failure == nil
	if first {
		r.failure = &Error{Saga: r.prog.name, Run: r.self.known(), Step: path, Outcome: o, Err: err}
		r.panicked = holdsPanic(err)
	}
	r.mu.Unlock()
	if !first && path != "" && holdsPanic(err) {
		r.fault(r.ctx, "step", fmt.Errorf("%s: %w", path, err))
	}
}

// stick is fail for a run that is stuck.
func (r *run) stick(path string, o Outcome, err error, why Reason) {
	r.fail(path, o, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure.Reason == ReasonNone {
		r.failure.Reason = why
	}
}

// name is the ID of the run.
func (r *run) name() string { return r.self.name() }

// timed is a context that ends when the Timeout of a frame's saga is over.
func (r *run) timed(o *origin, f *frame) (*origin, func()) {
	if f.prog.timeout <= 0 || r.pivoted {
		return o, func() {}
	}
	begun := f.begun
	if r.journal == nil {
		begun = r.time.now()
	}
	f.deadline = min(f.deadline, after(begun, f.prog.timeout))
	t := r.newTerm(o, f, left(f.deadline, r.time.now()))
	return &t.origin, t.close
}

// over is why there can be no further attempt on the way to the pivot, or nil.
func (r *run) over(ctx context.Context, f *frame) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if f.deadline != never && r.time.now() >= f.deadline {
		return context.DeadlineExceeded
	}
	return nil
}

// depart makes late the context of the run: the pivot is applied, or may be.
func (r *run) depart() {
	if r.late == nil {
		r.late = r.newGrace()
		r.unhook = context.AfterFunc(r.ctx, r.late.start)
	}
}
