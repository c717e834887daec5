package durable_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// A trip is what came of a run.
type trip struct {
	status saga.Status
	calls  []string
	events []string
	state  order
	writes int
	faults int
}

// faulty executes a run on a store that fails as it is told to.
func faulty(t *testing.T, define func(*ledger) *saga.Saga[order], before, after func(n int) error) (got trip) {
	t.Helper()
	l := &ledger{}
	def := define(l)
	store := &spy{MemoryStore: &durable.MemoryStore{}, before: before, after: after}
	hooks := saga.Hooks{Fault: func(context.Context, saga.FaultEvent) { l.add("fault") }}
	e := ignite(t, store, durable.Config{Hooks: hooks}, def)
	run, err := durable.Start(t.Context(), e, def, "r1", order{})
	for err != nil { // nobody knows whether it worked, so it is called again
		require.ErrorIs(t, err, errDisk)
		run, err = durable.Start(t.Context(), e, def, "r1", order{})
	}
	got.state, err = run.Wait(t.Context())
	rec := seen(t, e, "r1")
	got.status, got.events, got.calls = rec.Head.Status, plain(rec), l.all("do", "undo")
	var failed *saga.Error
	require.True(t, err == nil || errors.As(err, &failed), "%v", err)
	seal(t, e)
	got.writes, got.faults = store.writes, len(l.all("fault"))
	return got
}

func definitions() map[string]func(*ledger) *saga.Saga[order] {
	of := func(steps ...saga.Step[order]) *saga.Saga[order] {
		return saga.MustNewWith(saga.Spec[order]{Name: "checkout", Steps: steps, Clone: wound})
	}
	child := func(s saga.Step[order]) saga.Step[order] {
		s.Merge = func(dst, src *order) { dst.N += src.N }
		return s
	}
	in := func(o *order) order { return order{N: o.N} }
	return map[string]func(*ledger) *saga.Saga[order]{
		"completes":  func(l *ledger) *saga.Saga[order] { return of(l.step("a"), l.step("b"), l.step("c")) },
		"is refused": func(l *ledger) *saga.Saga[order] { return of(l.step("a"), l.step("b"), l.step("c", errRefused)) },
		"tries again": func(l *ledger) *saga.Saga[order] {
			b := l.step("b")
			b.Undo = l.fn("undo b", errDown, errDown)
			return of(l.step("a", errLost, errLost), b, l.step("c", errLost, errRefused))
		},
		"sleeps": func(l *ledger) *saga.Saga[order] {
			return of(l.step("a"), saga.Sleep(saga.Step[order]{Name: "s"}, time.Minute), l.step("b", errRefused))
		},
		"is stuck": func(l *ledger) *saga.Saga[order] {
			a := l.step("a")
			a.Undo = l.fn("undo a", errRefused)
			return of(a, l.step("b", errRefused))
		},
		"has groups": func(l *ledger) *saga.Saga[order] {
			items := saga.ForEach(saga.Step[order]{Name: "items", Limit: 1}, func(*order) []order { return make([]order, 2) },
				saga.MustNew("item", []saga.Step[order]{l.step("x")}), func(o *order, ends []order) { o.N += len(ends) })
			sub := saga.Sub(saga.Step[order]{Name: "sub"}, saga.MustNew("in", []saga.Step[order]{l.step("y")}), in, func(o *order, end order) { o.N = end.N })
			both := saga.Step[order]{Name: "g", Limit: 1, Parallel: []saga.Step[order]{child(l.step("v")), child(l.step("w"))}}
			return of(items, sub, both, l.step("b", errRefused))
		},
	}
}

// S24, G48: when a write is reported as failed, at whatever position, and was done or
// was not, no step is called more often and the run ends as without that.
func TestS24_OneWriteFails(t *testing.T) {
	for name, define := range definitions() {
		t.Run(name, func(t *testing.T) {
			var want trip
			synctest.Test(t, func(t *testing.T) { want = faulty(t, define, nil, nil) })
			for n := 1; n <= want.writes; n++ {
				for times := 1; times <= 3; times += 2 {
					fails := func(i int) error {
						if i >= n && i < n+times {
							return errDisk
						}
						return nil
					}
					synctest.Test(t, func(t *testing.T) { same(t, want, faulty(t, define, fails, nil), "before", n, times) })
					synctest.Test(t, func(t *testing.T) { same(t, want, faulty(t, define, nil, fails), "after", n, times) })
				}
			}
		})
	}
}

