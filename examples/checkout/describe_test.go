package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/saga"
)

func TestDescribe(t *testing.T) {
	oops := errors.New("oops")
	for want, data := range map[string]any{
		"1.2.3.4:5: breaker open, was closed: oops": breaker.Transition{Name: "1.2.3.4:5", From: breaker.Closed, To: breaker.Open, Cause: oops},
		"1.2.3.4:5: breaker closed, was half-open":  breaker.Transition{Name: "1.2.3.4:5", From: breaker.HalfOpen, To: breaker.Closed},
		"a-1: gone: expired":                        registry.Change{ID: "a-1", Reason: registry.ReasonExpired},
		"r: compensating: oops":                     saga.StatusEvent{Run: "r", To: saga.Compensating, Cause: oops},
		"r: completed":                              saga.StatusEvent{Run: "r", To: saga.Completed},
		"r: charge, attempt 2":                      saga.StepInfo{Run: "r", Step: "charge", Attempt: 2},
		"r: undo papers/label, attempt 1":           saga.StepInfo{Run: "r", Step: "papers/label", Attempt: 1, Undoing: true},
		"r: charge, attempt 2: unknown: oops": saga.StepEvent{
			Info: saga.StepInfo{Run: "r", Step: "charge", Attempt: 2}, Result: saga.Unknown, Err: oops,
		},
		"r: undo charge, attempt 1: applied": saga.StepEvent{
			Info: saga.StepInfo{Run: "r", Step: "charge", Attempt: 1, Undoing: true}, Result: saga.Applied,
		},
		"order 1: ann wants 2 x lamp":               lampOrder,
		"order 1: stuck":                            Ended{Order: lampOrder, Status: saga.Stuck},
		"order 1: stuck, perhaps told before":       Ended{Order: lampOrder, Status: saga.Stuck, Again: true},
		"stock-1 is dead":                           News{"stock-1 is dead", true},
		"notifier: given up after 5 attempts: oops": eventbus.Failure{Subscription: "notifier", Attempts: 5, Err: oops},
		"7": 7,
	} {
		assert.Equal(t, want, describe(data))
	}
}

// What has become of an instance, from its first word to its last.
func TestChanged(t *testing.T) {
	var all []string
	reg := registry.MustNew(registry.Config{Hooks: registry.Hooks{Change: func(c registry.Change) { all = append(all, changed(c)) }}})
	lease, err := reg.Register(t.Context(), registry.Instance{ID: "a-1", Service: "a", Addr: "1.2.3.4:5", TTL: -1})
	require.NoError(t, err)
	require.NoError(t, lease.SetHealth(registry.Critical, "on fire"))
	require.NoError(t, lease.SetHealth(registry.Passing, ""))
	require.NoError(t, lease.Update(registry.Instance{Addr: "1.2.3.4:6"}))
	require.NoError(t, lease.Deregister())
	require.NoError(t, reg.Close(t.Context()))
	assert.Equal(t, []string{"registered", "critical", "passing", "updated", "gone: deregistered"}, all)
}

// Errors as they are when they have been in the journal: text.
func TestReason(t *testing.T) {
	for text, want := range map[string]string{
		"balance: no instance available: breaker: circuit open": "all breakers are open",
		"balance: no instance available: no instance":           "nobody is there",
		"saga: step timed out: context deadline exceeded":       "no answer in time",
		"409 card declined": "card declined",
		"410 it was undone": "410 it was undone",
		"EOF":               "EOF",
	} {
		assert.Equal(t, want, reason(errors.New(text)))
	}
	assert.Equal(t, "no answer in time", reason(fmt.Errorf("charge: %w", context.DeadlineExceeded)))
	assert.Equal(t, "card declined", reason(&statusError{409, "card declined", time.Second}))
}
