package durable_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

// A run that is there and cannot be read is not another one: who has asked for it again
// after a failure has to ask once more.
func TestG31_ConflictWithWhatCannotBeRead(t *testing.T) {
	var broken error
	store := &sagatest.FaultStore{Store: &durable.MemoryStore{}, Before: func(op string, _ int) error {
		if op == "Load" {
			return broken
		}
		return nil
	}}
	def := saga.MustNew("shop", []saga.Step[int]{{Name: "a", Do: func(context.Context, *int) error { return nil }}})
	e, err := durable.Open(store, durable.Config{})
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close(context.WithoutCancel(t.Context()))) }()
	require.NoError(t, durable.Register(e, def))
	for _, delay := range []time.Duration{0, time.Hour} {
		cfg := durable.StartConfig{ID: "r" + delay.String(), Delay: delay}
		run, err := durable.StartWith(t.Context(), e, def, cfg, 7)
		require.NoError(t, err)
		if delay == 0 {
			_, err = run.Wait(t.Context())
			require.NoError(t, err)
		}
		broken = errors.New("the disk is gone")
		_, err = durable.StartWith(t.Context(), e, def, cfg, 7)
		require.ErrorIs(t, err, broken)
		require.NotErrorIs(t, err, durable.ErrConflict)
		broken = nil
		_, err = durable.StartWith(t.Context(), e, def, cfg, 7)
		require.NoError(t, err)
		_, err = durable.StartWith(t.Context(), e, def, cfg, 8)
		require.ErrorIs(t, err, durable.ErrConflict)
	}
}
