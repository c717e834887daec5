package durable_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// A history is a saga with what is written and called in which order.
type history struct {
	steps func(l *ledger) []saga.Step[order]
	delay time.Duration
	want  []string
	ends  saga.Status
}

func histories() map[string]history {
	return map[string]history{
		"one step": {
			steps: func(l *ledger) []saga.Step[order] { return []saga.Step[order]{l.step("a")} },
			want:  []string{"write created, started a", "do a", "write done a, ended"},
			ends:  saga.Completed,
		},
		"three steps": {
			steps: func(l *ledger) []saga.Step[order] {
				return []saga.Step[order]{l.step("a"), l.step("b"), l.step("c")}
			},
			want: []string{
				"write created, started a", "do a", "write done a, started b", "do b", "write done b, started c", "do c", "write done c, ended",
			},
			ends: saga.Completed,
		},
		"that waits first": {
			steps: func(l *ledger) []saga.Step[order] { return []saga.Step[order]{l.step("a"), l.step("b")} },
			delay: time.Minute,
			want:  []string{"write created", "write started a", "do a", "write done a, started b", "do b", "write done b, ended"},
			ends:  saga.Completed,
		},
		"goes back": {
			steps: func(l *ledger) []saga.Step[order] {
				return []saga.Step[order]{l.step("a"), l.step("b"), l.step("c", errRefused)}
			},
			want: []string{
				"write created, started a", "do a", "write done a, started b", "do b", "write done b, started c", "do c",
				"write failed c, aborting c, undo-started b", "undo b", "write undo-done b, undo-started a", "undo a", "write undo-done a, ended",
			},
			ends: saga.Compensated,
		},
		"goes back with nothing to undo": {
			steps: func(l *ledger) []saga.Step[order] { return []saga.Step[order]{l.step("a", errRefused)} },
			want:  []string{"write created, started a", "do a", "write failed a, aborting a, ended"},
			ends:  saga.Compensated,
		},
		"waits for an attempt": {
			steps: func(l *ledger) []saga.Step[order] { return []saga.Step[order]{l.step("a", errLost), l.step("b")} },
			want: []string{
				"write created, started a", "do a", "write failed a", "write started a", "do a", "write done a, started b", "do b", "write done b, ended",
			},
			ends: saga.Completed,
		},
		"waits for an attempt of Undo": {
			steps: func(l *ledger) []saga.Step[order] {
				a := l.step("a")
				a.Undo = l.fn("undo a", errDown)
				return []saga.Step[order]{a, l.step("b", errRefused)}
			},
			want: []string{
				"write created, started a", "do a", "write done a, started b", "do b", "write failed b, aborting b, undo-started a", "undo a",
				"write undo-failed a", "write undo-started a", "undo a", "write undo-done a, ended",
			},
			ends: saga.Compensated,
		},
		"sleeps": {
			steps: func(l *ledger) []saga.Step[order] {
				return []saga.Step[order]{l.step("a"), saga.Sleep(saga.Step[order]{Name: "s"}, time.Hour), l.step("b")}
			},
			want: []string{
				"write created, started a", "do a", "write done a, waiting s", "write done s, started b", "do b", "write done b, ended",
			},
			ends: saga.Completed,
		},
		"asks When": {
			steps: func(l *ledger) []saga.Step[order] {
				a, b := l.step("a"), l.step("b")
				a.When, b.When = func(*order) bool { return false }, func(*order) bool { return true }
				return []saga.Step[order]{a, b}
			},
			want: []string{"write created, decided a, decided b, started b", "do b", "write done b, ended"},
			ends: saga.Completed,
		},
		"is stuck": {
			steps: func(l *ledger) []saga.Step[order] {
				a := l.step("a")
				a.Undo, a.Pivot = nil, true
				return []saga.Step[order]{a, {Name: "b", Do: l.fn("do b", errRefused)}}
			},
			want: []string{"write created, started a", "do a", "write done a, started b", "do b", "write failed b, stuck b"},
			ends: saga.Stuck,
		},
	}
}

