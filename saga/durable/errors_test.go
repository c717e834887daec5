package durable_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// An error about a run names it, and the package once.
func TestErrors_Name(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def, other := define("shop", say("a"), approval("ok", 0)), define("other", say("a"))
		e := open(t, &durable.MemoryStore{}, durable.Config{Retain: time.Second}, def, other)
		for name, call := range doors(bg, e, def, "r9") {
			if name != "Start" && name != "StartWith" {
				err := call()
				assert.ErrorIs(t, err, durable.ErrNotFound, name)
				assert.EqualError(t, err, `durable: run "r9": not found`, name)
			}
		}
		for name, call := range doors(bg, e, def, "r9") {
			if name == "Start" || name == "StartWith" {
				assert.NoError(t, call(), name)
			}
		}

		gone := begin(t, e, other, "r1")
		time.Sleep(time.Hour)
		_, err := e.Sweep(bg)
		require.NoError(t, err)
		_, err = gone.Wait(bg)
		assert.EqualError(t, err, `durable: run "r1": not found`)
		_, _, err = gone.State(bg)
		assert.EqualError(t, err, `durable: run "r1": not found`)
		require.ErrorIs(t, err, durable.ErrNotFound)

		var itself error
		var waits *saga.Saga[order]
		waits = define("waits", saga.Step[order]{Name: "a", Do: func(ctx context.Context, _ *order) error {
			run, err := durable.Find(ctx, e, waits, "r2")
			if err == nil {
				_, err = run.Wait(ctx)
			}
			itself = err
			return nil
		}})
		require.NoError(t, durable.Register(e, waits))
		_, err = begin(t, e, waits, "r2").Wait(bg)
		require.NoError(t, err)

		for want, err := range map[string]error{
			`durable: run "r2" would wait for itself: conflict`:            itself,
			`durable: there is another run "r9": conflict`:                 start(e, other, "r9"),
			`durable: run "r9" is one of the saga "shop": conflict`:        find(e, other, "r9"),
			`durable: a saga named "shop" is registered already: conflict`: durable.Register(e, define("shop", say("b"))),
			`durable: the saga "shop" has no Await step "b": not found`:    durable.Signal(bg, e, "r9", "b", "yes"),
			`durable: abandon "r9", which is waiting: conflict`:            e.Abandon(bg, "r9", ann),
		} {
			assert.EqualError(t, err, want)
		}
	})
}

func start(e *durable.Engine, def *saga.Saga[order], id string) error {
	_, err := durable.Start(bg, e, def, id, order{})
	return err
}

func find(e *durable.Engine, def *saga.Saga[order], id string) error {
	_, err := durable.Find(bg, e, def, id)
	return err
}

// What a store says besides is in the text, and so is what it is.
func TestErrors_OfStores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", approval("ok", 0))
		m := &meddler{Store: &durable.MemoryStore{}}
		e := open(t, m, durable.Config{}, def)
		begin(t, e, def, "r1")
		synctest.Wait()

		m.load.is(func() error { return fmt.Errorf("disk: Load: %w", durable.ErrNotFound) })
		_, err := e.Get(bg, "r1")
		assert.ErrorIs(t, err, durable.ErrNotFound)
		assert.EqualError(t, err, `durable: run "r1": disk: Load: durable: not found`)

		m.load.is(func() error { return errStore })
		_, err = e.Get(bg, "r1")
		assert.Equal(t, errStore, err, "which the store has named")
		assert.Equal(t, errStore, start(e, def, "r1"), "whether it is the same run nobody knows")
		_, err = durable.StartWith(bg, e, def, durable.StartConfig{ID: "r1", Delay: 1}, order{})
		assert.Equal(t, errStore, err)

		m.load.is(nil)
		m.append.is(func() error { return fmt.Errorf("disk: Append: %w", durable.ErrNotFound) })
		assert.EqualError(t, durable.Signal(bg, e, "r1", "ok", "yes"), `durable: run "r1": disk: Append: durable: not found`)
		m.append.is(nil)
	})
}
