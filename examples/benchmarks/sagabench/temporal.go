package sagabench

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"
)

// temporalWorkflow is the saga: activities one by one, and when one fails, those
// before it undone in activities of their own.
func temporalWorkflow(ctx workflow.Context, n int) (int, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	for i := range durableSteps {
		next := 0
		err := workflow.ExecuteActivity(ctx, "step", i, n).Get(ctx, &next)
		if err == nil {
			n = next
			continue
		}
		for i--; i >= 0; i-- {
			err = errors.Join(err, workflow.ExecuteActivity(ctx, "undo", n).Get(ctx, &n))
		}
		return n, err
	}
	return n, nil
}

// temporalTest is Temporal's test environment, which has no server: one for each
// saga, as there is one for each test.
func temporalTest(l load, m *made) engine {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(quiet))
	step := func(_ context.Context, i, n int) (int, error) {
		n, err := m.step(l, i, n)
		if err != nil {
			err = temporal.NewNonRetryableApplicationError(err.Error(), "", err)
		}
		return n, err
	}
	undo := func(_ context.Context, n int) (int, error) {
		m.undo()
		return n - 1, nil
	}
	return engine{
		run: func(string) (n int, err error) {
			env := suite.NewTestWorkflowEnvironment()
			env.RegisterActivityWithOptions(step, activity.RegisterOptions{Name: "step"})
			env.RegisterActivityWithOptions(undo, activity.RegisterOptions{Name: "undo"})
			env.RegisterWorkflow(temporalWorkflow)
			env.ExecuteWorkflow(temporalWorkflow, 0)
			if err := env.GetWorkflowError(); err != nil {
				return 0, err
			}
			err = env.GetWorkflowResult(&n)
			return n, err
		},
		close: func() {},
	}
}
