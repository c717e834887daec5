package sagabench

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/cschleiden/go-workflows/backend"
	"github.com/cschleiden/go-workflows/backend/monoprocess"
	"github.com/cschleiden/go-workflows/backend/sqlite"
	"github.com/cschleiden/go-workflows/client"
	"github.com/cschleiden/go-workflows/worker"
	"github.com/cschleiden/go-workflows/workflow"
)

// goActivities are what the saga consists of. Their names are those of the methods.
type goActivities struct {
	load load
	made *made
}

func (a *goActivities) Step(_ context.Context, i, n int) (int, error) {
	n, err := a.made.step(a.load, i, n)
	if err != nil {
		err = workflow.NewPermanentError(err) // which is not tried again
	}
	return n, err
}

func (a *goActivities) Undo(_ context.Context, n int) (int, error) {
	a.made.undo()
	return n - 1, nil
}

// goWorkflow is the saga: activities one by one, and when one fails, those before
// it undone in activities of their own.
func goWorkflow(ctx workflow.Context, n int) (int, error) {
	var a *goActivities
	opts := workflow.DefaultActivityOptions
	for i := range durableSteps {
		next, err := workflow.ExecuteActivity[int](ctx, opts, a.Step, i, n).Get(ctx)
		if err == nil {
			n = next
			continue
		}
		for i--; i >= 0; i-- {
			var undo error
			n, undo = workflow.ExecuteActivity[int](ctx, opts, a.Undo, n).Get(ctx)
			err = errors.Join(err, undo)
		}
		return n, err
	}
	return n, nil
}

// goWorkflows is go-workflows on SQLite, in one process.
func goWorkflows(l load, m *made) engine {
	dir, remove := directory()
	files := sqlite.NewSqliteBackend(filepath.Join(dir, "workflows.sqlite"), sqlite.WithBackendOptions(backend.WithLogger(quiet)))
	b := monoprocess.NewMonoprocessBackend(files)
	opts := worker.DefaultOptions
	opts.WorkflowExecutorCacheSize = max(opts.WorkflowExecutorCacheSize, 2*l.inFlight)
	w := worker.New(b, &opts)
	must(w.RegisterWorkflow(goWorkflow))
	must(w.RegisterActivity(&goActivities{l, m}))
	ctx, cancel := context.WithCancel(background)
	must(w.Start(ctx))
	c := client.New(b)
	return engine{
		run: func(id string) (int, error) {
			in, err := c.CreateWorkflowInstance(background, client.WorkflowInstanceOptions{InstanceID: id}, goWorkflow, 0)
			if err != nil {
				return 0, err
			}
			return client.GetWorkflowResult[int](background, c, in, closing)
		},
		close: func() {
			cancel()
			must(w.WaitForCompletion())
			must(files.Close())
			remove()
		},
	}
}
