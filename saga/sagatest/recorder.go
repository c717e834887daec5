package sagatest

import (
	"context"
	"slices"
	"sync"

	"github.com/mainstay-go/mainstay/saga"
)

// A Recorder notes what a run does, by hooks. The zero Recorder is ready. It is safe
// for concurrent use.
type Recorder struct {
	mu    sync.Mutex
	trace []string
}

// Hooks are to be set in a config. They note the end of every attempt.
func (r *Recorder) Hooks() saga.Hooks {
	return saga.Hooks{StepDone: func(_ context.Context, e saga.StepEvent) {
		verb := "do "
		if e.Info.Undoing {
			verb = "undo "
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.trace = append(r.trace, verb+e.Info.Step+" "+e.Result.String())
	}}
}

// Trace is a line for every attempt so far, for example "do reserve applied" or "undo
// reserve applied".
func (r *Recorder) Trace() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.trace)
}
