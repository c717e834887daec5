package balance_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// G35: of several refusals the error wraps the last, not the first: it is how
// things are now.
func TestG35_TheLastRefusal(t *testing.T) {
	eachPolicy(t, func(t *testing.T, policy balance.Policy) {
		var refusals []error
		_, b := with(t, balance.Config{Policy: policy, Gate: func(e *registry.Endpoint) balance.Gate {
			return balance.GateFunc(func(context.Context) (func(error), error) {
				refusals = append(refusals, fmt.Errorf("refusal %d, by %s", len(refusals), e.ID()))
				return nil, refusals[len(refusals)-1]
			})
		}}, named("a", "b", "c", "d")...)
		for range 5 {
			refusals = nil
			_, err := b.Pick(bg)
			require.Len(t, refusals, 4)
			var e *balance.Error
			require.ErrorAs(t, err, &e)
			require.ErrorIs(t, err, balance.ErrNoInstances)
			assert.Same(t, refusals[3], e.Err)
			for _, before := range refusals[:3] {
				require.NotErrorIs(t, err, before)
			}
		}
	})
}

// G35: one that refuses and is followed by one that admits leaves nothing behind.
func TestG35_ARefusalIsForgotten(t *testing.T) {
	gates := newGateLog("a")
	r, b := with(t, balance.Config{Policy: balance.RoundRobin{}, Gate: gates.gate}, named("a", "b")...)
	for range 4 {
		pick(t, b).Done(nil)
	}
	require.Positive(t, gates.asked["a"])
	deregister(t, r, "a")
	deregister(t, r, "b")
	_, err := b.Pick(bg)
	require.ErrorIs(t, err, balance.ErrNoInstances)
	require.NotErrorIs(t, err, errGate)
}

// G25, G35: when IsFailure and the gate learn what came of a call it is over for
// everybody else, so what they do about that does not have to wait for it. A gate
// may take an endpoint out that has failed too often.
func TestG35_TheCallIsOverWhenTheGateIsTold(t *testing.T) {
	for name, end := range map[string]func(balance.Pick, error){
		"Done":      balance.Pick.Done,
		"DoneAfter": func(p balance.Pick, err error) { p.DoneAfter(err, usual) },
	} {
		for _, outlier := range []*balance.Outlier{nil, {Consecutive: 1, MaxEjected: -1}} {
			t.Run(fmt.Sprint(name, ", ejects ", outlier != nil), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var r *registry.Registry
					var b *balance.Balancer
					var seen []string
					look := func(who string) {
						seen = append(seen, fmt.Sprint(who, " ", inFlight(r)))
					}
					r, b = with(t, balance.Config{
						Outlier:   outlier,
						IsFailure: func(error) bool { look("IsFailure"); return true },
						Gate: func(e *registry.Endpoint) balance.Gate {
							return balance.GateFunc(func(context.Context) (func(error), error) {
								return func(error) {
									look("done")
									ctx, cancel := context.WithTimeout(bg, time.Minute)
									defer cancel()
									assert.NoError(t, r.Drain(ctx, orders, e.ID()), "nothing is left to wait for")
								}, nil
							})
						},
					}, instance("a"))
					p := pick(t, b)
					require.Equal(t, map[string]int{"a": 1}, inFlight(r))
					begin := time.Now()
					end(p, errSick)
					assert.Equal(t, []string{"IsFailure map[]", "done map[]"}, seen)
					assert.Zero(t, time.Since(begin))
					refused(t, b, balance.Query{})
				})
			})
		}
	}
}

// G22, G35: a drain does not wait for a gate that takes its time, nor for one that
// panics.
func TestG35_ADrainDoesNotWaitForTheGate(t *testing.T) {
	for name, c := range map[string]struct{ panics bool }{"slow": {false}, "panics": {true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				r, b := with(t, balance.Config{Gate: func(*registry.Endpoint) balance.Gate {
					return balance.GateFunc(func(context.Context) (func(error), error) {
						return func(error) {
							<-release
							if c.panics {
								panic(errSick)
							}
						}, nil
					})
				}}, instance("a"))
				p := pick(t, b)
				drained := async(func() error { return r.Drain(bg, orders, "a") })
				synctest.Wait()
				assert.Empty(t, drained)
				done := async(func() error { return panicOf(func() { p.Done(nil) }) })
				synctest.Wait()
				require.Len(t, drained, 1)
				require.NoError(t, <-drained)
				assert.Empty(t, done)
				close(release)
				if err := <-done; c.panics {
					require.Equal(t, errSick, err)
				} else {
					require.NoError(t, err)
				}
			})
		})
	}
}