func same(t *testing.T, want, got trip, when string, n, times int) {
	t.Helper()
	message := fmt.Sprintf("%d errors from write %d on, %s they are done", times, n, when)
	assert.Equal(t, want.calls, got.calls, message)
	assert.Equal(t, want.events, got.events, message)
	assert.Equal(t, want.status, got.status, message)
	assert.Equal(t, want.state, got.state, message)
	if n > 1 {
		assert.Positive(t, got.faults, message)
	}
}

// G48: every second write is told to have failed.
func TestG48_ManyWritesFail(t *testing.T) {
	for name, define := range definitions() {
		for _, every := range []int{2, 3} {
			fails := func(i int) error {
				if i > 1 && i%every == 0 {
					return errDisk
				}
				return nil
			}
			t.Run(fmt.Sprintf("%s, each %d", name, every), func(t *testing.T) {
				var want trip
				synctest.Test(t, func(t *testing.T) { want = faulty(t, define, nil, nil) })
				synctest.Test(t, func(t *testing.T) { same(t, want, faulty(t, define, fails, nil), "before", 2, 1) })
				synctest.Test(t, func(t *testing.T) { same(t, want, faulty(t, define, nil, fails), "after", 2, 1) })
			})
		}
	}
}

// G48: as long as a store does not work nothing more begins, and when it works again
// the run goes on: where it was if its lease has lasted, else by a new one.
func TestG48_OutageBetweenSteps(t *testing.T) {
	for outage, want := range map[time.Duration][]string{
		time.Second: {"do a", "do b"}, 20 * time.Second: {"do a", "do b"},
		40 * time.Second: {"do a", "do a", "do b"}, time.Hour: {"do a", "do a", "do b"},
	} {
		t.Run(outage.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { outOf(t, outage, want) })
		})
	}
}

// outOf takes the store away during the first step.
func outOf(t *testing.T, outage time.Duration, want []string) {
	l := &ledger{}
	store := &spy{MemoryStore: &durable.MemoryStore{}}
	a, first := l.step("a"), true
	do := a.Do
	a.Do = func(ctx context.Context, o *order) error {
		if first {
			first = false
			store.say(errDisk)
		}
		return do(ctx, o)
	}
	def := saga.MustNew("checkout", []saga.Step[order]{a, l.step("b")})
	e := ignite(t, store, durable.Config{}, def)
	run := launch(t, e, def)
	time.Sleep(outage)
	synctest.Wait()
	assert.Equal(t, []string{"do a"}, l.all())
	store.say(nil)
	_, err := run.Wait(t.Context())
	require.NoError(t, err)
	assert.Equal(t, want, l.all())
	seal(t, e)
}

// A scrap is a journal that makes no sense.
type scrap struct {
	events []string
	reason saga.Reason
}

func scraps() map[string]scrap {
	created := `{"kind":"created","at":"2000-01-01T00:00:00Z","data":"eyJOIjowfQ=="}`
	started := `{"kind":"started","step":"a","at":"2000-01-01T00:00:00Z","attempt":1}`
	return map[string]scrap{
		"no JSON":              {[]string{created, "\x00\xff"}, saga.ReasonJournalUnreadable},
		"JSON of another kind": {[]string{created, "[1]"}, saga.ReasonJournalUnreadable},
		"empty payload":        {[]string{created, ""}, saga.ReasonJournalUnreadable},
		"no events":            {nil, saga.ReasonJournalUnreadable},
		"not created":          {[]string{started}, saga.ReasonJournalUnreadable},
		"unknown kind":         {[]string{created, `{"kind":"danced"}`}, saga.ReasonJournalUnreadable},
		"no kind":              {[]string{created, `{}`}, saga.ReasonJournalUnreadable},
		"state of no JSON":     {[]string{`{"kind":"created","at":"2000-01-01T00:00:00Z","data":"AAAA"}`}, saga.ReasonJournalUnreadable},
		"unknown step":         {[]string{created, `{"kind":"started","step":"zzz","attempt":1}`}, saga.ReasonDefinitionChanged},
		"unknown path":         {[]string{created, `{"kind":"started","step":"a/b/c","attempt":1}`}, saga.ReasonDefinitionChanged},
		"empty path":           {[]string{created, `{"kind":"started","attempt":1}`}, saga.ReasonDefinitionChanged},
		"undo without a cause": {[]string{created, started, `{"kind":"undo-failed","step":"a","attempt":1,"final":true}`}, saga.ReasonJournalUnreadable},
		"unknown verb":         {[]string{created, started, `{"kind":"operator","verb":"dance"}`}, saga.ReasonJournalUnreadable},
	}
}

