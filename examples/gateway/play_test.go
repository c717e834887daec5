package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// The whole script, with real HTTP over pipes and in fake time.
func TestPlay_fullScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		began := time.Now()
		require.NoError(t, play(t.Context(), fullScript(), inMemory(), &out), "%s", &out)
		took := time.Since(began)
		assert.Greater(t, took, 3*time.Second)
		assert.Less(t, took, 5*time.Second)

		for line := range strings.Lines(out.String()) {
			assert.LessOrEqual(t, len(line), width+1, "%s", line)
			assert.NotContains(t, line, "?", "%s", line)
		}
		for _, want := range []string{
			" 0.00s  --- start: everybody registers\n 0.00s      a registered\n",
			"      b is slow\n",
			"      b is called again\n",
			"      c dies, 3 calls under way\n",
			"      c breaker open (failures: ",
			"      c critical (connection refused)\n",
			"      c lease expired\n",
			"      a draining",
			"      a /readyz is 503, 3 calls under way\n",
			"  --- end: everybody leaves\n",
			"\nhealthy     120 | ",
			"\nalone        40 |   0% 100%   0% |      0       0     5ms     5ms | gone      closed    gone\n",
			"\nok      no call that could succeed failed ",
			"\nok      shares: well 11% or more, slow 17% or less, gone 0%    11 of 11\n",
			"\nok      calls find out about the dead one, then the registry   breaker 0s, check ",
			"\nok      who drains says so, finishes its calls, then stops     3 calls when unready, 0 at its end\n",
			"\nok      all that was to happen happened                        7 of 7\n",
			"\nok      nothing is left over                                   0 goroutines\n",
		} {
			assert.Contains(t, out.String(), want)
		}
		assert.NotContains(t, out.String(), "FAILED")
	})
}

// Each of these takes something away that an expectation is about.
func TestPlay_unexpected(t *testing.T) {
	for _, tc := range []struct {
		name string
		harm func(*script)
		want []string
	}{
		{
			"no retries", func(s *script) { s.balancer.Retry.Attempts = -1 },
			[]string{
				"FAILED  no call that could succeed failed", " failed, first in death: status 502 Bad Gateway\n",
				"FAILED  only calls to the dead one are sent again              death: 0\n",
			},
		},
		{
			"a policy that does not look", func(s *script) { s.balancer.Policy = balance.RoundRobin{} },
			[]string{"FAILED  shares: well 11% or more, slow 17% or less, gone 0%    10 of 11; slow: b has 33%\n"},
		},
		{
			"nobody slow", func(s *script) { s.slowness = 1 },
			[]string{"10 of 11; slow: b has "},
		},
		{
			"breakers that never open", func(s *script) { s.breaker.Initial = breaker.ForcedClosed },
			[]string{"FAILED  calls find out about the dead one, then the registry   check "},
		},
		{
			"a lease without end", func(s *script) { s.ttl, s.patience = -1, time.Second },
			[]string{
				"FAILED  all that was to happen happened                        6 of 7; death: ",
				"FAILED  calls find out about the dead one, then the registry   breaker 0s, check ",
			},
		},
		{
			"who drains just stops", func(s *script) {
				s.phases[5].act = func(d *drive, _ context.Context) error {
					d.backends[leaver].crash()
					return nil
				}
			},
			[]string{"FAILED  who drains says so, finishes its calls, then stops     not all of it happened\n"},
		},
		{
			"nobody dies", func(s *script) { s.phases[4].act = nil },
			[]string{
				"FAILED  calls find out about the dead one, then the registry   \n",
				"FAILED  only calls to the dead one are sent again              death: 0\n",
			},
		},
		{
			"something that stays", func(s *script) {
				s.phases[0].act = func(*drive, context.Context) error {
					go time.Sleep(time.Minute)
					return nil
				}
			},
			[]string{"FAILED  nothing is left over                                   1 goroutines\n"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := fullScript()
				tc.harm(&s)
				var out bytes.Buffer
				require.ErrorIs(t, play(t.Context(), s, inMemory(), &out), errExpectations)
				for _, want := range tc.want {
					assert.Contains(t, out.String(), want)
				}
				time.Sleep(time.Minute) // what was left over ends by then
			})
		})
	}
}

// With hardly any checks it is the lease that tells.
func TestPlay_leaseAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fullScript()
		s.check.Interval = time.Hour
		var out bytes.Buffer
		require.NoError(t, play(t.Context(), s, inMemory(), &out), "%s", &out)
		assert.Contains(t, out.String(), "calls find out about the dead one, then the registry   breaker 0s, lease ")
	})
}

// While calls are held, on the way to the death of one: all of them end.
func TestPlay_interrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		s := fullScript()
		s.underWay = 1000
		var out bytes.Buffer
		began := time.Now()
		require.ErrorIs(t, play(ctx, s, inMemory(), &out), errInterrupted)
		assert.Less(t, time.Since(began), 5*time.Second)
		assert.Contains(t, out.String(), "\nhealthy     120 | ", "the table has what happened so far")
		assert.Contains(t, out.String(), "\ndeath ")
		assert.NotContains(t, out.String(), "\ndrain ")
		assert.NotContains(t, out.String(), "c dies")
		assert.NotContains(t, out.String(), "ok   ")
	})
}

func TestPlay_interruptedAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(assert.AnError)
		var out bytes.Buffer
		require.ErrorIs(t, play(ctx, fullScript(), inMemory(), &out), assert.AnError)
		assert.NotContains(t, out.String(), "healthy")
	})
}

func TestPlay_cannotStart(t *testing.T) {
	noRoom := errors.New("no room")
	for _, tc := range []struct {
		name string
		harm func(*script, *network)
		want string
	}{
		{"breaker", func(s *script, _ *network) { s.breaker.Probes = -1 }, "Probes is -1"},
		{"registry", func(s *script, _ *network) { s.registry.Preserve.Window = -1 }, "Preserve.Window is -1ns"},
		{"balancer", func(s *script, _ *network) { s.balancer.Retry.Burst = -1 }, "Retry.Burst is -1"},
		{"check", func(s *script, _ *network) { s.check.Jitter = 1 }, "Check.Jitter is 1"},
		{"no listener", func(_ *script, n *network) {
			n.listen = func(context.Context) (net.Listener, error) { return nil, noRoom }
		}, noRoom.Error()},
		{"no listener for the gateway", func(_ *script, n *network) {
			listen, left := n.listen, len(backendIDs)
			n.listen = func(ctx context.Context) (net.Listener, error) {
				if left--; left < 0 {
					return nil, noRoom
				}
				return listen(ctx)
			}
		}, noRoom.Error()},
		{"nobody reachable", func(s *script, n *network) {
			s.patience = time.Second
			n.dial = func(context.Context, string, string) (net.Conn, error) { return nil, errRefused }
		}, "not all backends are well after 1s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// A bubble fails if a goroutine is left over.
			synctest.Test(t, func(t *testing.T) {
				s, n := fullScript(), inMemory()
				tc.harm(&s, &n)
				var out bytes.Buffer
				require.ErrorContains(t, play(t.Context(), s, n, &out), tc.want)
				assert.NotContains(t, out.String(), "phase")
			})
		})
	}
}
