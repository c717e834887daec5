package balance_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// What a call says about its endpoint, by its error.
func TestG26_Outcomes(t *testing.T) {
	const success, failure, neither = "success", "failure", "neither"
	errNotFound := errors.New("404")
	serious := func(err error) bool { return !errors.Is(err, errNotFound) }
	never := func(error) bool { return false }
	for name, c := range map[string]struct {
		err       error
		isFailure func(error) bool
		want      string
	}{
		"nil":                              {nil, nil, success},
		"an error":                         {errSick, nil, failure},
		"Canceled":                         {context.Canceled, nil, neither},
		"Canceled within":                  {fmt.Errorf("call: %w", context.Canceled), nil, neither},
		"DeadlineExceeded":                 {context.DeadlineExceeded, nil, failure},
		"DeadlineExceeded within":          {fmt.Errorf("call: %w", context.DeadlineExceeded), nil, failure},
		"no failure, says IsFailure":       {errNotFound, serious, success},
		"a failure, says IsFailure":        {errSick, serious, failure},
		"Canceled is one, says IsFailure":  {context.Canceled, serious, failure},
		"Canceled is none, says IsFailure": {context.Canceled, never, neither},
		"a deadline, says IsFailure":       {context.DeadlineExceeded, never, success},
		"nil is never asked about":         {nil, func(error) bool { return true }, success},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told []error
				gate := func(*registry.Endpoint) balance.Gate {
					return balance.GateFunc(func(context.Context) (func(error), error) {
						return func(err error) { told = append(told, err) }, nil
					})
				}
				_, b := with(t, balance.Config{
					Policy: balance.PeakEWMA{}, IsFailure: c.isFailure, Gate: gate,
					Outlier: &balance.Outlier{Consecutive: 2, MaxEjected: 1},
				}, instance("a"))
				p := pick(t, b)
				time.Sleep(time.Second)
				p.Done(c.err)
				m := members(b)["a"]
				assert.Equal(t, c.want == failure, m.Failures == 1)
				assert.Equal(t, c.want != neither, m.Latency == time.Second, "%v", m.Latency)
				if c.want == success {
					assert.Equal(t, []error{nil}, told)
				} else {
					assert.Equal(t, []error{c.err}, told)
				}

				// Of two failures around a success only one is in a row.
				if c.isFailure == nil {
					c.isFailure = func(err error) bool { return !errors.Is(err, context.Canceled) }
				}
				_, b = with(t, balance.Config{
					IsFailure: func(err error) bool { return errors.Is(err, errSick) || c.isFailure(err) },
					Outlier:   &balance.Outlier{Consecutive: 3, MaxEjected: 1},
				}, instance("a"))
				for _, err := range []error{errSick, c.err, errSick} {
					pick(t, b).Done(err)
				}
				assert.Equal(t, c.want == failure, members(b)["a"].Ejected)
				if c.want == neither {
					pick(t, b).Done(errSick)
					assert.True(t, members(b)["a"].Ejected, "the row was broken")
				}
			})
		})
	}
}

// A latency is the one that DoneAfter was told, or the time since the pick.
func TestG26_Latencies(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(balance.Pick)
		want time.Duration
	}{
		"Done":                   {func(p balance.Pick) { p.Done(nil) }, time.Second},
		"DoneAfter":              {func(p balance.Pick) { p.DoneAfter(nil, time.Minute) }, time.Minute},
		"DoneAfter negative":     {func(p balance.Pick) { p.DoneAfter(nil, -1) }, time.Second},
		"DoneAfter, failed":      {func(p balance.Pick) { p.DoneAfter(errSick, time.Minute) }, time.Minute},
		"DoneAfter, cancelled":   {func(p balance.Pick) { p.DoneAfter(context.Canceled, time.Minute) }, 0},
		"DoneAfter, quicker yet": {func(p balance.Pick) { p.DoneAfter(nil, time.Millisecond) }, time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			bothClocks(t, func(t *testing.T, clock registry.Clock, pass func(time.Duration)) {
				r := newRegistry(t, registry.Config{Clock: clock})
				register(t, r, instance("a"))
				b := newBalancer(t, r, balance.Config{Policy: balance.PeakEWMA{}})
				p := pick(t, b)
				pass(time.Second)
				c.end(p)
				assert.Equal(t, c.want, members(b)["a"].Latency)
			})
		})
	}
}

// Failing at once makes nobody look quick: the sample is the endpoint's own
// estimate or the mean of all, whichever is more, unless it took longer.
func TestG26_TheSampleOfAFailure(t *testing.T) {
	const e1 = 0.36788 // what is left of an estimate after 10 seconds
	for name, c := range map[string]struct {
		id         string
		wait, took time.Duration
		want       float64 // seconds
	}{
		"below the mean":     {"a", 0, 0, 2},
		"above the mean":     {"b", 0, 0, 3},
		"without a sample":   {"c", 0, 0, 2},
		"longer than all":    {"a", 0, time.Minute, 60},
		"longer than own":    {"a", 0, 1500 * time.Millisecond, 2},
		"longer than mean":   {"a", 0, 2500 * time.Millisecond, 2.5},
		"a first, and slow":  {"c", 0, 5 * time.Second, 5},
		"later, below":       {"a", 10 * time.Second, 0, e1 + 2*e1*(1-e1)},
		"later, above":       {"b", 10 * time.Second, 0, 3*e1 + 3*e1*(1-e1)},
		"later, without one": {"c", 10 * time.Second, 0, 2 * e1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, b := with(t, balance.Config{Policy: balance.PeakEWMA{}}, named("a", "b", "c")...)
				pickOf(t, b, "a").DoneAfter(nil, time.Second)
				pickOf(t, b, "b").DoneAfter(nil, 3*time.Second)
				time.Sleep(c.wait)
				pickOf(t, b, c.id).DoneAfter(errSick, c.took)
				assert.InDelta(t, c.want, members(b)[c.id].Latency.Seconds(), 0.001)
			})
		})
	}
}

// One that fails at once gets about its share of the calls. By its own time it
// would get every call for which it is drawn, which is half of them.
func TestG26_FailingFastAttractsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b := with(t, balance.Config{Policy: balance.PeakEWMA{}, Rand: seeded(26)}, named("bad", "b", "c", "d")...)
		got, random := map[string]int{}, seeded(62)
		for range 1000 {
			p := pick(t, b)
			got[p.Endpoint().ID()]++
			if p.Endpoint().ID() == "bad" {
				p.Done(errSick)
				continue
			}
			time.Sleep(5*time.Millisecond + time.Duration(random()%10_000_000))
			p.Done(nil)
		}
		assert.Less(t, got["bad"], 300, "of 1000 calls to 4 endpoints")
	})
}
