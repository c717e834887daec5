package saga

import (
	"context"
	"errors"
	"time"
)

// A Step is a part of a saga: a named action with its compensation, or a group of
// steps. Exactly one of Do, Parallel, or a kind set by [Await], [Sleep],
// [SleepUntil], [Sub] and [ForEach] is there. The fields below that a kind does not
// use have to be zero.
type Step[S any] struct {
	// Name is required: 1 to 128 bytes of printable UTF-8 without "/", unique
	// among siblings.
	Name string

	// Do is the action. Nil: it is applied. An error with [Reject] inside: it
	// certainly had no effect. Any other error: nobody knows. It may be called
	// again, with the same [StepInfo].Key, and has to stop when ctx ends.
	Do func(ctx context.Context, s *S) error

	// Undo is the compensation. It is called if Do was applied or may have been,
	// so it has to accept that there is nothing to undo. Nil: there never is.
	Undo func(ctx context.Context, s *S) error

	// Probe asks the other side whether Do took effect, whenever that has to be
	// known and is not. It may write into s what Do would have. An error or
	// Unknown changes nothing. It may take as long as an attempt of Do. Nil: nobody
	// can tell.
	Probe func(ctx context.Context, s *S) (Outcome, error)

	// When decides whether there is such a step in this run. It is asked once.
	// Nil: there is.
	When func(s *S) bool

	// Classify turns an error of Do or Undo that carries neither Reject nor
	// RetryAfter into one that does, or into nil: it is done ("already exists").
	// Nil: Spec.Classify.
	Classify func(err error) error

	// Retry is for Do, UndoRetry for Undo.
	Retry, UndoRetry Retry

	// Timeout and UndoTimeout are how long one attempt may take. Zero: no limit
	// in memory, Config.StepTimeout in the engine; UndoTimeout: Timeout.
	// Negative: no limit.
	Timeout, UndoTimeout time.Duration

	// Pivot makes the step the point of no return: before it a run can go back,
	// from then on only forward. At most one in a saga.
	Pivot bool

	// ReadOnly tells that Do has no effect, so that there is nothing to undo,
	// whatever became of it.
	ReadOnly bool

	// Parallel are steps that run at the same time, each on a copy of the state,
	// see Spec.Clone. At most Limit of them; zero or negative: all.
	Parallel []Step[S]
	Limit    int

	// Merge copies what the step has written from its copy of the state, src, to
	// that of the group, dst. It is for children of Parallel and required there;
	// see [NoMerge].
	Merge func(dst, src *S)

	// Was are former names of the step, of runs that began with them.
	Was []string

	special *special // set by Await, Sleep, SleepUntil, Sub and ForEach
}

// A special is what a step does instead of Do. States are pointers, *S.
type special struct {
	kind   Kind
	bad    error // what is wrong with the arguments
	signal func() any
	apply  func(ctx context.Context, s, signal any) error
	sleep  time.Duration
	until  func(s any) time.Time
	sub    *program
	in     func(s any) any
	out    func(s, end any)
	items  func(s any) []any
	outs   func(s any, ends []any)
}

// A Kind is what a step does.
type Kind string

// The kinds of steps.
const (
	KindDo       Kind = "do"
	KindParallel Kind = "parallel"
	KindAwait    Kind = "await"
	KindSleep    Kind = "sleep"
	KindSub      Kind = "sub"
	KindForEach  Kind = "foreach"
)

// NoMerge is the Merge of a child that writes nothing that others need.
func NoMerge[S any](_, _ *S) {}

// Await makes a step that waits for a signal and applies it, as an action that may
// have an Undo and the like. The first signal for its path counts, also one that
// came before the step was reached. Timeout is the longest wait, zero no limit; a
// signal that does not come is a rejection with context.DeadlineExceeded. Attempts of
// apply, and of Undo without an UndoTimeout, have Config.StepTimeout. Only the
// engine has signals: in memory a saga with an Await is refused.
func Await[S, T any](step Step[S], apply func(ctx context.Context, s *S, signal T) error) Step[S] {
	k := &special{kind: KindAwait, signal: func() any { return new(T) }}
	if apply == nil {
		k.bad = errors.New("apply is nil, want a function")
	}
	k.apply = func(ctx context.Context, s, signal any) error { return apply(ctx, s.(*S), *signal.(*T)) }
	return step.as(k)
}

// Sleep makes a step that does nothing for d. Zero and negative: it is done at
// once.
func Sleep[S any](step Step[S], d time.Duration) Step[S] {
	return step.as(&special{kind: KindSleep, sleep: d})
}

// SleepUntil makes a step that does nothing until an instant, for which at is asked
// once.
func SleepUntil[S any](step Step[S], at func(s *S) time.Time) Step[S] {
	k := &special{kind: KindSleep, until: func(s any) time.Time { return at(s.(*S)) }}
	if at == nil {
		k.bad = errors.New("at is nil, want a function")
	}
	return step.as(k)
}

// Sub makes a step of a saga, which has a state of its own: in makes it, once, and
// out takes from it what is needed, once, when all its steps are done; nil: nothing
// is. It is undone as one, in its own reverse order. The Timeout of its Spec counts
// from its start. What in returns must share no memory with s.
func Sub[S, T any](step Step[S], sub *Saga[T], in func(s *S) T, out func(s *S, end T)) Step[S] {
	k := &special{kind: KindSub}
	switch {
	case sub == nil || sub.p == nil:
		k.bad = errors.New("sub is nil or zero, want a Saga")
		return step.as(k)
	case in == nil:
		k.bad = errors.New("in is nil, want a function")
	}
	k.sub = sub.p
	k.in = func(s any) any {
		t := in(s.(*S))
		return &t
	}
	if out != nil {
		k.out = func(s, end any) { out(s.(*S), *end.(*T)) }
	}
	return step.as(k)
}

// ForEach makes a step of a saga that runs once for each of some items, which are
// asked for once, at most Limit at a time; zero: 16; negative: all. Each has a
// state of its own, beginning with the item. out gets the states at the end, in
// order of the items, once; nil: nobody needs them. No items: it is done. What
// items returns must share no memory with s.
func ForEach[S, T any](step Step[S], items func(s *S) []T, sub *Saga[T], out func(s *S, ends []T)) Step[S] {
	k := &special{kind: KindForEach}
	switch {
	case sub == nil || sub.p == nil:
		k.bad = errors.New("sub is nil or zero, want a Saga")
		return step.as(k)
	case items == nil:
		k.bad = errors.New("items is nil, want a function")
	}
	k.sub = sub.p
	k.items = func(s any) []any {
		list := items(s.(*S))
		states := make([]any, len(list))
		for i := range list {
			states[i] = &list[i]
		}
		return states
	}
	if out != nil {
		k.outs = func(s any, ends []any) {
			list := make([]T, len(ends))
			for i, end := range ends {
				list[i] = *end.(*T)
			}
			out(s.(*S), list)
		}
	}
	return step.as(k)
}

// as makes a step one of a kind; of two kinds none is right.
func (s Step[S]) as(k *special) Step[S] {
	if s.special != nil {
		k.bad = errors.New("it has two kinds, " + string(s.special.kind) + " and " + string(k.kind) + ", want one")
	}
	s.special = k
	return s
}
