package durable_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// An umpire sees every call of a store, and knows whose each run is.
type umpire struct {
	*durable.MemoryStore

	mu     sync.Mutex
	epochs map[string]uint64
	owners map[string]int // by run; -1: nobody's
	stale  int            // writes by those whose run it was not any more
	broken []string
}

func (u *umpire) say(format string, args ...any) {
	u.broken = append(u.broken, fmt.Sprintf(format, args...))
}

// A worker is the store and the clock of one of many engines. When it is paused nothing
// of that engine happens: no call gets through, and no timer fires.
type worker struct {
	*umpire
	n int

	gate sync.Mutex
	shut chan struct{} // closed when the pause is over; nil: it is not paused
}

func (w *worker) pause(d time.Duration) {
	over := make(chan struct{})
	w.gate.Lock()
	w.shut = over
	w.gate.Unlock()
	time.Sleep(d)
	w.gate.Lock()
	w.shut = nil
	w.gate.Unlock()
	close(over)
}

func (w *worker) pass() {
	for {
		w.gate.Lock()
		shut := w.shut
		w.gate.Unlock()
		if shut == nil {
			return
		}
		<-shut
	}
}

func (w *worker) Now() time.Time                  { return time.Now() }
func (w *worker) Since(t time.Time) time.Duration { return time.Since(t) }

func (w *worker) AfterFunc(d time.Duration, f func()) *clock.Timer {
	return clock.New().AfterFunc(d, func() { w.pass(); f() })
}

func (w *worker) Create(ctx context.Context, h durable.Head, ttl time.Duration, events [][]byte) error {
	w.pass()
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.MemoryStore.Create(ctx, h, ttl, events)
	if err == nil {
		if w.epochs[h.ID], w.owners[h.ID] = 1, w.n; h.Owner == "" {
			w.owners[h.ID] = -1
		}
	}
	return err
}

func (w *worker) Append(ctx context.Context, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
	w.pass()
	w.mu.Lock()
	defer w.mu.Unlock()
	stale := w.epochs[h.ID] != h.Epoch || w.owners[h.ID] != w.n
	err := w.MemoryStore.Append(ctx, at, h, ttl, events)
	if stale {
		w.stale++
	}
	switch {
	case stale && err == nil:
		w.say("worker %d writes %s of %s, whose epoch is %d and which is worker %d's, as of epoch %d", w.n, told(events), h.ID, w.epochs[h.ID], w.owners[h.ID], h.Epoch)
	case err == nil && h.Owner == "":
		w.owners[h.ID] = -1
	}
	return err
}

func (w *worker) Load(ctx context.Context, id string) (durable.Head, [][]byte, error) {
	w.pass()
	return w.MemoryStore.Load(ctx, id)
}

func (w *worker) Claim(ctx context.Context, req durable.ClaimRequest) ([]durable.Head, time.Duration, error) {
	w.pass()
	w.mu.Lock()
	defer w.mu.Unlock()
	heads, next, err := w.MemoryStore.Claim(ctx, req)
	for _, h := range heads {
		if h.Epoch != w.epochs[h.ID]+1 {
			w.say("worker %d claims %s at epoch %d, after %d", w.n, h.ID, h.Epoch, w.epochs[h.ID])
		}
		w.epochs[h.ID], w.owners[h.ID] = h.Epoch, w.n
	}
	return heads, next, err
}

// around is for Config.Around: the worker may be paused before an effect and after it.
func (w *worker) around(ctx context.Context, _ saga.StepInfo, next func(context.Context) error) error {
	w.pass()
	err := next(ctx)
	w.pass()
	return err
}

// A counter is the other side: it knows keys, and that what was undone must not be
// done any more, however late somebody comes with it.
type counter struct {
	mu     sync.Mutex
	log    []string // "run path", and "-run path" when it is undone
	had    map[string]bool
	random *rand.Rand
	late   int // effects that came when they were not wanted any more
}

func (c *counter) moment(most time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Duration(c.random.Int64N(int64(most)))
}

func (c *counter) act(ctx context.Context) (again bool) {
	time.Sleep(c.moment(ttl)) // whatever becomes of ctx: it is on its way
	info := saga.Info(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	line := info.Run + " " + info.Step
	if info.Undoing {
		if !c.had["-"+info.DoKey] && c.had[info.DoKey] {
			c.log = append(c.log, "-"+line)
		}
		c.had["-"+info.DoKey] = true
		return false
	}
	if c.had[info.Key] || c.had["-"+info.Key] {
		c.late++
		return true
	}
	c.had[info.Key] = true
	c.log = append(c.log, line)
	return false
}

// ttl is how long leases are.
const ttl = 10 * time.Second

// step is one that says what it is told to, if it is not there already.
func (c *counter) step(name string, says error) saga.Step[order] {
	return saga.Step[order]{
		Name: name, Retry: saga.Retry{Attempts: 4, Wait: time.Second}, UndoRetry: saga.Retry{Wait: time.Second},
		Do: func(ctx context.Context, _ *order) error {
			if errors.Is(says, errRefused) {
				time.Sleep(c.moment(ttl))
				return says
			}
			if !c.act(ctx) {
				return says
			}
			return nil
		},
		Undo: func(ctx context.Context, _ *order) error { c.act(ctx); return nil },
	}
}

// wrong is what is wrong about the effects of a run that has ended so.
func (c *counter) wrong(id string, status saga.Status) (found []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var done, all []string
	back := false
	for _, line := range c.log {
		undo := strings.HasPrefix(line, "-")
		run, path, _ := strings.Cut(strings.TrimPrefix(line, "-"), " ")
		switch {
		case run != id:
			continue
		case !undo && back:
			found = append(found, path+" after it went back")
		case !undo:
			done = append(done, path)
		default:
			back = true
			if i := slices.Index(done, path); i < 0 || i != len(done)-1 && !strings.HasPrefix(path, "g/") {
				found = append(found, path+" is undone, in "+strings.Join(done, ", "))
			} else {
				done = slices.Delete(done, i, i+1)
			}
		}
		all = append(all, line)
	}
	if status == saga.Compensated && len(done) > 0 || status == saga.Completed && back || status == saga.Completed && len(done) < 2 {
		found = append(found, "not all of it")
	}
	if len(found) > 0 {
		found = append(found, fmt.Sprint(all))
	}
	return found
}

// idle waits for all of some runs to end.
func idle(t *testing.T, u *umpire, all []string) map[string]saga.Status {
	t.Helper()
	ends := map[string]saga.Status{}
	for begun := time.Now(); len(ends) < len(all) && time.Since(begun) < 10_000*ttl; {
		time.Sleep(ttl)
		for _, id := range all {
			if h, _, err := u.MemoryStore.Load(t.Context(), id); err == nil && h.Status.Ended() {
				ends[id] = h.Status
			}
		}
	}
	return ends
}
