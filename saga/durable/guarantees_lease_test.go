package durable_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// lasts is a step that takes a while, and keeps the cause with which it was told to
// stop, and when.
type lasts struct {
	mu     sync.Mutex
	causes []error
	at     []time.Duration
	calls  []saga.StepInfo
	begun  time.Time
}

func (w *lasts) step(name string, d time.Duration) saga.Step[order] {
	w.begun = time.Now()
	return saga.Step[order]{Name: name, Do: func(ctx context.Context, o *order) error {
		w.mu.Lock()
		w.calls = append(w.calls, saga.Info(ctx))
		w.mu.Unlock()
		o.N++
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.causes, w.at = append(w.causes, context.Cause(ctx)), append(w.at, time.Since(w.begun))
		return context.Cause(ctx)
	}, Timeout: -1}
}

// ended are the causes with which calls were told to stop, and when.
func (w *lasts) ended() (causes []error, at []time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.causes), slices.Clone(w.at)
}

// called are the calls so far.
func (w *lasts) called() []saga.StepInfo {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.calls)
}

// G36: as long as a run executes its lease is renewed every third of it, so that
// nobody else gets it. Writes renew it, too.
func TestG36_Renewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, begun := &lasts{}, time.Now()
		var renewed []time.Duration
		store := &spy{MemoryStore: &durable.MemoryStore{}, after: func(int) error {
			renewed = append(renewed, time.Since(begun))
			return nil
		}}
		def := saga.MustNew("checkout", []saga.Step[order]{w.step("a", 25*time.Second), w.step("b", 35*time.Second)})
		e := ignite(t, store, durable.Config{Lease: 30 * time.Second}, def)
		other := ignite(t, store.MemoryStore, durable.Config{}, def)
		run := launch(t, e, def)
		for range 60 {
			time.Sleep(time.Second - time.Nanosecond)
			h := seen(t, e, "r1").Head
			assert.GreaterOrEqual(t, time.Until(h.LeaseUntil), 20*time.Second)
			time.Sleep(time.Nanosecond)
		}
		o, err := run.Wait(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 2, o.N, "each step once, by one engine")
		var seconds []time.Duration
		for _, n := range []int{0, 10, 20, 25, 35, 45, 55, 60} {
			seconds = append(seconds, time.Duration(n)*time.Second)
		}
		assert.Equal(t, seconds, renewed)
		h := seen(t, e, "r1").Head
		assert.Equal(t, uint64(1), h.Epoch)
		assert.Empty(t, h.Owner)
		seal(t, e)
		seal(t, other)
	})
}

// G36: a lease that never ends is not renewed.
func TestG36_EndlessLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l := &lasts{}, &ledger{}
		store := &spy{MemoryStore: &durable.MemoryStore{}, log: l}
		def := saga.MustNew("checkout", []saga.Step[order]{w.step("a", time.Hour)})
		e := ignite(t, store, durable.Config{Lease: -1}, def)
		run := launch(t, e, def)
		time.Sleep(time.Minute)
		h := seen(t, e, "r1").Head
		assert.NotEmpty(t, h.Owner)
		assert.Zero(t, h.LeaseUntil)
		_, err := run.Wait(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{"write created, started a", "write done a, ended"}, l.all())
		seal(t, e)
	})
}

// G36: an engine that cannot renew a lease ends the attempt when the lease is over,
// with cause ErrFenced, records nothing of it, and another one goes on.
func TestG36_LostLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, faults := &lasts{}, &ledger{}
		shared := &durable.MemoryStore{}
		cut := &spy{MemoryStore: shared}
		def := saga.MustNew("checkout", []saga.Step[order]{w.step("a", 50*time.Second), w.step("b", time.Second)})
		hooks := saga.Hooks{Fault: func(_ context.Context, f saga.FaultEvent) { faults.add("%s %v", f.Op, f.Err) }}
		e := ignite(t, cut, durable.Config{Lease: 30 * time.Second, Hooks: hooks}, def)
		other := ignite(t, shared, durable.Config{Lease: 30 * time.Second}, def)
		launch(t, e, def)
		time.Sleep(15 * time.Second) // the lease was renewed at 10s
		cut.say(errDisk)
		time.Sleep(25*time.Second - time.Nanosecond)
		synctest.Wait()
		causes, _ := w.ended()
		assert.Empty(t, causes)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		causes, at := w.ended()
		require.Len(t, causes, 1)
		require.ErrorIs(t, causes[0], durable.ErrFenced)
		assert.Equal(t, 40*time.Second, at[0])
		cut.say(nil)
		run, err := durable.Find(t.Context(), other, def, "r1")
		require.NoError(t, err)
		o, err := run.Wait(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 2, o.N, "what the first engine wrote is lost")
		assert.Equal(t, []string{"created", "started a 1", "interrupted a 1", "started a 2", "done a 2", "started b 1", "done b 1", "ended"}, plain(seen(t, e, "r1")))
		calls := w.called()
		assert.Equal(t, calls[0].Key, calls[1].Key)
		assert.Equal(t, uint64(2), seen(t, e, "r1").Head.Epoch)
		assert.NotEmpty(t, faults.all("lease"), "%v", faults.all())
		seal(t, e)
		seal(t, other)
	})
}

