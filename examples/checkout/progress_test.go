package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/examples/checkout/page"
	"github.com/mainstay-go/mainstay/saga"
)

func checkoutPlan() []saga.StepPlan {
	return checkout(buyer{}, tempo{leastTime}).Plan()
}

// pictured is all steps in a line.
func pictured(p *progress) string {
	all := make([]string, len(p.steps))
	for i, s := range p.steps {
		all[i] = fmt.Sprintf("%s %s", s.Name, s.State)
		if s.Attempts > 0 {
			all[i] += fmt.Sprint(" ", s.Attempts)
		}
		if s.Err != "" {
			all[i] += " " + s.Err
		}
	}
	return strings.Join(all, ", ")
}

func TestProgress(t *testing.T) {
	began := time.Now()
	p := newProgress("r", "a lamp", began, checkoutPlan())
	assert.Equal(t, "reserve pending, charge pending, label pending, invoice pending, ship pending, pick pending", pictured(p))
	assert.Equal(t, "running", p.status)
	assert.Equal(t, []page.Step{
		{Name: "label", Group: "papers", State: page.Pending}, {Name: "invoice", Group: "papers", State: page.Pending},
	}, p.steps[2:4])

	const at = 1 // charge
	begin := func(attempt int, undoing bool) func() {
		return func() { p.begin(saga.StepInfo{Step: "charge", Attempt: attempt, Undoing: undoing}) }
	}
	end := func(undoing bool, result saga.Outcome, err error, wait time.Duration) func() {
		return func() {
			p.end(saga.StepEvent{Info: saga.StepInfo{Step: "charge", Undoing: undoing}, Result: result, Err: err, Wait: wait})
		}
	}
	oops := errors.New("oops")
	for i, tc := range []struct {
		event func()
		want  page.Step
	}{
		{begin(1, false), page.Step{State: page.Active, Attempts: 1}},
		{end(false, saga.Unknown, oops, 0), page.Step{State: page.Retrying, Attempts: 1, Err: "oops"}},
		{begin(2, false), page.Step{State: page.Active, Attempts: 2, Err: "oops"}},
		{end(false, saga.Rejected, oops, -1), page.Step{State: page.Failed, Attempts: 2, Err: "oops"}},
		{begin(3, false), page.Step{State: page.Active, Attempts: 3, Err: "oops"}},
		{end(false, saga.Applied, nil, -1), page.Step{State: page.Done, Attempts: 3}},
		{begin(1, true), page.Step{State: page.Undoing, Attempts: 1}},
		{end(true, saga.Unknown, oops, time.Second), page.Step{State: page.Undoing, Attempts: 1, Err: "oops"}},
		{begin(2, true), page.Step{State: page.Undoing, Attempts: 2, Err: "oops"}},
		{end(true, saga.Applied, nil, -1), page.Step{State: page.Undone, Attempts: 2}},
	} {
		tc.event()
		tc.want.Name = "charge"
		assert.Equal(t, tc.want, p.steps[at], i)
	}

	// What is no step of the plan is nothing to be shown.
	before := pictured(p)
	p.begin(saga.StepInfo{Step: "papers", Attempt: 1})
	p.end(saga.StepEvent{Info: saga.StepInfo{Step: "label"}, Result: saga.Applied})
	assert.Equal(t, before, pictured(p))
	p.begin(saga.StepInfo{Step: "papers/label", Attempt: 1})
	assert.Equal(t, page.Active, p.steps[2].State)
	assert.Equal(t, page.Pending, p.steps[3].State)
}
