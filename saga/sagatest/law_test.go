package sagatest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

// record makes a journal of lines "kind step", and of what follows them.
func record(status saga.Status, lines ...string) *durable.Record {
	rec := &durable.Record{Head: durable.Head{Status: status}}
	for i, line := range lines {
		kind, rest, _ := strings.Cut(line, " ")
		e := durable.Event{N: i + 1, Kind: kind}
		e.Step, rest, _ = strings.Cut(rest, " ")
		e.Tainted = rest == "tainted"
		if rest == "off" {
			e.Outcome = saga.Rejected
		}
		rec.Events = append(rec.Events, e)
	}
	return rec
}

// K8, G4: what is lawful, and what is not.
func TestK8_CheckLaw(t *testing.T) {
	do := func(name string) saga.StepPlan { return saga.StepPlan{Name: name, Kind: saga.KindDo, Undo: true} }
	read := saga.StepPlan{Name: "r", Kind: saga.KindDo, ReadOnly: true}
	pivot := saga.StepPlan{Name: "p", Kind: saga.KindDo, Pivot: true}
	group := saga.StepPlan{Name: "g", Kind: saga.KindParallel, Children: []saga.StepPlan{do("x"), do("y")}}
	sub := saga.StepPlan{Name: "s", Kind: saga.KindSub, Children: []saga.StepPlan{do("x"), do("y")}}
	items := saga.StepPlan{Name: "i", Kind: saga.KindForEach, Children: []saga.StepPlan{do("x"), do("y")}}
	maybe := do("m")
	maybe.When = true
	for name, c := range map[string]struct {
		plan []saga.StepPlan
		rec  *durable.Record
		want string // in the error; "": lawful
	}{
		"completed":          {[]saga.StepPlan{do("a"), do("b")}, record(saga.Completed, "created", "started a", "done a", "started b", "failed b tainted", "started b", "done b", "ended"), ""},
		"compensated":        {[]saga.StepPlan{do("a"), do("b")}, record(saga.Compensated, "created", "started a", "done a", "started b", "failed b tainted", "aborting b", "undo-started b", "undo-done b", "undo-started a", "undo-failed a", "undo-started a", "undo-done a"), ""},
		"rejected":           {[]saga.StepPlan{do("a")}, record(saga.Compensated, "started a", "failed a", "aborting a"), ""},
		"under way":          {[]saga.StepPlan{do("a"), do("b")}, record(saga.Running, "created", "started a"), ""},
		"left out":           {[]saga.StepPlan{maybe, do("b")}, record(saga.Completed, "decided m off", "started b", "done b"), ""},
		"children any order": {[]saga.StepPlan{group}, record(saga.Completed, "started g/y", "started g/x", "done g/y", "done g/x", "done g"), ""},
		"items":              {[]saga.StepPlan{items}, record(saga.Completed, "started i/1/x", "started i/0/x", "done i/1/x", "done i/0/x", "started i/1/y", "done i/1/y", "started i/0/y", "done i/0/y", "done i"), ""},
		"read and pivot":     {[]saga.StepPlan{read, pivot}, record(saga.Stuck, "started r", "done r", "started p", "failed p tainted", "stuck p"), ""},
		"undone late":        {[]saga.StepPlan{do("a"), do("b")}, record(saga.Compensated, "done a", "done b", "aborting", "undo-started b", "undo-failed b", "undo-started a", "undo-done a", "stuck b", "operator", "undo-started b", "undo-done b", "ended"), ""},
		"skipped":            {[]saga.StepPlan{do("a"), do("b")}, record(saga.Completed, "done a", "started b", "failed b tainted", "stuck b", "operator b", "ended"), ""},
		"skipped, back":      {[]saga.StepPlan{do("a")}, record(saga.Compensated, "done a", "aborting", "undo-started a", "undo-failed a", "stuck a", "operator a", "ended"), ""},
		"aborted":            {[]saga.StepPlan{do("a"), do("b")}, record(saga.Compensated, "done a", "operator", "undo-started a", "undo-done a", "ended"), ""},

		"aborted after the pivot":    {[]saga.StepPlan{do("a"), pivot}, record(saga.Compensating, "done a", "done p", "operator", "undo-started a"), "does not go back"},
		"back after a skipped pivot": {[]saga.StepPlan{do("a"), pivot}, record(saga.Compensating, "done a", "started p", "stuck p", "operator p", "aborting a"), "pivot is applied"},
		"undone late by itself":      {[]saga.StepPlan{do("a"), do("b")}, record(saga.Running, "done a", "done b", "aborting", "undo-failed b", "undo-done a", "undo-done b"), "after that of a"},

		"a step is missing":      {[]saga.StepPlan{do("a"), do("b")}, record(saga.Completed, "started a", "done a"), "b is not done"},
		"a child is missing":     {[]saga.StepPlan{group}, record(saga.Completed, "started g/x", "done g/x", "done g"), "g/y is not done"},
		"went back and is done":  {[]saga.StepPlan{do("a")}, record(saga.Completed, "started a", "done a", "aborting a"), "went back"},
		"forward after back":     {[]saga.StepPlan{do("a"), do("b")}, record(saga.Running, "aborting a", "started b"), "goes back already"},
		"done after back":        {[]saga.StepPlan{do("a")}, record(saga.Running, "started a", "aborting a", "done a"), "goes back already"},
		"back after the pivot":   {[]saga.StepPlan{do("a"), pivot}, record(saga.Compensating, "started a", "done a", "started p", "done p", "aborting a"), "pivot is applied"},
		"done twice":             {[]saga.StepPlan{do("a")}, record(saga.Running, "done a", "done a"), "so says event 1"},
		"undone twice":           {[]saga.StepPlan{do("a")}, record(saga.Running, "done a", "aborting a", "undo-done a", "undo-done a"), "so says event 3"},
		"wrong order":            {[]saga.StepPlan{do("a"), do("b")}, record(saga.Running, "done b", "done a"), "after that of b"},
		"wrong order back":       {[]saga.StepPlan{do("a"), do("b")}, record(saga.Running, "done a", "done b", "aborting b", "undo-done a", "undo-done b"), "after that of a"},
		"within, wrong order":    {[]saga.StepPlan{sub}, record(saga.Running, "done s/y", "done s/x"), "after that of s/y"},
		"of an item":             {[]saga.StepPlan{items}, record(saga.Running, "done i/0/y", "done i/0/x"), "after that of i/0/y"},
		"around before within":   {[]saga.StepPlan{sub}, record(saga.Running, "done s", "done s/x"), "after that of s"},
		"undone but not done":    {[]saga.StepPlan{do("a"), do("b")}, record(saga.Running, "aborting a", "undo-started b"), "neither applied nor tainted"},
		"undone without a turn":  {[]saga.StepPlan{do("a")}, record(saga.Running, "done a", "undo-started a"), "does not go back"},
		"not undone":             {[]saga.StepPlan{do("a")}, record(saga.Compensated, "done a", "aborting a"), "a is not undone"},
		"tainted and not undone": {[]saga.StepPlan{do("a")}, record(saga.Compensated, "started a", "failed a tainted", "aborting a"), "a is not undone"},
		"unknown":                {[]saga.StepPlan{do("a")}, record(saga.Running, "started z"), "no such step"},
		"no record":              {nil, nil, "nil Record"},
	} {
		t.Run(name, func(t *testing.T) {
			err := sagatest.CheckLaw(c.plan, c.rec)
			if c.want == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, c.want)
		})
	}
}
