package durable_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// G21, G33: the process ended within the pivot, and the run's time is over when another
// one goes on. Nobody knows whether the pivot is applied: nothing is undone.
func TestG33_PivotInFlightWhenTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		p := saga.Step[order]{Name: "p", Pivot: true, Do: deadly(l.fn("do p"), 1)}
		def := saga.MustNewWith(saga.Spec[order]{Name: "checkout", Timeout: time.Hour, Steps: []saga.Step[order]{l.step("a"), p}})
		store := &durable.MemoryStore{}
		first := &spy{MemoryStore: store}
		e := ignite(t, first, durable.Config{}, def)
		launch(t, e, def)
		synctest.Wait()
		first.kill(t, e)
		time.Sleep(time.Hour)
		e = ignite(t, store, durable.Config{}, def)
		_, _ = launch(t, e, def).Wait(context.Background())
		assert.Equal(t, []string{"do a", "do p"}, l.all())
		h := seen(t, e, "r1").Head
		assert.Equal(t, saga.Stuck, h.Status)
		assert.Equal(t, saga.ReasonPivotUnknown, h.Reason)
		seal(t, e)
	})
}
