package sagabench

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cschleiden/go-workflows/backend"
	"github.com/cschleiden/go-workflows/backend/monoprocess"
	"github.com/cschleiden/go-workflows/backend/sqlite"
	"github.com/cschleiden/go-workflows/client"
	"github.com/cschleiden/go-workflows/worker"
	goflow "github.com/cschleiden/go-workflows/workflow"
	"github.com/dbos-inc/dbos-transact-golang/dbos"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	temporalflow "go.temporal.io/sdk/workflow"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// What .github/COMPARED.md says of each library in its cells in italics, shown by
// running it.

// oursWith is an engine of ours with a saga.
func oursWith(t *testing.T, store durable.Store, steps ...saga.Step[int]) (e *durable.Engine, start func(id string, n int) (*durable.Run[int], error)) {
	t.Helper()
	e = got(durable.Open(store, durable.Config{}))
	def := saga.MustNew(sagaName, steps)
	require.NoError(t, durable.Register(e, def))
	t.Cleanup(func() { must(e.Close(background)) })
	return e, func(id string, n int) (*durable.Run[int], error) { return durable.Start(background, e, def, id, n) }
}

// dbosWith is DBOS on a file, with a workflow.
func dbosWith(t *testing.T, file string, w dbos.Workflow[int, int]) (ctx dbos.Context, start func(id string, n int) dbos.WorkflowHandle[int]) {
	t.Helper()
	ctx, err := dbos.NewContext(background, dbos.Config{AppName: "facts", DatabaseURL: "sqlite:" + file, ApplicationVersion: "1", Logger: quiet})
	require.NoError(t, err)
	dbos.RegisterWorkflow(ctx, w, dbos.WithWorkflowName(sagaName))
	require.NoError(t, dbos.Launch(ctx))
	return ctx, func(id string, n int) dbos.WorkflowHandle[int] {
		h, err := dbos.RunWorkflow(ctx, w, n, dbos.WithWorkflowID(id))
		require.NoError(t, err)
		return h
	}
}

func file(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "db.sqlite")
}

// Activities are those of a workflow. Their names are those of the methods.
type Activities struct {
	step   func(n int) (int, error)
	undone atomic.Int64
}

func (a *Activities) Step(_ context.Context, n int) (int, error) { return a.step(n) }

func (a *Activities) Undo(context.Context) (int, error) { return int(a.undone.Add(1)), nil }

// goWith is go-workflows, with a workflow.
func goWith(t *testing.T, a *Activities, w func(goflow.Context, int) (int, error)) (c *client.Client, start func(id string, n int) *goflow.Instance) {
	t.Helper()
	files := sqlite.NewSqliteBackend(file(t), sqlite.WithBackendOptions(backend.WithLogger(quiet)))
	b := monoprocess.NewMonoprocessBackend(files)
	run := worker.New(b, nil)
	require.NoError(t, run.RegisterWorkflow(w))
	require.NoError(t, run.RegisterActivity(a))
	ctx, cancel := context.WithCancel(background)
	require.NoError(t, run.Start(ctx))
	t.Cleanup(func() {
		cancel()
		must(run.WaitForCompletion())
		must(files.Close())
	})
	c = client.New(b)
	return c, func(id string, n int) *goflow.Instance {
		in, err := c.CreateWorkflowInstance(background, client.WorkflowInstanceOptions{InstanceID: id}, w, n)
		require.NoError(t, err)
		return in
	}
}

func temporalWith(a *Activities) *testsuite.TestWorkflowEnvironment {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(quiet))
	env := suite.NewTestWorkflowEnvironment()
	env.RegisterActivity(a)
	return env
}

