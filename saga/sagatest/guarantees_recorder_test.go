package sagatest_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

// K7: there is a line for every attempt, with what it came to, in the order of their ends.
func TestK7_Recorder(t *testing.T) {
	var r sagatest.Recorder
	assert.Empty(t, r.Trace())
	n := 0
	lost := func(context.Context, *int) error {
		if n++; n%2 == 1 {
			return errors.New("lost")
		}
		return nil
	}
	fast := saga.Retry{Attempts: 2, Wait: -1}
	def := saga.MustNew("s", []saga.Step[int]{
		{Name: "a", Do: lost, Undo: lost, Retry: fast, UndoRetry: fast},
		{Name: "b", Do: func(context.Context, *int) error { return saga.Reject(errors.New("refused")) }},
	})
	require.Error(t, def.RunWith(t.Context(), saga.RunConfig{Hooks: r.Hooks()}, new(int)))
	want := []string{"do a unknown", "do a applied", "do b rejected", "undo a unknown", "undo a applied"}
	assert.Equal(t, want, r.Trace())
	r.Trace()[0] = "changed"
	assert.Equal(t, want, r.Trace(), "a copy")
}

// K7: many runs may share one.
func TestK7_RecorderAtOnce(t *testing.T) {
	var r sagatest.Recorder
	def := saga.MustNew("s", []saga.Step[int]{{Name: "a", Do: func(context.Context, *int) error { return nil }}})
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { assert.NoError(t, def.RunWith(t.Context(), saga.RunConfig{Hooks: r.Hooks()}, new(int))) })
	}
	all.Wait()
	assert.Len(t, r.Trace(), 50)
}
