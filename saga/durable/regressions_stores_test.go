package durable_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

// A fast clock is ahead of system time.
type fast struct {
	clock.Clock
	by time.Duration
}

func (f fast) Now() time.Time { return f.Clock.Now().Add(f.by) }

// A store whose clock is ahead gives an engine runs that are not due by its own. The
// engine used to give them back and to be given them again at once, as fast as it could,
// until they were.
func TestG6_StoreAhead(t *testing.T) {
	for name, tc := range map[string]struct {
		by, late time.Duration
		failures int
	}{
		"by less than the wait":          {300 * time.Millisecond, 0, 1},
		"by several waits":               {5 * time.Second, 5 * time.Second, 1},
		"by very much":                   {time.Hour, time.Hour, 1},
		"when only a head tells":         {300 * time.Millisecond, 0, 80},
		"by much, and only a head tells": {10 * time.Second, 80 * 10 * time.Second, 80},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var claims atomic.Int64
				store := &sagatest.FaultStore{
					Store: &durable.MemoryStore{Clock: fast{clock.New(), tc.by}},
					Before: func(op string, _ int) error {
						if op == "Claim" {
							claims.Add(1)
						}
						return nil
					},
				}
				e, err := durable.Open(store, durable.Config{Poll: time.Minute})
				require.NoError(t, err)
				defer func() { require.NoError(t, e.Close(context.WithoutCancel(t.Context()))) }()
				tries := 0
				def := saga.MustNew("late", []saga.Step[int]{{
					Name: "a",
					Do: func(context.Context, *int) error {
						if tries++; tries <= tc.failures {
							return errors.New("down")
						}
						return nil
					},
					Retry: saga.Retry{Attempts: -1, Wait: time.Second, Factor: 1, NoJitter: true},
				}})
				require.NoError(t, durable.Register(e, def))
				began := time.Now()
				run, err := durable.Start(t.Context(), e, def, "r", 0)
				require.NoError(t, err)
				_, err = run.Wait(t.Context())
				require.NoError(t, err)
				waited := time.Duration(tc.failures) * time.Second
				took := time.Since(began)
				if tc.failures < 64 {
					assert.GreaterOrEqual(t, took, waited)
				}
				assert.LessOrEqual(t, took, waited+tc.late)
				// Each wait is claimed when the store thinks so, and twice as late each time.
				assert.LessOrEqual(t, claims.Load(), int64(tc.failures*16+int(took/time.Minute)+4))
			})
		})
	}
}

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
