// Package breaker is a circuit breaker: it keeps callers from hammering a
// dependency that fails or hangs, tells them at once how long waiting is
// pointless, and lets them come back gently.
//
// It wraps any function ([Do], [Breaker.Run]) and any two-step protocol
// ([Breaker.Allow]); package breakerhttp wraps HTTP clients and handlers.
//
// # Quick start
//
//	// One for the whole program: it remembers.
//	var cards = breaker.MustNew("cards", breaker.Config{
//		Trip: breaker.FailureRate(0.5, 20, breaker.Within(10*time.Second)),
//	})
//
//	func chargeCard(ctx context.Context, order string) (string, error) {
//		receipt, err := breaker.Do(ctx, cards, func(ctx context.Context) (string, error) {
//			return charge(ctx, order)
//		})
//		if rejected := (*breaker.RejectedError)(nil); errors.As(err, &rejected) {
//			fmt.Println("not called; pointless for another", rejected.RetryAfter().Round(time.Second))
//		}
//		return receipt, err
//	}
//
// # Model
//
//	          rule's limit reached
//	Closed -------------------------> Open <-----------------+
//	  ^  ^                              | open time over,    | enough probes
//	  |  |     enough probes succeeded  v and a call comes   | failed or lost
//	  |  +--------------------------- HalfOpen --------------+
//	  |                                 | the same, with Ramp
//	  +--------- Recovering <-----------+
//	 ramp over
//
// Closed admits every call and counts outcomes in the windows of its rules
// ([Config.Trip]). Open rejects every call for the open time. HalfOpen admits
// a few calls, probes, each with a lease. Recovering is closed, but admits a
// growing share of the calls. ForcedOpen and ForcedClosed are pinned by an
// explicit call, with the automatic state waiting underneath.
//
// A stay is one uninterrupted period in one state. A permit is the right to
// make one call, issued by one stay; its outcome belongs to that stay, and is
// late once the stay is over. To trip is to open; to reset is to close with
// everything forgotten.
//
// # Guarantees
//
// A call is one Do, DoResult, Run or Allow. Package breakerhttp goes on with
// G42.
//
// Admission:
//
//   - G1: Closed and ForcedClosed admit every call, Open and ForcedOpen none,
//     Recovering a share. HalfOpen admits while fewer than Probes probes are in
//     flight: at every instant, under any concurrency.
//   - G2: Boundaries are >=. An open stay that began at t0 rejects until
//     t0+d-1ns and admits at t0+d; leases, ramps and StableAfter end at exactly
//     their length; an outcome exactly W old has left an exact Within(W) window.
//   - G3: No call waits, for a slot or for time.
//   - G4: If ctx is done on entry, a call returns context.Cause(ctx): no permit,
//     no transition, no count, no hook.
//   - G5: An open breaker turns half-open when the first call comes at or after
//     the end of the open time; that call is the first probe. State and Snapshot
//     say HalfOpen from that end on without changing anything, and the
//     Transition event comes with the call.
//   - G6: No wedge. With a caller after the open time the breaker reaches
//     half-open; with callers retrying and a ProbeLease that is not negative, no
//     probe can hold its slot longer than its lease.
//
// Reporting:
//
//   - G7: A call is reported at most once. Done, Record and Trip of one Permit
//     are idempotent, also from several goroutines at once.
//   - G8: An outcome belongs to the stay that admitted the call, and to the
//     moment the call ends. If that stay is over it adds one to Late and does
//     nothing else.
//   - G9: A panic in fn, or runtime.Goexit, is a failure whose Cause says so. It
//     is not recovered: value and stack reach the caller, and the slot is free
//     before they do.
//   - G10: An ignored outcome counts in no window and returns its slot. A permit
//     dropped unreported costs nothing in a closed stay and is covered by its
//     lease in a half-open one.
//   - G11: A rejection is never an outcome of the breaker that made it. fn runs
//     on the caller's goroutine with the caller's ctx, at most once; its value
//     and error are returned unchanged.
//
// Classification:
//
//   - G12: nil is Success, without asking Classify. DefaultClassify makes every
//     other error a Failure, except that these are Ignored: the caller cancelled
//     (ctx is done, not by a deadline, and err is context.Canceled or ctx's
//     cause), and err is a rejection by another breaker.
//   - G13: A deadline is a Failure, but for calls that began with less than
//     MinBudget and failed by their caller's own deadline: after any classifier,
//     these are Ignored. Budgets use system time.
//   - G14: A call that took at least a SlowRate threshold is slow, failed or
//     not. One that its caller gave up counts as slow too, in slow windows only;
//     one that is Ignored for another reason does not. In half-open a slow probe
//     is a failed probe.
//   - G15: DoResult's classify takes the place of Classify for that call. A
//     result without error that is judged a Failure gets a Cause that says so;
//     value and nil error are returned as they are.
//
// Opening:
//
//   - G16: Only a failure, a slow outcome, a failed or lost probe, or an
//     explicit call opens. A success that brings a rate to its minimum calls
//     does not.
//   - G17: ConsecutiveFailures(n) opens at the n-th failure with no success
//     between, whatever the time. Ignored outcomes neither count nor interrupt.
//   - G18: LastN is exact: outcomes are ordered by their end, and bad ones among
//     the last min(n, seen) are compared as integers. Rates are taken to six
//     decimals. (Of outcomes that end at the same time, each rule of an Any may
//     see another order.)
//   - G19: FailureCount over Within is exact. A rate over Within covers at most W
//     and at least W x (1-1/Buckets); a race can only overestimate it. An idle
//     window holds nothing.
//   - G20: Counters saturate. A new closed stay counts from zero.
//   - G21: The n-th opening in a row lasts min(OpenFor x Backoff^(n-1),
//     MaxOpenFor), then jitter. In a row: in between the breaker was not closed
//     for as long as StableAfter. A Trip with a time of its own has neither
//     jitter nor backoff. Arithmetic saturates.
//   - G22: The Cause of an opening is the error of the outcome that caused it.
//
// Half-open and recovering:
//
//   - G23: CloseAfter successful probes close the breaker at the report of the
//     last. It reopens as soon as CloseAfter out of CloseOf cannot be reached.
//   - G24: Probes limits calls in flight, CloseAfter decides closing.
//   - G25: A probe unreported for ProbeLease counts as failed when the next call
//     comes at or after the end of its lease; its later report is late. Progress
//     in the second half of the lease reports a success.
//   - G26: With Ramp, closing leads to Recovering, whose share grows linearly
//     from RampFrom to 1. Of any k arrivals in a row at a constant share f,
//     floor(kf) or ceil(kf) are admitted. The first call after Ramp makes it
//     Closed, counts kept.
//
// Explicit control:
//
//   - G27: Trip works from every automatic state; on an open breaker the later
//     end wins. ForceOpen rejects always. ForceClosed goes on counting and says
//     WouldOpen once per regular open time.
//   - G28: Auto goes on with the automatic state: closed or open where it was,
//     half-open and recovering as half-open. Trip under a forced state acts on
//     the automatic one. Reset ends all. Explicit calls that change no state
//     send no event.
//   - G29: Reconfigure changes nothing if the Config is invalid. Else state,
//     permits, current open time and backoff level survive, and so do the counts
//     of rules whose place, kind and window are the same. It never opens. A call
//     is classified by the Config that admitted it.
//
// Hooks:
//
//   - G30: Every transition is delivered once, in order, single-file, to the
//     Hooks in force when it happened; From of each is To of the one before. If
//     no delivery is under way, the hook has returned before the call that
//     caused the event does, and before the probe's fn runs.
//   - G31: Hooks may call every method. A panic in one is contained and counted.
//     A Goexit in one is counted, and ends its goroutine only after pending events
//     are delivered and its slot is returned.
//   - G32: A hook gets the ctx of the call that caused the event,
//     context.Background() for explicit calls.
//
// Time, concurrency, memory, misuse:
//
//   - G33: Of Config.Clock only Now and Since are used. There is no goroutine,
//     timer, ticker, channel or finalizer. No instant means "unset".
//   - G34: Time going backward lengthens nothing: an open stay, ramp or lease
//     that finds itself before its own begin starts over from now.
//   - G35: All methods may be used concurrently. State and Snapshot are pure
//     reads without a lock.
//   - G36: A healthy success while closed writes no shared memory (consecutive,
//     counts over Within, a full LastN without a bad outcome) or one striped word
//     (rate over Within). Calls, rejections and reads allocate nothing.
//   - G37: Memory does not grow with traffic or uptime.
//   - G38: Misuse (nil ctx, fn, Breaker or Group, a zero Breaker or Group) is an
//     error that says so, counted nowhere; methods without an error result panic.
//     All problems of a Config come in one error, each with field and value.
//   - G39: A rejection does not match its Cause under errors.Is. ErrOpen matches
//     Open and ForcedOpen, ErrTooManyProbes HalfOpen, ErrRejected all.
//
// Group:
//
//   - G40: Get returns one and the same breaker as long as the key is kept.
//     Concurrent first Gets make exactly one. A hit takes no lock.
//   - G41: Above Max, clean breakers are dropped, roughly the least recently
//     used first; others, and the one just made, never. Unused for IdleFor, any
//     breaker may go whose open time is over and that no explicit call pins. Both
//     happen when a key is added.
//
// # Time
//
// With a nil Clock a breaker uses system time, monotonic where the platform
// has it. It is lazy: half-open begins with the first call after the open time,
// a lease ends when the next call looks at it. That is right even if no timer
// ever ran, and leaves nothing to stop.
//
// # Errors
//
// A refused call returns a *[RejectedError]; [ErrRejected], [ErrOpen] and
// [ErrTooManyProbes] match it. A retry loop stops at a rejection unless
// RetryAfter is above 0 and below the time it has left. Put the breaker inside
// the retry and outside the timeout.
//
// # Testing
//
// In a testing/synctest bubble a breaker with a nil Clock runs on the bubble's
// time; a *clock.Mock of github.com/benbjohnson/clock as Config.Clock works
// too, but the deadlines of contexts stay on system time then. See the examples,
// and examples/testing for both side by side.
//
// # Cost
//
// A healthy Do costs about as much as a deferred function call and two clock-free
// loads; a rejection costs one clock read; rates over Within read the clock
// once per call, SlowRate, and Hooks.Done, twice. Nothing of this allocates.
// See BenchmarkDo, BenchmarkDoParallel, BenchmarkAllowDone, BenchmarkRejection,
// BenchmarkRead and BenchmarkGroupGet; examples/benchmarks compares with other
// libraries.
//
// A breaker with a ConsecutiveFailures rule takes about 600 bytes alone, and
// about 320 in a group, where the Config is shared. A LastN window takes 8 bytes
// more per bad outcome that opens (or per minimum call, if these are more), a
// count over Within the same, a rate over Within 8 bytes per bucket and stripe.
// TestAllocations and TestSizes hold these.
//
// A breaker is no bulkhead: while calls hang, rate x latency of them are
// admitted before the first result comes. Deadlines, a SlowRate rule or a limit
// on concurrency bound that.
package breaker
