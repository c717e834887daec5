package saga

import (
	"context"
	"errors"

	"github.com/mainstay-go/mainstay/saga/internal/core"
)

var errCrashes = errors.New("the process has ended too often within this step")

// A job is what Execute is asked to do.
type job = core.Job[*RunConfig]

// Execute brings a durable run as far as it gets without waiting.
func (p *program) Execute(ctx context.Context, j job) core.Result[*Error] {
	var r *run
	var err error = &PanicError{Goexit: true}
	over := make(chan struct{})
	go func() { // of its own, as it may exit
		defer close(over)
		if r, err = p.resumed(ctx, j); err != nil {
			return
		}
		if path := r.inFlight(&r.frame); path != "" {
			r.stick(path, Unknown, errCrashes, ReasonCrashLoop)
			r.conclude(stuck)
			return
		}
		r.execute()
	}()
	<-over
	if err != nil {
		return unreadable(p, j, err)
	}
	res := r.result()
	switch {
	case r.severed != nil:
		res.Halted = r.severed
	case r.rest == halt:
		res.Halted = context.Cause(ctx)
	case r.rest == parked:
		if res.Waits = true; r.wake != never {
			res.Wake = r.time.date(r.wake)
		}
	}
	return res
}

// Inspect tells how a run is by its journal.
func (p *program) Inspect(j job) (core.Result[*Error], error) {
	r, err := p.resumed(context.Background(), j)
	if err != nil {
		return core.Result[*Error]{}, err
	}
	if r.late != nil {
		r.unhook()
		r.late.close()
	}
	return r.result(), nil
}

// resumed is a run as its journal has left it.
func (p *program) resumed(ctx context.Context, j job) (*run, error) {
	r := p.newRun()
	r.time.first = 1 // 0 is no instant, see until
	r.recorder = recorder{
		journal: j.Journal, maxState: j.MaxState, crashes: j.MaxCrashes,
		stepTimeout: j.StepTimeout, turn: make(chan struct{}, 1), wake: never,
	}
	r.branch()
	b := &birth{identity: identity{prog: p, cfg: j.Config, tags: j.Labels, id: j.ID}}
	b.origin = origin{ctx, &b.identity, &r.frame}
	r.born(b, nil)
	err := r.fold(j.Events)
	if err == nil {
		r.catchUp(j.Latest)
	}
	if j.Fresh {
		r.status = 0
	}
	return r, err
}

// unreadable is the result of a run whose journal this definition cannot follow.
func unreadable(p *program, j job, err error) core.Result[*Error] {
	var changed *changedError
	why := ReasonJournalUnreadable
	if errors.As(err, &changed) {
		why = ReasonDefinitionChanged
	}
	return core.Result[*Error]{
		Status: uint8(Stuck), End: &Error{Saga: p.name, Run: j.ID, Status: Stuck, Reason: why, Err: err}, Told: func() {},
	}
}

// result is what a run has come to.
func (r *run) result() core.Result[*Error] {
	var owed []func()
	if r.own != nil {
		owed = r.own.owed
	}
	return core.Result[*Error]{
		Status: uint8(r.status), Undoes: r.undoing, Passed: r.pivoted, Doubts: r.doubt, Tries: r.frame.retries(), Untold: r.untold, End: r.failure, State: r.frame.state, Saved: r.saved, Events: r.events,
		Told: func() {
			for _, tell := range owed {
				tell()
			}
		},
	}
}
