// Package saga runs operations that have effects in several places and no
// transaction around them: in steps, each with a compensation that undoes it.
//
// [Saga.Run] executes a saga in memory. Package saga/durable has an engine, which
// executes the same definitions so that they survive the process, on a store in memory
// or on the files of saga/filestore. Package saga/sagatest finds the bugs in them.
//
// # Quick start
//
//	var checkout = saga.MustNew("checkout", []saga.Step[Order]{
//		{Name: "reserve", Do: reserve, Undo: release, Timeout: 2 * time.Second},
//		{Name: "charge", Do: charge, Undo: refund, Retry: saga.Retry{Attempts: 4}},
//		{Name: "ship", Do: ship, Probe: shipped, Pivot: true},
//		{Name: "mail", Do: mail}, // after the pivot: tried again, never undone
//	})
//
//	err := checkout.Run(ctx, &order) // nil: all is done
//
// # Model
//
// A [Saga] is a definition, a run one execution of it on one state. A step is an
// action, Do, with its compensation, Undo. The outcome of an attempt is applied,
// rejected (certainly no effect, see [Reject]) or unknown: an error, a timeout and a
// panic say nothing about what has happened elsewhere. An unknown outcome taints
// its step. When a step fails for good the run goes back: the steps that are
// applied or tainted are undone, latest first. So a lost answer is undone too, and
// an Undo has to accept that there is nothing to undo.
//
// The pivot is the point of no return. Before it a run can go back, from then on
// it only goes forward: steps are tried until they succeed. A run that can do
// neither is stuck, and waits for somebody to decide.
//
// Steps may be groups: [Step].Parallel on copies of the state, [Sub] for a saga
// within, [ForEach] for one per item. [Sleep] waits, [Await] waits for a signal.
//
// # Guarantees
//
// G31 to G44 and G46 to G49 are those of package durable, which keeps these too, G50 and
// G51 those of filestore.
//
//   - G1: New reports every problem of a definition at once: names that are
//     missing, malformed or used twice, no step, none or two kinds in a step, fields
//     that its kind does not use, Undo on the pivot or after it, two pivots, a pivot
//     within Parallel or ForEach, ReadOnly with Undo or Pivot, Merge where it is
//     missing or useless, a missing Clone, bad numbers. The steps of a Sub count as
//     if they stood in its place.
//   - G2: A Saga never changes, and may run any number of times at once. The number
//     of steps costs no depth of the stack.
//   - G3: Steps run in the order of the list. One starts when the one before it is
//     applied or left out.
//   - G4: With actions T and compensations C a run is T1..Tn, or T1..Tj Cj..C1 with
//     j < n and, if there is a pivot p, j < p. A C may also run for a step that is
//     tainted; steps without Undo leave gaps; within groups any order is lawful
//     that respects the children's own; retries repeat a T or C with the same key.
//     No T follows a C. A run that is stuck is the beginning of such a history.
//   - G5: Do that returns nil is applied, even if its time was over. An error with
//     Reject inside is rejected. Everything else is unknown. Classify is asked about
//     errors that carry neither Reject nor RetryAfter; nil from it means applied,
//     or undone.
//   - G6: Rejected attempts are not repeated unless there is a RetryAfter; unknown
//     ones are. The n-th wait is Wait*Factor^(n-1), at most MaxWait, with jitter;
//     that of RetryAfter is taken as it is. If the next attempt could not begin
//     before the deadline of the run the step fails at once.
//   - G7: By default there are 1 attempt of Do and 3 of Undo. A tainted pivot and
//     the steps after the pivot are limited by the step's own Retry alone.
//   - G8: A step that has failed for good is undone if it is tainted, whatever its
//     last error says, and is not undone if it is not. Steps that are ReadOnly are
//     never tainted.
//   - G9: Probe is asked whenever the next decision rests on an unknown outcome:
//     before another attempt and before going back. Applied settles the step,
//     Rejected takes the taint away, Unknown, an error and a panic change nothing.
//     It has the step's Timeout and the action's Info.
//   - G10: Idempotency keys are equal for all attempts of an action or of a
//     compensation and different for anything else, at most 255 bytes of visible
//     ASCII. An Undo knows the key of its action.
//   - G11: There is one state, which goes through the steps: what Do wrote before it
//     failed is kept. Undo sees the state as it is then.
//   - G12: When is asked at most once in a run.
//   - G13: A child of Parallel has a Clone of the state as it was when the group
//     began. Its Merge is called once when its Do has settled, whatever the outcome,
//     never two at a time. Undo of a child gets a copy of the state, and what it
//     writes is dropped.
//   - G14: When a child fails for good the contexts of its siblings end, those that
//     have not begun do not, and the run waits for all. Then the children that are
//     applied or tainted are undone at the same time, and after that what was before
//     the group. The first failure is Error.Err.
//   - G15: A failure within a Sub or an item fails the run. in and items are called
//     once, out once when all is done. A Sub is undone as one, in its own reverse
//     order. The Timeout of its Spec counts from its start.
//   - G16: In memory a saga with an Await is refused before anything runs.
//   - G17: The decision to go back is final: no Do, When, Merge or the like is called
//     after it. Contexts of Undo have the caller's values and not its end.
//   - G18: Undo runs for each step that is applied or tainted and has one, in reverse
//     order, each when the one before has returned.
//   - G19: An Undo that fails is tried again by UndoRetry; Reject, or no attempt
//     left, is final. The earlier ones run all the same, and Run returns ErrStuck with
//     all that failed.
//   - G20: When the pivot is applied no end of the context, no Timeout and no failure
//     undoes anything, and contexts no longer follow the caller's.
//   - G21: A pivot that is rejected and not tainted is a failure like any other. A
//     tainted one is tried again, and only success or Probe settles it. If there is
//     no attempt left, or the run's time is over, the run is stuck (ReasonPivotUnknown).
//   - G22: A step after the pivot is tried again; Reject, or its own Attempts used
//     up, makes the run stuck (ReasonForwardFailed).
//   - G23: Compensation as a whole, and the work from the pivot on once the context
//     has ended or an attempt has failed, may take RunConfig.Grace. Then contexts
//     end with cause context.DeadlineExceeded, nothing more starts, and the error is
//     ErrStuck and lists what was not done.
//   - G24: If ctx has ended before Run, nothing runs. If it ends before the pivot is
//     applied, the context of the step ends, there is no further attempt, and the
//     run goes back; the error Is the cause. When the last step is applied the run
//     is completed, whatever has happened to ctx.
//   - G25: Run waits for every function it has called, also one that ignores its
//     context. Contexts of steps end with cause context.DeadlineExceeded or the
//     sibling's error. With a Clock they have no Deadline but the
//     caller's.
//   - G26: Spec.Timeout ends the way forward as ctx would.
//   - G27: An instant has come when now is not before it, whether or not a timer has
//     fired. Extreme durations do not overflow.
//   - G28: A panic of Do, When, Merge, Clone, in, out, items or at is no matter of
//     trying again: before the pivot the run goes back, from it on it is stuck. A
//     panic of Undo is a failed attempt. If the error of Run holds one, Run panics
//     with that *Error instead, after all compensation.
//   - G29: runtime.Goexit on the goroutine of Run compensates first. On one of ours
//     it is a PanicError.
//   - G30: Failures are one *Error. errors.Is and As see Err alone; failed
//     compensations are listed. State and keys are in no error and no drawing, and
//     drawings escape names.
//   - G45: Hooks run outside locks, in order for each step, at most once; one that
//     panics changes nothing. Around wraps every attempt, inside of its timeout; what
//     it returns is the result.
//   - G52: Misuse is an error before any effect, and no panic: a nil context or state,
//     a nil or zero Saga, Engine, Run or filestore.Store, a nil MemoryStore, an ID that
//     is too long, or empty where there has to be one, a number of a config that makes
//     no sense, a saga that is not registered. Must forms, and Stats of a Store, panic
//     with the error.
//
// # Time
//
// All timing is on RunConfig.Clock, which replaces system time for tests: a *clock.Mock
// fits. Contexts of steps have no Deadline then but the caller's; their cause is
// context.DeadlineExceeded all the same. Inside a testing/synctest bubble leave it nil.
// A run that has neither timeouts nor waits nor hooks never looks at the clock. Run
// starts no goroutine but for children of groups.
//
// # Errors
//
// An [*Error] says how a run ended; ErrStuck is in it if somebody has to decide. What
// ended the way forward is Error.Err.
//
// # Testing
//
// Fakes for Do and Undo are functions, and RunConfig.Rand makes waits repeatable. Run
// blocks, so that a Mock is moved by another goroutine; examples/testing has the same
// tests with one and in a bubble. Whether steps bear to be repeated, and compensations that there is nothing to undo, Explore of
// package sagatest finds out: it has a saga fail and crash everywhere. CheckLaw there
// checks a journal, and a FaultStore fails as a test says.
//
// # Cost
//
// Plain steps that succeed, which is all of most runs, are simply called: up to five of
// them take one allocation. The rest is set up when something else happens: a failure of
// the last of three takes four. See BenchmarkRun and TestAllocations. How that compares
// with other ways is in examples/benchmarks/RESULTS.md.
package saga
