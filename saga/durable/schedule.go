package durable

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/mainstay-go/mainstay/saga"
)

// schedule claims runs that are due, as many as there is room for, and executes
// them.
func (e *Engine) schedule() {
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	var changed <-chan struct{}
	if w, ok := e.store.(Watcher); ok {
		var err error
		if changed, err = w.Watch(ctx); err != nil {
			e.fault(Head{}, "watch", err)
		}
	}
	for {
		next := e.claim(ctx)
		if changed == nil && (next < 0 || next > e.cfg.Poll) {
			next = e.cfg.Poll // nobody tells if there is something new
		}
		var over <-chan struct{}
		stop := func() bool { return true }
		if next >= 0 {
			ring := make(chan struct{})
			over, stop = ring, e.time.afterFunc(next, func() { close(ring) })
		}
		select {
		case <-e.nudge:
		case <-over:
		case _, ok := <-changed:
			if !ok {
				changed = nil
			}
		case <-e.closed:
			stop()
			return
		}
		stop()
	}
}

// sweeping deletes what has been kept long enough, again and again.
func (e *Engine) sweeping() {
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	go func() {
		select {
		case <-e.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		if _, err := e.Sweep(ctx); err != nil && ctx.Err() == nil {
			e.fault(Head{}, "sweep", err)
		}
		if !e.time.pause(ctx, sweepEvery) {
			return
		}
	}
}

const sweepEvery = time.Hour

// claim claims what there is room for, and tells how long there is nothing more;
// negative: for ever, or until there is room.
func (e *Engine) claim(ctx context.Context) (next time.Duration) {
	next = -1
	for _, sagas := range e.groups() {
		limit := e.reserve(sagas)
		if limit == 0 {
			continue
		}
		asked := e.time.now()
		heads, due, err := e.store.Claim(ctx, ClaimRequest{Owner: e.owner, TTL: e.cfg.Lease, Limit: limit, Sagas: sagas})
		if err != nil {
			if ctx.Err() == nil {
				e.fault(Head{}, "claim", err)
			}
			due = e.cfg.Poll
		}
		for _, h := range heads {
			e.execute(claimed{h, asked})
		}
		e.give(sagas, limit)
		if len(heads) == limit { // there may be more
			due = e.more()
		}
		if due >= 0 && (next < 0 || due < next) {
			next = due
		}
	}
	return next
}

// groups are the sagas whose runs are claimed together: each that has a limit of its
// own, and all others. Their order is by chance, so that none is always the last.
func (e *Engine) groups() (all [][]string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var others []string
	for name, p := range e.programs {
		if p.MaxRunning() > 0 {
			all = append(all, []string{name})
		} else {
			others = append(others, name)
		}
	}
	if len(others) > 0 {
		all = append(all, others)
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// more is when to ask again if there was as much as there was room for: at once, or
// when there is room.
func (e *Engine) more() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.free() > 0 {
		return 0
	}
	return -1
}

// reserve keeps room for some sagas, and tells how much that is.
func (e *Engine) reserve(sagas []string) (limit int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing {
		return 0
	}
	if limit = max(0, e.free()); limit > 1 { // some is left for who is started meanwhile
		limit = (limit + 1) / 2
	}
	if most := e.programs[sagas[0]].MaxRunning(); most > 0 {
		limit = max(0, min(limit, most-e.running[sagas[0]]))
		e.running[sagas[0]] += limit
	}
	e.reserved += limit
	return limit
}

// give gives up the room that was kept. The runs that were claimed have taken it.
func (e *Engine) give(sagas []string, limit int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reserved -= limit
	if e.programs[sagas[0]].MaxRunning() > 0 {
		e.running[sagas[0]] -= limit
	}
}

const plenty = 1024 // at once, if there is no limit

func (e *Engine) free() int {
	if e.cfg.MaxRunning < 0 {
		return plenty
	}
	return min(plenty, e.cfg.MaxRunning-len(e.active)-e.reserved)
}

// A claimed is a run that was claimed, and when that was asked for.
type claimed struct {
	head  Head
	asked time.Time
}

// execute begins to execute a run that was claimed. If this engine is busy with that
// run still, because a Start of what there is already looks for it, or because its
// lease was lost, that is over first.
func (e *Engine) execute(c claimed) {
	h := c.head
	e.mu.Lock()
	if e.active[h.ID] != nil {
		e.next[h.ID] = c
		e.mu.Unlock()
		return
	}
	p := e.programs[h.Saga]
	e.mu.Unlock()
	x := e.newExecution(p, h, c.asked)
	close(x.ready)
	if !e.enter(x, false) { // it is closed
		x.kill(ErrClosed) // one attempt to write has to do, nobody could end others
		x.release(e.time.now())
	}
}

// enter counts an execution and starts it, unless the engine is closing, or it is
// new and there is no room for it.
func (e *Engine) enter(x *execution, fresh bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	most := x.program.MaxRunning()
	switch {
	case e.closing || e.active[x.id] != nil,
		fresh && (e.free() <= 0 || most > 0 && e.running[x.of] >= most):
		return false
	}
	e.active[x.id] = x
	e.running[x.of]++
	e.crew.Go(x.perform)
	return true
}

// finished takes out an execution that is over.
func (e *Engine) finished(x *execution) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.active, x.id)
	e.running[x.of]--
	if c, ok := e.next[x.id]; ok {
		delete(e.next, x.id)
		e.crew.Go(func() { e.execute(c) })
	}
	e.release(x.id, nil)
	e.wake()
}