// G38: a journal that makes no sense is told to the Fault hook, its run is stuck and
// its events stay as they are; nobody else has to wait for it.
func TestG38_JournalWithoutSense(t *testing.T) {
	for name, tt := range scraps() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &ledger{}
				store := &durable.MemoryStore{}
				var events [][]byte
				for _, e := range tt.events {
					events = append(events, []byte(e))
				}
				h := durable.Head{ID: "bad", Saga: "checkout", Status: saga.Running, WakeAt: time.Now()}
				require.NoError(t, store.Create(t.Context(), h, 0, events))
				def := saga.MustNew("checkout", []saga.Step[order]{l.step("a")})
				hooks := saga.Hooks{Fault: func(_ context.Context, f saga.FaultEvent) { l.add("fault %s %s", f.Run, f.Op) }}
				e := ignite(t, store, durable.Config{Hooks: hooks, MaxRunning: 1}, def)
				_, err := launch(t, e, def).Wait(t.Context())
				require.NoError(t, err)
				synctest.Wait()
				h, all, err := store.Load(t.Context(), "bad")
				require.NoError(t, err)
				assert.Equal(t, saga.Stuck, h.Status)
				assert.Equal(t, tt.reason, h.Reason)
				assert.Empty(t, h.Owner)
				assert.Len(t, all, len(events))
				for i := range events {
					assert.Equal(t, string(events[i]), string(all[i]))
				}
				if tt.reason == saga.ReasonJournalUnreadable {
					assert.Equal(t, []string{"fault bad journal"}, l.all("fault"))
				}
				assert.Equal(t, []string{"do a"}, l.all("do", "undo"))
				seal(t, e)
			})
		})
	}
}

// G38, G39, G41: of a run whose journal makes no sense Wait says that it is stuck, also
// if it is called before that is known, and an operator can abandon it.
func TestG38_UnreadableRunIsStuckToAll(t *testing.T) {
	for name, tt := range scraps() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &durable.MemoryStore{}
				var events [][]byte
				for _, e := range tt.events {
					events = append(events, []byte(e))
				}
				h := durable.Head{ID: "bad", Saga: "checkout", Status: saga.Running, WakeAt: time.Now()}
				require.NoError(t, store.Create(t.Context(), h, 0, events))
				def := saga.MustNew("checkout", []saga.Step[order]{(&ledger{}).step("a")})
				e := ignite(t, store, durable.Config{}, def)
				run, err := durable.Find(t.Context(), e, def, "bad")
				require.NoError(t, err)
				for range 2 {
					_, err = run.Wait(t.Context())
					assert.ErrorIs(t, err, saga.ErrStuck)
					time.Sleep(time.Minute)
				}
				assert.NoError(t, e.Abandon(t.Context(), "bad", note))
				h, _, err = store.Load(t.Context(), "bad")
				require.NoError(t, err)
				assert.Equal(t, saga.Abandoned, h.Status)
				seal(t, e)
			})
		})
	}
}