// How what was done is undone when somebody cancels.
func TestFactUndoOfTheCancelled(t *testing.T) {
	t.Run("mainstay", func(t *testing.T) {
		begun, undone := make(chan struct{}), 0
		undo := func(ctx context.Context, _ *int) error {
			undone++
			return ctx.Err()
		}
		e, start := oursWith(t, &durable.MemoryStore{},
			saga.Step[int]{Name: "a", Do: count, Undo: undo},
			saga.Step[int]{Name: "b", Undo: undo, Do: func(ctx context.Context, _ *int) error {
				close(begun)
				<-ctx.Done()
				return ctx.Err()
			}})
		run := got(start("r", 0))
		<-begun
		require.NoError(t, e.Abort(t.Context(), "r", durable.Note{By: "me", Why: "test"}))
		_, err := run.Wait(t.Context())
		var failure *saga.Error
		require.ErrorAs(t, err, &failure)
		assert.Equal(t, saga.Compensated, failure.Status)
		assert.Equal(t, 2, undone, "also the step that was under way")
	})
	t.Run("DBOS", func(t *testing.T) {
		begun, over := make(chan struct{}), make(chan struct{})
		undone := 0
		var errs []error
		ctx, start := dbosWith(t, file(t), func(ctx dbos.Context, _ int) (int, error) {
			_, err := dbos.RunAsStep(ctx, func(context.Context) (int, error) {
				close(begun)
				<-over
				return 0, errNo
			}, dbos.WithStepName("a"))
			for _, live := range []dbos.Context{ctx, dbos.WithoutCancel(ctx)} {
				_, err := dbos.RunAsStep(live, func(context.Context) (int, error) {
					undone++
					return 0, nil
				}, dbos.WithStepName("undo a"))
				errs = append(errs, err)
			}
			return 0, err
		})
		h := start("r", 0)
		<-begun
		require.NoError(t, dbos.CancelWorkflow(ctx, "r"))
		close(over)
		_, err := h.GetResult()
		assert.ErrorIs(t, err, dbos.ErrWorkflowCancelled)
		must(dbos.Shutdown(ctx, closing))
		assert.Len(t, errs, 2)
		assert.NotContains(t, errs, nil)
		assert.Zero(t, undone, "no step is made any more")
	})
	t.Run("go-workflows", func(t *testing.T) {
		begun, over := make(chan struct{}), make(chan struct{})
		a := &Activities{step: func(n int) (int, error) {
			close(begun)
			<-over
			return n, nil
		}}
		var dead error
		c, start := goWith(t, a, func(ctx goflow.Context, n int) (int, error) {
			opts := goflow.DefaultActivityOptions
			_, err := goflow.ExecuteActivity[int](ctx, opts, a.Step, n).Get(ctx)
			_, dead = goflow.ExecuteActivity[int](ctx, opts, a.Undo).Get(ctx)
			live := goflow.NewDisconnectedContext(ctx)
			_, undo := goflow.ExecuteActivity[int](live, opts, a.Undo).Get(live)
			return n, errors.Join(err, undo)
		})
		in := start("r", 0)
		<-begun
		require.NoError(t, c.CancelWorkflowInstance(t.Context(), in))
		close(over)
		require.NoError(t, c.WaitForWorkflowInstance(t.Context(), in, closing))
		assert.Equal(t, goflow.Canceled, dead)
		assert.EqualValues(t, 1, a.undone.Load(), "on a context that was made for it")
	})
	t.Run("Temporal", func(t *testing.T) {
		a := &Activities{step: func(n int) (int, error) { return n, nil }}
		var dead error
		env := temporalWith(a)
		env.RegisterDelayedCallback(env.CancelWorkflow, time.Minute)
		env.ExecuteWorkflow(func(ctx temporalflow.Context) error {
			ctx = temporalflow.WithActivityOptions(ctx, temporalflow.ActivityOptions{StartToCloseTimeout: time.Minute})
			err := temporalflow.Sleep(ctx, time.Hour)
			dead = temporalflow.ExecuteActivity(ctx, a.Undo).Get(ctx, nil)
			live, _ := temporalflow.NewDisconnectedContext(ctx)
			return errors.Join(err, temporalflow.ExecuteActivity(live, a.Undo).Get(live, nil))
		})
		assert.Error(t, env.GetWorkflowError())
		assert.Error(t, dead)
		assert.EqualValues(t, 1, a.undone.Load(), "on a context that was made for it")
	})
}

// What comes of a step that panics, and of the one before it.
func TestFactPanic(t *testing.T) {
	t.Run("mainstay", func(t *testing.T) {
		undone := 0
		undo := func(context.Context, *int) error {
			undone++
			return nil
		}
		_, start := oursWith(t, &durable.MemoryStore{}, saga.Step[int]{Name: "a", Do: count, Undo: undo},
			saga.Step[int]{Name: "b", Do: func(context.Context, *int) error { panic("!") }, Undo: undo})
		_, err := got(start("r", 0)).Wait(t.Context())
		var panicked *saga.PanicError
		require.ErrorAs(t, err, &panicked)
		assert.Equal(t, 2, undone)
	})
	t.Run("DBOS", func(t *testing.T) {
		undone := 0
		step := func(ctx dbos.Context, do func() int) error {
			_, err := dbos.RunAsStep(ctx, func(context.Context) (int, error) { return do(), nil })
			return err
		}
		ctx, start := dbosWith(t, file(t), func(ctx dbos.Context, _ int) (int, error) {
			if err := step(ctx, func() int { panic("!") }); err != nil {
				return 0, errors.Join(err, step(ctx, func() int { undone++; return 0 }))
			}
			return 0, nil
		})
		_, err := start("r", 0).GetResult()
		assert.ErrorContains(t, err, "panic")
		must(dbos.Shutdown(ctx, closing))
		assert.Zero(t, undone, "the workflow ends where it is")
	})
	t.Run("go-workflows", func(t *testing.T) {
		steps := 0
		a := &Activities{step: func(int) (int, error) {
			steps++
			panic("!")
		}}
		c, start := goWith(t, a, func(ctx goflow.Context, n int) (int, error) {
			_, err := goflow.ExecuteActivity[int](ctx, goflow.DefaultActivityOptions, a.Step, n).Get(ctx)
			if err != nil {
				_, undo := goflow.ExecuteActivity[int](ctx, goflow.DefaultActivityOptions, a.Undo).Get(ctx)
				err = errors.Join(err, undo)
			}
			return n, err
		})
		_, err := client.GetWorkflowResult[int](t.Context(), c, start("r", 0), closing)
		require.ErrorContains(t, err, "panic")
		assert.EqualValues(t, 1, a.undone.Load())
		assert.Equal(t, 3, steps, "it is tried again like an error")
	})
	t.Run("Temporal", func(t *testing.T) {
		a := &Activities{step: func(int) (int, error) { panic("!") }}
		env := temporalWith(a)
		env.ExecuteWorkflow(temporalUndoing, 0)
		assert.ErrorContains(t, env.GetWorkflowError(), "activity error")
		assert.EqualValues(t, 1, a.undone.Load())
	})
}

// temporalUndoing makes a step and undoes it if it fails.
func temporalUndoing(ctx temporalflow.Context, n int) error {
	var a *Activities
	ctx = temporalflow.WithActivityOptions(ctx, temporalflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	err := temporalflow.ExecuteActivity(ctx, a.Step, n).Get(ctx, nil)
	if err != nil {
		err = errors.Join(err, temporalflow.ExecuteActivity(ctx, a.Undo).Get(ctx, nil))
	}
	return err
}
