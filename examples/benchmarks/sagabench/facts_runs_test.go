package sagabench

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cschleiden/go-workflows/client"
	goflow "github.com/cschleiden/go-workflows/workflow"
	"github.com/dbos-inc/dbos-transact-golang/dbos"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// A second start with an ID that there was, but with another input.
func TestFactSameID(t *testing.T) {
	t.Run("mainstay", func(t *testing.T) {
		_, start := oursWith(t, &durable.MemoryStore{}, saga.Step[int]{Name: "a", Do: count})
		got(got(start("r", 1)).Wait(t.Context()))
		_, err := start("r", 2)
		require.ErrorIs(t, err, durable.ErrConflict)
		assert.Equal(t, 2, got(got(start("r", 1)).Wait(t.Context())))
	})
	t.Run("DBOS", func(t *testing.T) {
		ctx, start := dbosWith(t, file(t), func(_ dbos.Context, n int) (int, error) { return n + 1, nil })
		defer func() { must(dbos.Shutdown(ctx, closing)) }()
		assert.Equal(t, 2, got(start("r", 1).GetResult()))
		assert.Equal(t, 2, got(start("r", 2).GetResult()), "the input is ignored")
	})
	t.Run("go-workflows", func(t *testing.T) {
		steps := 0
		a := &Activities{step: func(n int) (int, error) {
			steps++
			return n + 1, nil
		}}
		c, start := goWith(t, a, func(ctx goflow.Context, n int) (int, error) {
			return goflow.ExecuteActivity[int](ctx, goflow.DefaultActivityOptions, a.Step, n).Get(ctx)
		})
		for i := range 2 {
			n, err := client.GetWorkflowResult[int](t.Context(), c, start("r", 7), closing)
			require.NoError(t, err)
			assert.Equal(t, 8, n)
			assert.Equal(t, i+1, steps, "it is executed once more")
		}
	})
}

// How many goroutines there are for each that sleeps.
func TestFactSleepers(t *testing.T) {
	const n = 50
	goroutines := func(before int) int { return (runtime.NumGoroutine() - before + n/2) / n }
	t.Run("mainstay", func(t *testing.T) {
		e, start := oursWith(t, &durable.MemoryStore{}, saga.Sleep(saga.Step[int]{Name: "a"}, time.Hour))
		before := runtime.NumGoroutine()
		for i := range n {
			got(start(strconv.Itoa(i), 0))
		}
		for sleeping(e) < n || goroutines(before) > 0 { // those that have made them sleep end
			runtime.Gosched()
		}
	})
	t.Run("DBOS", func(t *testing.T) {
		var begun atomic.Int64
		ctx, start := dbosWith(t, file(t), func(ctx dbos.Context, _ int) (int, error) {
			begun.Add(1)
			_, err := dbos.Sleep(ctx, time.Hour)
			return 0, err
		})
		before := runtime.NumGoroutine()
		for i := range n {
			start(strconv.Itoa(i), 0)
		}
		for begun.Load() < n {
			runtime.Gosched()
		}
		assert.GreaterOrEqual(t, goroutines(before), 1)
		must(dbos.Shutdown(ctx, closing))
	})
	t.Run("go-workflows", func(t *testing.T) {
		var begun atomic.Int64
		_, start := goWith(t, &Activities{}, func(ctx goflow.Context, _ int) (int, error) {
			begun.Add(1)
			return 0, goflow.Sleep(ctx, time.Hour)
		})
		before := runtime.NumGoroutine()
		for i := range n {
			start(strconv.Itoa(i), 0)
		}
		for begun.Load() < n {
			runtime.Gosched()
		}
		assert.GreaterOrEqual(t, goroutines(before), 1, "as long as they are in its cache")
	})
}

// What a step that is new does to a run that has begun before.
func TestFactNewStep(t *testing.T) {
	t.Run("mainstay, ahead of it", func(t *testing.T) {
		store, old := &durable.MemoryStore{}, saga.Step[int]{Name: "a", Do: count}
		wait := saga.Await(saga.Step[int]{Name: "b"}, func(_ context.Context, n *int, more int) error {
			*n += more
			return nil
		})
		e, start := oursWith(t, store, old, wait)
		got(start("r", 0))
		for sleeping(e) < 1 {
			runtime.Gosched()
		}
		must(e.Close(t.Context()))
		e, start = oursWith(t, store, old, wait, saga.Step[int]{Name: "new", Do: count})
		require.NoError(t, durable.Signal(t.Context(), e, "r", "b", 5))
		assert.Equal(t, 7, got(got(start("r", 0)).Wait(t.Context())))
	})
	t.Run("mainstay, behind where it stands", func(t *testing.T) {
		store, old := &durable.MemoryStore{}, saga.Step[int]{Name: "a", Do: count}
		wait := saga.Await(saga.Step[int]{Name: "b"}, func(context.Context, *int, int) error { return nil })
		e, start := oursWith(t, store, old, wait)
		got(start("r", 0))
		for sleeping(e) < 1 {
			runtime.Gosched()
		}
		must(e.Close(t.Context()))
		e, start = oursWith(t, store, saga.Step[int]{Name: "new", Do: count}, old, wait)
		require.NoError(t, durable.Signal(t.Context(), e, "r", "b", 5))
		assert.Equal(t, 1, got(got(start("r", 0)).Wait(t.Context())), "it is not run")
	})
	t.Run("DBOS, behind where it stands", func(t *testing.T) {
		db := file(t)
		step := func(ctx dbos.Context, name string) error {
			_, err := dbos.RunAsStep(ctx, func(context.Context) (int, error) { return 0, nil }, dbos.WithStepName(name))
			return err
		}
		asleep := make(chan struct{})
		ctx, start := dbosWith(t, db, func(ctx dbos.Context, _ int) (int, error) {
			if err := step(ctx, "a"); err != nil {
				return 0, err
			}
			close(asleep)
			_, err := dbos.Recv[int](ctx, "b", time.Hour)
			return 0, err
		})
		start("r", 0)
		<-asleep
		must(dbos.Shutdown(ctx, closing))
		ctx, _ = dbosWith(t, db, func(ctx dbos.Context, _ int) (int, error) {
			return 0, errors.Join(step(ctx, "new"), step(ctx, "a"))
		})
		h, err := dbos.RetrieveWorkflow[int](ctx, "r")
		require.NoError(t, err)
		_, err = h.GetResult()
		assert.ErrorContains(t, err, "UnexpectedStep")
		must(dbos.Shutdown(ctx, closing))
	})
}

// What SQLite does when something is committed, unless it is told otherwise.
func TestFactSynchronous(t *testing.T) {
	db := got(sql.Open("sqlite", "file:"+file(t)))
	defer func() { must(db.Close()) }()
	_, err := db.Exec("PRAGMA journal_mode = WAL") // which go-workflows sets, and nothing of this
	require.NoError(t, err)
	full := 0
	require.NoError(t, db.QueryRow("PRAGMA synchronous").Scan(&full))
	assert.Equal(t, 2, full)
}
