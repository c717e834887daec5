package main

import (
	"time"

	"github.com/mainstay-go/mainstay/examples/checkout/page"
	"github.com/mainstay-go/mainstay/saga"
)

// A progress is how far a run is, as far as its events have told.
type progress struct {
	id, order string
	status    string
	since     time.Time
	steps     []page.Step
	at        map[string]int // in steps, by path
}

func newProgress(id, order string, since time.Time, plan []saga.StepPlan) *progress {
	p := &progress{id: id, order: order, status: saga.Running.String(), since: since, at: make(map[string]int)}
	for _, s := range plan {
		if len(s.Children) == 0 {
			p.add(s.Name, page.Step{Name: s.Name})
		}
		for _, child := range s.Children {
			p.add(s.Name+"/"+child.Name, page.Step{Name: child.Name, Group: s.Name})
		}
	}
	return p
}

func (p *progress) add(path string, s page.Step) {
	s.State = page.Pending
	p.at[path] = len(p.steps)
	p.steps = append(p.steps, s)
}

// begin is told that an attempt begins.
func (p *progress) begin(i saga.StepInfo) {
	n, ok := p.at[i.Step]
	if !ok {
		return
	}
	s := &p.steps[n]
	s.State, s.Attempts = page.Active, i.Attempt
	if i.Undoing {
		s.State = page.Undoing
	}
}

// end is told how it has ended.
func (p *progress) end(e saga.StepEvent) {
	n, ok := p.at[e.Info.Step]
	if !ok {
		return
	}
	s := &p.steps[n]
	s.Err = ""
	if e.Err != nil {
		s.Err = e.Err.Error()
	}
	switch {
	case e.Info.Undoing && e.Result == saga.Applied:
		s.State = page.Undone
	case e.Info.Undoing:
		s.State = page.Undoing // until it works
	case e.Result == saga.Applied:
		s.State = page.Done
	case e.Wait >= 0:
		s.State = page.Retrying
	default:
		s.State = page.Failed
	}
}