// plain is a journal without errors.
func plain(rec *durable.Record) (lines []string) {
	for _, e := range rec.Events {
		line := e.Kind
		if e.Step != "" {
			line += " " + e.Step
		}
		if e.Attempt > 0 {
			line += fmt.Sprintf(" %d", e.Attempt)
		}
		lines = append(lines, line)
	}
	return lines
}

// G36: an attempt that does not listen goes on after the lease is over, and what it
// comes to is not recorded, however late it comes and whatever the other engine has
// made of the run.
func TestG36_LateResult(t *testing.T) {
	for name, returns := range map[string]error{"applied": nil, "lost": errLost, "refused": errRefused} {
		for _, late := range []time.Duration{65 * time.Second, time.Hour} {
			t.Run(fmt.Sprintf("%s after %v", name, late), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { lateResult(t, returns, late) })
			})
		}
	}
}

func lateResult(t *testing.T, returns error, late time.Duration) {
	shared := &durable.MemoryStore{}
	cut := &spy{MemoryStore: shared}
	l, calls := &ledger{}, 0
	a := l.step("a")
	a.Do = func(_ context.Context, o *order) error {
		l.add("do a")
		calls++
		o.Log = append(o.Log, fmt.Sprint(calls))
		if calls == 1 {
			time.Sleep(late)
			return returns
		}
		time.Sleep(40 * time.Second)
		return nil
	}
	def := saga.MustNewWith(saga.Spec[order]{Name: "checkout", Clone: wound, Steps: []saga.Step[order]{a, l.step("b")}})
	e := ignite(t, cut, durable.Config{Lease: 30 * time.Second}, def)
	other := ignite(t, shared, durable.Config{Lease: 30 * time.Second}, def)
	launch(t, e, def)
	synctest.Wait()
	cut.say(errDisk)
	time.Sleep(31 * time.Second)
	cut.say(nil)
	run, err := durable.Find(t.Context(), other, def, "r1")
	require.NoError(t, err)
	o, err := run.Wait(t.Context())
	require.NoError(t, err)
	ended := seen(t, e, "r1")
	time.Sleep(2 * late)
	assert.Equal(t, []string{"2"}, o.Log)
	assert.Equal(t, ended, seen(t, e, "r1"))
	assert.Equal(t, []string{"do a", "do a", "do b"}, l.all())
	seal(t, e)
	seal(t, other)
}

// G36: nothing starts on a lease that is over, although the attempt before it
// has succeeded.
func TestG36_NothingStartsOnALostLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		cut := &spy{MemoryStore: &durable.MemoryStore{}}
		cut.after = func(n int) error {
			if n == 1000 {
				cut.say(errDead) // rather than go on for ever
				assert.Fail(t, "it claims its own run again and again")
			}
			return nil
		}
		a := l.step("a")
		a.Do = func(context.Context, *order) error { time.Sleep(time.Minute); return nil }
		def := saga.MustNew("checkout", []saga.Step[order]{a, l.step("b")})
		e := ignite(t, cut, durable.Config{Lease: 30 * time.Second}, def)
		launch(t, e, def)
		cut.say(errDisk)
		time.Sleep(45 * time.Second) // it is over, and nobody else wants the run
		cut.say(nil)
		time.Sleep(14 * time.Second)
		assert.Less(t, seen(t, e, "r1").Head.Epoch, uint64(30), "a run whose former execution is under way is claimed now and then")
		assert.Empty(t, l.all())
		assert.NotContains(t, plain(seen(t, e, "r1")), "done a 1")
		time.Sleep(time.Hour) // it is claimed anew
		assert.Equal(t, []string{"do b"}, l.all())
		assert.Contains(t, plain(seen(t, e, "r1")), "done a 2")
		seal(t, e)
	})
}

// A stingy store gives shorter leases than it is asked for, and no run to claim.
type stingy struct{ *durable.MemoryStore }

func (s stingy) Create(ctx context.Context, h durable.Head, _ time.Duration, events [][]byte) error {
	return s.MemoryStore.Create(ctx, h, 5*time.Second, events)
}

func (stingy) Claim(context.Context, durable.ClaimRequest) ([]durable.Head, time.Duration, error) {
	return nil, -1, nil
}

