package durable_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// A point is a place where a process ends.
type point struct {
	at place
	n  int // how many there were before it in this life
}

type place uint8

const (
	survives     place = iota
	beforeWrite        // nothing of it is written
	unheardWrite       // it is written, and reported as failed
	heardWrite         // it is written and reported, and nothing comes of that
	beforeEffect       // an action or a compensation is called, and has no effect
	afterEffect        // it has its effect, and nobody is told
	places       = iota
)

func (p point) String() string {
	return fmt.Sprintf("%s %d", [places]string{"-", "before write", "after unheard write", "after write", "before effect", "after effect"}[p.at], p.n)
}

// points are all there are in a life that had so many writes and effects.
func points(writes, effects int) (all []point) {
	for n := range writes {
		all = append(all, point{beforeWrite, n}, point{unheardWrite, n}, point{heardWrite, n})
	}
	for n := range effects {
		all = append(all, point{beforeEffect, n}, point{afterEffect, n})
	}
	return all
}

// A reaper is the store and the outside world as a process sees them that ends at a
// point: from then on it writes nothing and has no effect.
type reaper struct {
	*durable.MemoryStore
	end  point
	slow uint64   // seed of the attempts whose answer does not come in time
	well *effects // if not nil, everything works, and this knows of it
	dead chan struct{}

	resumed []int // at which calls an operator has resumed the run, in this life

	mu              sync.Mutex
	over, buried    bool
	writes, effects int
}

func (r *reaper) isOver() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}

// dies ends the process. mu is held.
func (r *reaper) dies() {
	r.over = true
	close(r.dead)
}

func (r *reaper) write(do func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.buried: // there is nothing that what is left of the process could try again
		return durable.ErrNotFound
	case r.over:
		return errDead
	}
	n := r.writes
	r.writes++
	if r.end.n != n || r.end.at < beforeWrite || r.end.at > heardWrite {
		return do()
	}
	r.dies()
	switch r.end.at {
	case unheardWrite:
		_ = do()
	case heardWrite:
		return do()
	default:
	}
	return errDead
}

func (r *reaper) Create(ctx context.Context, h durable.Head, ttl time.Duration, events [][]byte) error {
	return r.write(func() error { return r.MemoryStore.Create(ctx, h, ttl, events) })
}

func (r *reaper) Append(ctx context.Context, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
	return r.write(func() error { return r.MemoryStore.Append(ctx, at, h, ttl, events) })
}

func (r *reaper) Load(ctx context.Context, id string) (durable.Head, [][]byte, error) {
	if r.isOver() {
		return durable.Head{}, nil, errDead
	}
	return r.MemoryStore.Load(ctx, id)
}

func (r *reaper) Claim(ctx context.Context, req durable.ClaimRequest) ([]durable.Head, time.Duration, error) {
	if r.isOver() {
		return nil, -1, errDead
	}
	return r.MemoryStore.Claim(ctx, req)
}

// meet counts an effect, and tells where the process ends of it; over: it has ended.
func (r *reaper) meet() (at place, over bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return survives, true
	}
	n := r.effects
	r.effects++
	switch {
	case r.end.n != n:
	case r.end.at == beforeEffect:
		r.dies()
		return survives, true
	case r.end.at == afterEffect:
		return afterEffect, false
	}
	return survives, false
}

// around is for Config.Around.
func (r *reaper) around(ctx context.Context, info saga.StepInfo, next func(context.Context) error) error {
	at, over := r.meet()
	switch {
	case over:
	case at == afterEffect:
		func() {
			defer func() { _ = recover() }() // it might have panicked; so be it
			_ = next(ctx)
		}()
		r.mu.Lock()
		r.dies()
		r.mu.Unlock()
	case r.well != nil:
		r.well.works(info)
		return nil
	case late(r.slow, info):
		if err := next(ctx); err != nil {
			return err
		}
	default:
		return next(ctx)
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// late tells one of ten attempts whose answer does not come in time.
func late(seed uint64, info saga.StepInfo) bool {
	h := fnv.New32a()
	_, _ = fmt.Fprint(h, seed, info.Key, info.Attempt)
	return h.Sum32()%10 == 0
}

// works is a call that does what it is for.
func (x *effects) works(info saga.StepInfo) {
	x.mu.Lock()
	defer x.mu.Unlock()
	effect := info.Key
	if info.Undoing {
		effect = info.DoKey
	}
	x.calls = append(x.calls, call{
		path: info.Step, key: info.Key, doKey: info.DoKey, attempt: info.Attempt, undo: info.Undoing, reply: agreed, before: x.there[effect],
	})
	x.times[info.Key]++
	x.there[effect] = !info.Undoing
	x.ever[effect] = x.ever[effect] || !info.Undoing
}

// between is what was seen of the calls of a part of the time.
func (x *effects) between(from, to int) *effects {
	return &effects{calls: x.calls[from:to], times: x.times, there: x.there, ever: x.ever}
}

// once checks that no key has had its effect twice.
func (x *effects) once() (broken []string) {
	had := map[string]bool{}
	for _, c := range x.calls {
		if c.reply == missed || c.reply == declined || c.before != c.undo { // no effect, or none that was not there
			continue
		}
		if had[c.key] {
			broken = append(broken, c.key+" has had its effect twice")
		}
		had[c.key] = true
	}
	return broken
}

// live executes a run by one process until that ends, and reports whether it has. What
// is stuck is resumed by an operator, when the other side is well again.
func (r *reaper) live(t *testing.T, x *effects, def *saga.Saga[order]) (died bool, failed error) {
	t.Helper()
	r.dead = make(chan struct{})
	e, err := durable.Open(r, durable.Config{
		MaxCrashes: -1, Retain: -1, Poll: time.Minute, StepTimeout: 10 * time.Second, Around: r.around, Rand: func() uint64 { return 1 << 63 },
	})
	require.NoError(t, err)
	require.NoError(t, durable.Register(e, def))
	end := make(chan struct{ err error }, 1)
	go func() { end <- struct{ err error }{finish(t.Context(), e, def, r, x)} }()
	select {
	case <-r.dead:
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_ = e.Close(ended)
		r.mu.Lock()
		r.buried = true
		r.mu.Unlock()
		require.NoError(t, e.Close(t.Context()))
		<-end
		return true, nil
	case is := <-end:
		require.NoError(t, e.Close(t.Context()))
		return r.isOver(), is.err
	}
}

// finish brings a run to its end.
func finish(ctx context.Context, e *durable.Engine, def *saga.Saga[order], r *reaper, x *effects) error {
	run, err := durable.Start(ctx, e, def, "r1", order{})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 1000*time.Hour)
	defer cancel()
	_, err = run.Wait(ctx)
	if errors.Is(err, saga.ErrStuck) {
		x.mu.Lock()
		r.well, r.resumed = x, append(r.resumed, len(x.calls))
		x.mu.Unlock()
		if err := e.Resume(ctx, "r1", note); err != nil {
			return fmt.Errorf("to resume it: %w", err)
		}
		_, err = run.Wait(ctx)
	}
	var failed *saga.Error
	if errors.As(err, &failed) && failed.Reason == saga.ReasonPivotUnknown { // its time is over, so there is no attempt
		x.mu.Lock()
		applied := x.there["checkout/r1/"+failed.Step+"/do"]
		x.mu.Unlock()
		if applied {
			err = e.Skip(ctx, "r1", failed.Step, note)
		} else {
			err = e.Abort(ctx, "r1", note)
		}
		if err == nil {
			_, err = run.Wait(ctx)
		}
	}
	if errors.As(err, &failed) && failed.Status == saga.Compensated {
		return nil
	}
	return err
}