// tell tells those who wait for a run how it has ended; nil: they have to look.
func (e *Engine) tell(id string, how *end) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.release(id, how)
}

// release is tell while mu is held.
func (e *Engine) release(id string, how *end) {
	for _, ch := range e.waiting[id] {
		ch <- how
	}
	delete(e.waiting, id)
}

func (e *Engine) maxState() int {
	if e.cfg.MaxState < 0 {
		return int(^uint(0) >> 1)
	}
	return e.cfg.MaxState
}

// fault reports what is no outcome of a step. That the engine is closed is none.
func (e *Engine) fault(h Head, op string, err error) {
	if !errors.Is(err, ErrClosed) {
		e.tellFault(context.Background(), saga.FaultEvent{Op: op, Saga: h.Saga, Run: h.ID, Err: err})
	}
}

func (e *Engine) tellFault(ctx context.Context, event saga.FaultEvent) {
	if hook := e.cfg.Hooks.Fault; hook != nil {
		_ = contained(func() { hook(ctx, event) }) // there is nobody else to tell
	}
}

// contained runs a hook on a goroutine of its own: one that panics or exits must not end
// what goes on without a caller. nil: it has returned.
func contained(hook func()) (failed *saga.PanicError) {
	over, returned := make(chan struct{}), false
	go func() {
		defer close(over)
		defer func() {
			switch value := recover(); {
			case returned:
			case value == nil:
				failed = &saga.PanicError{Goexit: true}
			default:
				failed = &saga.PanicError{Value: value, Stack: debug.Stack()}
			}
		}()
		hook()
		returned = true
	}()
	<-over
	return failed
}

// ends are how runs have ended that this engine has executed last: errors with all that is
// lost when only their text is recorded, and states that need not be looked for in a journal.
type ends struct {
	byID  map[string]end
	order []string
}

type end struct {
	rev     uint64    // of the head that says so
	created time.Time // when the run was
	err     *saga.Error
	state   []byte // encoded; nil: it is not kept
}

// maxEnds is how many are kept, maxEndState how large a state may be for that.
const (
	maxEnds     = 1024
	maxEndState = 4096
)

// keep keeps how a run has ended.
func (e *Engine) keep(id string, how end) {
	if len(how.state) > maxEndState {
		how.state = nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ends.byID == nil {
		e.ends.byID = make(map[string]end)
	}
	if _, ok := e.ends.byID[id]; !ok {
		if len(e.ends.order) == maxEnds {
			delete(e.ends.byID, e.ends.order[0])
			e.ends.order = e.ends.order[1:]
		}
		e.ends.order = append(e.ends.order, id)
	}
	e.ends.byID[id] = how
}

// kept is how a run has ended that has this head, if this engine remembers.
func (e *Engine) kept(h Head) (how end, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	how, ok = e.ends.byID[h.ID]
	over := h.Status.Ended() || h.Status == saga.Stuck // what was kept may not have been written
	return how, ok && over && how.rev == h.Rev && how.created.Equal(h.CreatedAt)
}
