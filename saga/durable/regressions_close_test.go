package durable_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga/durable"
)

// G42: Close that is cut short leaves nothing behind, also if a run was claimed in that
// moment and cannot be given back, as the store is out of order.
func TestG42_ClaimedAndClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("checkout", say("a"))
		m := &meddler{Store: cutShort(t, def, "r1", 1)}
		e, err := durable.Open(m, durable.Config{})
		require.NoError(t, err)
		down := func() error { return errStore }
		m.claimed.is(func() error {
			m.append.is(down)
			m.load.is(down)
			ended, cancel := context.WithCancel(bg)
			cancel()
			assert.Error(t, e.Close(ended))
			return nil
		})
		require.NoError(t, durable.Register(e, def))
		time.Sleep(time.Second) // it is claimed now
		closed := make(chan struct{})
		go func() { defer close(closed); _ = e.Close(bg) }()
		time.Sleep(time.Hour)
		select {
		case <-closed:
		default:
			t.Error("Close does not return")
			m.append.is(nil) // so that the test ends
			m.load.is(nil)
			<-closed
		}
	})
}

// G42: the error of Close names runs only if there are some.
func TestG42_CloseWithoutRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meddler{Store: &durable.MemoryStore{}}
		answer := make(chan struct{})
		m.claimed.is(func() error { <-answer; return nil }) // the store takes its time
		e, err := durable.Open(m, durable.Config{})
		require.NoError(t, err)
		require.NoError(t, durable.Register(e, define("checkout", say("a"))))
		synctest.Wait()
		ctx, cancel := context.WithCancelCause(bg)
		cancel(errDown)
		err = e.Close(ctx)
		assert.ErrorIs(t, err, errDown)
		assert.EqualError(t, err, "durable: Close: down")
		close(answer)
		assert.NoError(t, e.Close(bg))
	})
}