// G38: whatever a journal has lost or got twice, nobody panics, and the engine goes on.
func TestG38_DamagedJournals(t *testing.T) {
	for name, define := range definitions() {
		t.Run(name, func(t *testing.T) {
			damage(t, define, "created", "started", "done", "failed", "interrupted", "decided", "aborting",
				"undo-started", "undo-done", "undo-failed", "waiting", "signal", "stuck", "operator", "ended")
		})
	}
}

// damage has runs with damaged journals executed, in which events are of one of the
// kinds, too.
func damage(t *testing.T, define func(*ledger) *saga.Saga[order], kinds ...string) {
	t.Helper()
	var whole [][]byte
	synctest.Test(t, func(t *testing.T) {
		store := cutShort(t, define(&ledger{}), "bad", 1000)
		_, all, err := store.Load(t.Context(), "bad")
		require.NoError(t, err)
		whole = all
	})
	for _, journal := range damaged(whole, kinds) {
		synctest.Test(t, func(t *testing.T) {
			store, l := &durable.MemoryStore{}, &ledger{}
			h := durable.Head{ID: "bad", Saga: "checkout", Status: saga.Running, WakeAt: time.Now()}
			require.NoError(t, store.Create(t.Context(), h, 0, journal))
			e := ignite(t, store, durable.Config{}, define(l))
			time.Sleep(time.Hour)
			h, _, err := store.Load(t.Context(), "bad")
			require.NoError(t, err)
			assert.True(t, h.Status.Ended() || h.Status == saga.Stuck, "%v, %v: %s", h.Status, h.WakeAt, told(journal))
			seal(t, e)
		})
	}
}

// damaged are journals that lack an event, have it twice, have two in another order,
// or have one of another kind.
func damaged(whole [][]byte, kinds []string) (all [][][]byte) {
	for i := range whole {
		all = append(all, append(append([][]byte{}, whole[:i]...), whole[i+1:]...), append(append([][]byte{}, whole[:i+1]...), whole[i:]...))
		if i > 0 {
			swapped := append([][]byte{}, whole...)
			swapped[i], swapped[i-1] = swapped[i-1], swapped[i]
			all = append(all, swapped)
		}
		for _, kind := range kinds {
			var e map[string]any
			if json.Unmarshal(whole[i], &e) != nil {
				continue
			}
			e["kind"] = kind
			data, err := json.Marshal(e)
			if err != nil {
				continue
			}
			changed := append([][]byte{}, whole...)
			changed[i] = data
			all = append(all, changed)
		}
	}
	return all
}

// G38: a run that cannot be read is tried again, and others do not wait for it.
func TestG38_LoadFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		def := saga.MustNew("checkout", []saga.Step[order]{l.step("a"), saga.Sleep(saga.Step[order]{Name: "s"}, time.Minute), l.step("b")})
		store := &unread{MemoryStore: &durable.MemoryStore{}, id: "r1", until: time.Now().Add(time.Hour), since: time.Now().Add(30 * time.Second)}
		hooks := saga.Hooks{Fault: func(_ context.Context, f saga.FaultEvent) { l.add("fault %s %s", f.Run, f.Op) }}
		e := ignite(t, store, durable.Config{Hooks: hooks, MaxRunning: 1}, def)
		launch(t, e, def)
		run, err := durable.Start(t.Context(), e, def, "r2", order{})
		require.NoError(t, err)
		begun := time.Now()
		_, err = run.Wait(t.Context())
		require.NoError(t, err)
		assert.Less(t, time.Since(begun), 2*time.Minute)
		assert.Contains(t, l.all("fault"), "fault r1 load")
		time.Sleep(time.Hour)
		assert.Equal(t, saga.Completed, seen(t, e, "r1").Head.Status)
		assert.Equal(t, []string{"do a", "do a", "do b", "do b"}, l.all("do", "undo"))
		seal(t, e)
	})
}

// An unread store cannot load one run for a while.
type unread struct {
	*durable.MemoryStore
	id           string
	since, until time.Time
}

func (u *unread) Load(ctx context.Context, id string) (durable.Head, [][]byte, error) {
	if now := time.Now(); id == u.id && now.After(u.since) && now.Before(u.until) {
		return durable.Head{}, nil, errDisk
	}
	return u.MemoryStore.Load(ctx, id)
}
