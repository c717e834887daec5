package breakerbench

import (
	"context"
	"errors"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

type failsafeCB = circuitbreaker.CircuitBreaker[int]

// A failsafeKind is how a breaker is set up, and how to see that it is.
type failsafeKind struct {
	build func() failsafeCB
	calls func(calls int) uint // how many the window holds; nil: up to all of them
	most  int                  // failures that open; 0: more than calls went well
}

var (
	failsafeStreak = failsafeKind{
		build: func() failsafeCB {
			return circuitbreaker.NewBuilder[int]().WithFailureThreshold(limit).WithDelay(openFor).WithSuccessThreshold(3).Build()
		},
		calls: func(calls int) uint { return uint(min(calls, limit)) },
		most:  limit,
	}
	failsafeCount = failsafeKind{
		build: func() failsafeCB {
			return circuitbreaker.NewBuilder[int]().WithFailureThresholdRatio(failureRate*windowCalls, windowCalls).
				WithDelay(openFor).WithSuccessThreshold(3).Build()
		},
		calls: func(calls int) uint { return uint(min(calls, windowCalls)) },
		most:  failureRate * windowCalls,
	}
	failsafeTime = failsafeKind{
		build: func() failsafeCB {
			return circuitbreaker.NewBuilder[int]().WithFailureRateThreshold(failureRate, minCalls, windowTime).
				WithDelay(openFor).WithSuccessThreshold(3).Build()
		},
	}
)

func (k failsafeKind) check(cb failsafeCB) func(int) error {
	return func(calls int) error {
		counted := cb.Metrics().Executions()
		var err error
		if k.calls != nil {
			err = want(counted == k.calls(calls), "%d calls in the window", counted)
		} else {
			err = want(counted > 0 && counted <= uint(calls), "%d calls in the window", counted)
		}
		most := k.most
		if most == 0 {
			most = calls + minCalls
		}
		if most < fewCalls {
			err = errors.Join(err, opens(1, most, cb.IsOpen, cb.RecordFailure))
		}
		return err
	}
}

func failsafeOpen() failsafeCB {
	cb := failsafeStreak.build()
	for range limit {
		cb.RecordFailure()
	}
	return cb
}

func failsafeRejects(cb failsafeCB) func(int) error {
	return func(int) error {
		_, err := failsafe.With[int](cb).Get(passPlain)
		return errors.Join(
			want(errors.Is(err, circuitbreaker.ErrOpen), "not rejected: %v", err),
			want(cb.IsOpen(), "state %v", cb.State()),
		)
	}
}

func failsafeGet(k failsafeKind) bench.Case {
	return bench.Case{Name: "failsafe executor", New: func() bench.Run {
		cb := k.build()
		return bench.Run{Loop: executorLoop(failsafe.With[int](cb)), Check: k.check(cb)}
	}}
}

func failsafeRejected() bench.Case {
	return bench.Case{Name: "failsafe executor", New: func() bench.Run {
		cb := failsafeOpen()
		return bench.Run{Loop: executorLoop(failsafe.With[int](cb)), Check: failsafeRejects(cb), Want: bench.AllFail}
	}}
}

func executorLoop(executor failsafe.Executor[int]) bench.Loop {
	fn := passPlain
	return func(n int) (passed, failed int) {
		for range n {
			v, err := executor.Get(fn)
			if err != nil {
				failed++
			}
			passed += v
		}
		return passed, failed
	}
}

// failsafeCancellable hands each call its context, as the library wants it: to
// a copy of the executor.
func failsafeCancellable(k failsafeKind) bench.Case {
	return bench.Case{Name: "failsafe executor, WithContext", New: func() bench.Run {
		cb := k.build()
		executor, fn := failsafe.With[int](cb), passPlain
		ctx, cancel := context.WithCancel(context.Background())
		return bench.Run{Check: k.check(cb), Close: cancel, Loop: func(n int) (passed, failed int) {
			for range n {
				v, err := executor.WithContext(ctx).Get(fn)
				if err != nil {
					failed++
				}
				passed += v
			}
			return passed, failed
		}}
	}}
}

func failsafeMixed(k failsafeKind, pattern []bool) bench.Case {
	return bench.Case{Name: "failsafe executor", New: func() bench.Run {
		cb := k.build()
		executor, fns := failsafe.With[int](cb), choose(pattern, passPlain, failPlain)
		return bench.Run{Check: k.check(cb), Want: bench.Pattern(pattern), Loop: func(n int) (passed, failed int) {
			next := 0
			for range n {
				v, err := executor.Get(fns[next])
				if err != nil {
					failed++
				}
				passed += v
				if next++; next == len(fns) {
					next = 0
				}
			}
			return passed, failed
		}}
	}}
}

func failsafePermit(k failsafeKind) bench.Case {
	return bench.Case{Name: "failsafe permit + record", New: func() bench.Run {
		cb := k.build()
		return bench.Run{Loop: recordLoop(cb), Check: k.check(cb)}
	}}
}

func failsafePermitRejected() bench.Case {
	return bench.Case{Name: "failsafe permit", New: func() bench.Run {
		cb := failsafeOpen()
		return bench.Run{Loop: recordLoop(cb), Check: failsafeRejects(cb), Want: bench.AllFail}
	}}
}

func recordLoop(cb failsafeCB) bench.Loop {
	fn := passPlain
	return func(n int) (passed, failed int) {
		for range n {
			if !cb.TryAcquirePermit() {
				failed++
				continue
			}
			v, err := fn()
			if err != nil {
				cb.RecordError(err)
			} else {
				cb.RecordSuccess()
			}
			passed += v
		}
		return passed, failed
	}
}

func failsafeState(build func() failsafeCB, is circuitbreaker.State) bench.Case {
	return bench.Case{Name: "failsafe State", New: func() bench.Run {
		cb := build()
		return bench.Run{Loop: func(n int) (passed, failed int) {
			for range n {
				if cb.State() == is {
					passed++
				}
			}
			return passed, failed
		}}
	}}
}

func failsafeMetrics() bench.Case {
	return bench.Case{Name: "failsafe State + two Metrics", New: func() bench.Run {
		cb := failsafeCount.build()
		recordLoop(cb)(windowCalls)
		return bench.Run{Loop: func(n int) (passed, failed int) {
			for range n {
				if m := cb.Metrics(); cb.IsClosed() && m.Executions() == windowCalls && m.Failures() == 0 {
					passed++
				}
			}
			return passed, failed
		}}
	}}
}