func (h history) start(t *testing.T, e *durable.Engine, def *saga.Saga[order]) (*durable.Run[order], error) {
	t.Helper()
	return durable.StartWith(t.Context(), e, def, durable.StartConfig{ID: "r1", Delay: h.delay}, order{})
}

// G32: each thing is written before what depends on it, and no more often than that:
// N+1 times for N steps, once more if the run does not begin at once.
func TestG32_OrderAndNumberOfWrites(t *testing.T) {
	for name, h := range histories() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &ledger{}
				store := &spy{MemoryStore: &durable.MemoryStore{}, log: l}
				def := saga.MustNewWith(saga.Spec[order]{Name: "checkout", Steps: h.steps(l), Clone: wound})
				e := ignite(t, store, durable.Config{}, def)
				run, err := h.start(t, e, def)
				require.NoError(t, err)
				_, _ = run.Wait(t.Context())
				synctest.Wait() // the last write shows to others before it is noted here
				assert.Equal(t, h.want, l.all())
				assert.Equal(t, h.ends, seen(t, e, "r1").Head.Status)
				seal(t, e)
			})
		})
	}
}

// G32: while a write is under way nothing happens that comes after it: no call, no
// return of Start before the first one, none of Wait before the last.
func TestG32_NothingHappensAheadOfItsWrite(t *testing.T) {
	for name, h := range histories() {
		writes := 0
		for _, line := range h.want {
			if line[0] == 'w' {
				writes++
			}
		}
		for n := 1; n <= writes; n++ {
			t.Run(fmt.Sprintf("%s, write %d", name, n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { heldUp(t, h, n) })
			})
		}
	}
}

// heldUp holds up the n-th write and looks at what has happened.
func heldUp(t *testing.T, h history, n int) {
	l := &ledger{}
	slow, held := make(chan struct{}), make(chan struct{})
	store := &spy{MemoryStore: &durable.MemoryStore{}, log: l, before: func(i int) error {
		if i == n {
			close(held)
			<-slow
		}
		return nil
	}}
	def := saga.MustNewWith(saga.Spec[order]{Name: "checkout", Steps: h.steps(l), Clone: wound})
	e := ignite(t, store, durable.Config{Lease: -1}, def)
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		run, err := h.start(t, e, def)
		if started <- err; err == nil {
			_, _ = run.Wait(t.Context())
		}
	}()
	<-held
	time.Sleep(time.Minute) // whatever could go on has done so
	synctest.Wait()
	var want []string
	for i, writes := 0, 0; i < len(h.want); i++ {
		if h.want[i][0] == 'w' {
			writes++
		}
		if writes == n {
			break
		}
		want = append(want, h.want[i])
	}
	assert.Equal(t, want, l.all())
	assert.Equal(t, n > 1, len(started) == 1, "Start returns when the run is durable")
	select {
	case <-ended:
		assert.Fail(t, "Wait returned before the end was durable")
	default:
	}
	close(slow)
	<-ended
	require.NoError(t, <-started)
	assert.Equal(t, h.want, l.all())
	seal(t, e)
}

// G32: what a group has come to is written before what rests on it, although its
// children write by themselves.
func TestG32_Group(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		store := &spy{MemoryStore: &durable.MemoryStore{}, log: l}
		child := func(name string) saga.Step[order] {
			s := l.step(name)
			s.Merge = func(_, _ *order) { l.add("merge %s", name) }
			return s
		}
		def := saga.MustNewWith(saga.Spec[order]{Name: "checkout", Clone: wound, Steps: []saga.Step[order]{
			{Name: "g", Limit: 1, Parallel: []saga.Step[order]{child("x"), child("y")}}, l.step("b"),
		}})
		e := ignite(t, store, durable.Config{}, def)
		_, err := launch(t, e, def).Wait(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{
			"write created, started g/x", "do x", "write done g/x", "merge x", "write started g/y", "do y", "write done g/y", "merge y",
			"write done g, started b", "do b", "write done b, ended",
		}, l.all())
		seal(t, e)
	})
}