// G36: an engine whose lease the store holds for over, although it does not know, can
// record nothing any more once another one has claimed the run.
func TestG36_FencedByEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, shared := &ledger{}, &durable.MemoryStore{}
		define := func(who string, d time.Duration) *saga.Saga[order] {
			step := func(name string) saga.Step[order] {
				return saga.Step[order]{Name: name, Do: func(context.Context, *order) error {
					l.add("%s %s", who, name)
					time.Sleep(d)
					return nil
				}}
			}
			return saga.MustNew("checkout", []saga.Step[order]{step("a"), step("b")})
		}
		faults, first := &ledger{}, define("first", 8*time.Second)
		e := ignite(t, stingy{shared}, durable.Config{Hooks: faults.hooked()}, first)
		other := ignite(t, shared, durable.Config{}, define("other", 20*time.Second))
		run := launch(t, e, first)
		_, err := run.Wait(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{"first a", "other a", "other b"}, l.all())
		assert.Equal(t, []string{"created", "started a 1", "interrupted a 1", "started a 2", "done a 2", "started b 1", "done b 1", "ended"}, plain(seen(t, e, "r1")))
		assert.Equal(t, []string{"fault lease"}, faults.all("fault"))
		seal(t, e)
		seal(t, other)
	})
}

// G36, G35: a lost lease is a death of the process to its step.
func TestG35_LostLeaseCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &lasts{}
		shared := &durable.MemoryStore{}
		cut := &spy{MemoryStore: shared}
		def := saga.MustNew("checkout", []saga.Step[order]{w.step("a", time.Hour)})
		e := ignite(t, cut, durable.Config{}, def)
		launch(t, e, def)
		synctest.Wait()
		cut.say(errDisk)
		other := ignite(t, shared, durable.Config{MaxCrashes: 1}, def)
		run, err := durable.Find(t.Context(), other, def, "r1")
		require.NoError(t, err)
		_, err = run.Wait(t.Context())
		require.ErrorIs(t, err, saga.ErrStuck)
		assert.Equal(t, saga.ReasonCrashLoop, seen(t, other, "r1").Head.Reason)
		seal(t, e)
		seal(t, other)
	})
}

// G36: engines on one store share the runs, and each step is done once.
func TestG36_TwoEngines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, l := &durable.MemoryStore{}, &ledger{}
		define := func(who string) *saga.Saga[order] {
			step := func(name string) saga.Step[order] {
				return saga.Step[order]{Name: name, Do: func(ctx context.Context, o *order) error {
					l.add("%s %s", saga.Info(ctx).Run, name)
					l.nth(who)
					o.N++
					time.Sleep(2 * time.Second)
					return nil
				}}
			}
			return saga.MustNew("checkout", []saga.Step[order]{step("a"), saga.Sleep(saga.Step[order]{Name: "s"}, time.Minute), step("b")})
		}
		defs := []*saga.Saga[order]{define("first"), define("second")}
		cfg := durable.Config{MaxRunning: 5, Lease: 3 * time.Second}
		engines := []*durable.Engine{ignite(t, store, cfg, defs[0]), ignite(t, store, cfg, defs[1])}
		for i := range 40 {
			_, err := durable.Start(t.Context(), engines[0], defs[0], fmt.Sprintf("r%d", i), order{})
			require.NoError(t, err)
		}
		for i := range 40 {
			id := fmt.Sprintf("r%d", i)
			run, err := durable.Find(t.Context(), engines[1], defs[1], id)
			require.NoError(t, err)
			o, err := run.Wait(t.Context())
			require.NoError(t, err)
			assert.Equal(t, 2, o.N)
			assert.Equal(t, []string{id + " a", id + " b"}, l.all(id))
		}
		assert.Greater(t, l.nth("first"), 1, "both have taken part")
		assert.Greater(t, l.nth("second"), 1)
		seal(t, engines[0])
		seal(t, engines[1])
	})
}

// G36: no write of the owner gets lost between renewals, whatever their order.
func TestG36_WritesAndRenewalsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rev []uint64
		shared := &durable.MemoryStore{}
		store := &spy{MemoryStore: shared, before: func(int) error { time.Sleep(time.Second); return nil }}
		steps := make([]saga.Step[order], 12)
		l := &ledger{}
		for i := range steps {
			steps[i] = saga.Step[order]{Name: fmt.Sprint(i), Do: func(_ context.Context, o *order) error {
				o.N++
				l.add("do")
				time.Sleep(time.Duration(500+i*100) * time.Millisecond)
				return nil
			}}
		}
		def := saga.MustNew("checkout", steps)
		e := ignite(t, store, durable.Config{Lease: 4 * time.Second}, def)
		run := launch(t, e, def)
		for range 40 {
			rev = append(rev, seen(t, e, "r1").Head.Rev)
			time.Sleep(time.Second)
		}
		o, err := run.Wait(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 12, o.N)
		assert.Len(t, l.all(), 12)
		assert.True(t, slices.IsSorted(rev))
		assert.Equal(t, uint64(1), seen(t, e, "r1").Head.Epoch)
		seal(t, e)
	})
}
