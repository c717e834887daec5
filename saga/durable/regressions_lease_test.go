package durable_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// deaf is a step that takes longer than a lease, and does not listen to its context.
func (l *ledger) deaf(name string) saga.Step[order] {
	return saga.Step[order]{Name: name, Undo: l.fn("undo " + name), Do: func(context.Context, *order) error {
		l.add("do %s begins", name)
		time.Sleep(100 * time.Second)
		l.add("do %s ends", name)
		return nil
	}}
}

// G25, G36, G37: the owner of a run goes on to renew its lease when the run is aborted, so
// that nobody undoes what is still being done.
func TestG36_AbortKeepsTheLease(t *testing.T) {
	for name, elsewhere := range map[string]bool{"here": false, "elsewhere": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, store := &ledger{}, &durable.MemoryStore{}
				def := define("checkout", l.deaf("a"))
				owner := ignite(t, store, durable.Config{Name: "owner"}, def)
				run := launch(t, owner, def)
				other := ignite(t, store, durable.Config{Name: "other"}, def)
				time.Sleep(5 * time.Second)
				by := owner
				if elsewhere {
					by = other
				}
				require.NoError(t, by.Abort(bg, "r1", ann))
				time.Sleep(60 * time.Second)
				assert.Contains(t, seen(t, owner, "r1").Head.Owner, "owner")
				_, err := run.Wait(bg)
				require.Error(t, err)
				time.Sleep(200 * time.Second)
				assert.Equal(t, []string{"do a begins", "do a ends", "undo a"}, l.all())
				seal(t, owner)
				seal(t, other)
			})
		})
	}
}

// G36, G37: nor does the signal of somebody else keep a lease from being renewed.
func TestG36_SignalKeepsTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, store := &ledger{}, &durable.MemoryStore{}
		def := define("checkout", l.deaf("a"), approval("ok", 0))
		owner := ignite(t, store, durable.Config{Name: "owner"}, def)
		run := launch(t, owner, def)
		other := ignite(t, store, durable.Config{Name: "other"}, def)
		time.Sleep(5 * time.Second)
		require.NoError(t, durable.Signal(bg, other, "r1", "ok", "yes"))
		time.Sleep(60 * time.Second)
		assert.Contains(t, seen(t, owner, "r1").Head.Owner, "owner")
		_, err := run.Wait(bg)
		require.NoError(t, err)
		assert.Equal(t, []string{"do a begins", "do a ends"}, l.all())
		seal(t, owner)
		seal(t, other)
	})
}

// G42: Close waits for a renewal that is still in the store, which may be closed next.
func TestG42_CloseWaitsForARenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meddler{Store: &durable.MemoryStore{}}
		var inside atomic.Bool
		def := define("checkout", saga.Step[order]{Name: "a", Do: func(ctx context.Context, _ *order) error {
			m.append.is(func() error {
				m.append.is(nil)
				inside.Store(true)
				time.Sleep(time.Hour)
				inside.Store(false)
				return errors.New("late")
			})
			<-ctx.Done()
			return context.Cause(ctx)
		}})
		e := ignite(t, m, durable.Config{}, def)
		launch(t, e, def)
		time.Sleep(35 * time.Second)
		require.True(t, inside.Load())
		require.NoError(t, e.Close(bg))
		assert.False(t, inside.Load(), "a goroutine of the engine is in the store")
		time.Sleep(time.Hour) // if it is, it has to leave the bubble
	})
}

// G32, G36: State of a run whose end could not be written, as somebody else has claimed
// it, is what was recorded last.
func TestG36_StateOfAFencedEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &durable.MemoryStore{}
		m := &meddler{Store: store}
		def := define("checkout", saga.Step[order]{Name: "a", Do: slowly(func(_ context.Context, o *order) error {
			o.N = 7
			m.append.is(func() error { // meanwhile the lease ends
				m.append.is(nil)
				time.Sleep(31 * time.Second)
				heads, _, err := store.Claim(bg, durable.ClaimRequest{Owner: "other", TTL: time.Minute, Limit: 1, Sagas: []string{"checkout"}})
				assert.NoError(t, err)
				assert.Len(t, heads, 1)
				return nil
			})
			return nil
		})})
		e := ignite(t, m, durable.Config{MaxRunning: 1}, def)
		run := launch(t, e, def)
		time.Sleep(40 * time.Second)
		state, h, err := run.State(bg)
		require.NoError(t, err)
		assert.Equal(t, saga.Running, h.Status)
		assert.Equal(t, "other", h.Owner)
		assert.Zero(t, state.N)
		seal(t, e)
	})
}

// aLoad is a store in which something is done after a Load.
type aLoad struct {
	*durable.MemoryStore
	then before
}

func (s *aLoad) Load(ctx context.Context, id string) (durable.Head, [][]byte, error) {
	h, events, err := s.MemoryStore.Load(ctx, id)
	return h, events, errors.Join(err, s.then.call())
}

// G41, G42: Wait tells of a run that had ended before the engine was closed how it ended,
// also if it learns of both at once.
func TestG41_EndedBeforeClose(t *testing.T) {
	for range 20 { // of two things that are ready select takes any
		synctest.Test(t, func(t *testing.T) {
			store, opened := &aLoad{MemoryStore: &durable.MemoryStore{}}, make(chan struct{})
			def := define("checkout", held("a", opened))
			e := ignite(t, store, durable.Config{}, def)
			run, err := durable.StartWith(bg, e, def, durable.StartConfig{ID: "r1", Delay: time.Second}, order{})
			require.NoError(t, err)
			store.then.is(func() error {
				store.then.is(nil)
				close(opened)
				time.Sleep(2 * time.Second)
				return e.Close(bg)
			})
			_, err = run.Wait(bg)
			require.NoError(t, err)
		})
	}
}
