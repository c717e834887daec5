package durable_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

type order struct {
	Log []string
	N   int
}

func act(line string, errs ...error) func(context.Context, *order) error {
	n := 0
	return func(_ context.Context, o *order) error {
		o.Log = append(o.Log, line)
		if n < len(errs) {
			n++
			return errs[n-1]
		}
		return nil
	}
}

var errDown = errors.New("down")

func TestSmoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &durable.MemoryStore{}
		e, err := durable.Open(store, durable.Config{})
		require.NoError(t, err)
		def := saga.MustNew("checkout", []saga.Step[order]{
			{Name: "a", Do: act("do a"), Undo: act("undo a")},
			{Name: "b", Do: act("do b", errDown, errDown), Undo: act("undo b"), Retry: saga.Retry{Wait: time.Minute, NoJitter: true}},
			{Name: "c", Do: act("do c", nil, saga.Reject(errDown)), Undo: act("undo c")},
		})
		require.NoError(t, durable.Register(e, def))
		run, err := durable.Start(t.Context(), e, def, "r1", order{})
		require.NoError(t, err)
		begun := time.Now()
		o, err := run.Wait(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{"do a", "do b", "do b", "do b", "do c"}, o.Log)
		assert.Equal(t, 2*time.Minute, time.Since(begun))
		run, err = durable.Start(t.Context(), e, def, "r2", order{})
		require.NoError(t, err)
		o, err = run.Wait(t.Context())
		require.ErrorIs(t, err, errDown)
		assert.Equal(t, []string{"do a", "do b", "do c", "undo b", "undo a"}, o.Log)
		require.NoError(t, e.Close(t.Context()))
	})
}
