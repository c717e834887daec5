package main

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// The whole script, with real HTTP over pipes and in fake time.
func TestPlay_fullScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		var out bytes.Buffer
		began := time.Now()
		require.NoError(t, play(t.Context(), fullScript(), l, l.transport, &out), "%s", &out)
		took := time.Since(began)
		assert.Greater(t, took, 6*time.Second)
		assert.Less(t, took, 10*time.Second)

		for line := range strings.Lines(out.String()) {
			assert.LessOrEqual(t, len(line), width+1, "%s", line)
			assert.NotContains(t, strings.Map(ascii, line), "?", "%s", line)
		}
		for _, want := range []string{
			" 0.00s  --- healthy: the server answers at once\n",
			"breaker open for 300ms (slow calls): ",
			"breaker open for 300ms (failures): status 500 Internal Server Error\n",
			"breaker open for 1s (Retry-After): status 503 Service Unavailable\n",
			"first call rejected: retry after 975ms\n",
			"breaker open for 300ms (failures): context deadline exceeded\n",
			"breaker open for 600ms (probe lost): ",
			"overload     30 |       1       29      1 ",
			"ok      every sick phase opens the breaker, for its own cause  5 of 5\n",
			"ok      a Retry-After of 1s opens for just that long           openings 1, calls early 0, late 0\n",
			"ok      while healthy and closed, no call is lost              82 good, 0 failed, 0 rejected\n",
			"ok      nothing is left over                                   0 connections, 0 goroutines\n",
		} {
			assert.Contains(t, out.String(), want)
		}
		assert.NotContains(t, out.String(), "FAILED")
	})
}

func ascii(r rune) rune {
	if r > '~' {
		return '?'
	}
	return r
}

// shortScript has two of the faults, and little patience for both.
func shortScript() script {
	s := fullScript()
	healthy, failing, resets := s.phases[0], s.phases[3], s.phases[7]
	s.every = 5 * time.Millisecond
	s.breaker.OpenFor, s.breaker.MaxOpenFor = 40*time.Millisecond, 80*time.Millisecond
	s.breaker.ProbeLease = s.limit
	s.phases = []phase{healthy, failing, healthy, resets, healthy}
	return s
}

// Each of these takes something away that an expectation is about.
func TestPlay_unexpected(t *testing.T) {
	for _, tc := range []struct {
		name string
		harm func(*script)
		want []string
	}{
		{
			"a fault that is none", func(s *script) { s.phases[1].fault = fault{} },
			[]string{"every sick phase opens the breaker, for its own cause\n        1 of 2; errors: not opened, want failures by a status"},
		},
		{
			"another fault", func(s *script) { s.phases[1].fault = fault{reset: true} },
			[]string{"1 of 2; errors: failures by a transport error, want failures by a status"},
		},
		{
			"a breaker that stays open", func(s *script) { s.breaker.OpenFor, s.breaker.MaxOpenFor = -1, 0 },
			[]string{
				"1 of 2; resets: not opened, want failures by a transport error",
				"0 of 2; open after errors; open after resets",
			},
		},
		{
			"a breaker that never opens", func(s *script) { s.breaker.Initial = breaker.ForcedClosed },
			[]string{
				"0 of 2; errors: not opened, want failures by a status; resets: not opened",
				"0 of 2; forced-closed after errors",
				"60 instead of 60, 100 %",
			},
		},
		{
			"a healthy phase that is not", func(s *script) { s.phases[2].fault = fault{status: 500} },
			[]string{"the breaker closes again after each of them", "0 rejected"},
		},
		{
			"a Retry-After that is ignored", func(s *script) { s.phases[1].fault.retryAfter = time.Second },
			[]string{"a Retry-After of 1s opens for just that long"},
		},
		{
			"hardly any load allowed", func(s *script) { s.maxShare = 0.05 },
			[]string{"a sick server gets at most 5 % of the calls            12 instead of 60, 20 %"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := shortScript()
				s.patience = time.Second
				tc.harm(&s)
				l := newPipeListener()
				var out bytes.Buffer
				require.ErrorIs(t, play(t.Context(), s, l, l.transport, &out), errExpectations)
				assert.Contains(t, out.String(), "FAILED")
				for _, want := range tc.want {
					assert.Contains(t, out.String(), want)
				}
			})
		})
	}
}

// A connection that somebody keeps is found, and does not keep the end away.
func TestPlay_leftOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s := shortScript()
		s.phases = s.phases[:1]
		keeper := func() http.RoundTripper { return keptTransport{l.transport()} }
		var out bytes.Buffer
		require.ErrorIs(t, play(t.Context(), s, l, keeper, &out), errExpectations)
		assert.Contains(t, out.String(), "FAILED  nothing is left over                                   2 connections, ")
	})
}

// A keptTransport has no CloseIdleConnections.
type keptTransport struct{ rt http.RoundTripper }

func (k keptTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	return k.rt.RoundTrip(req)
}

// In the slow phase, with calls under way: they are not cut off.
func TestPlay_interrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 590*time.Millisecond, errSignal)
		defer cancel()
		l := newPipeListener()
		var out bytes.Buffer
		began := time.Now()
		require.ErrorIs(t, play(ctx, fullScript(), l, l.transport, &out), errInterrupted)
		took := time.Since(began)
		assert.Greater(t, took, 590*time.Millisecond)
		assert.LessOrEqual(t, took, 590*time.Millisecond+slow)
		assert.Contains(t, out.String(), "\nslow ", "the table has what happened so far")
		assert.Contains(t, out.String(), ", and 0 calls failed instead of 0.\n")
		assert.NotContains(t, out.String(), errSignal.Error())
		assert.NotContains(t, out.String(), "errors")
		assert.NotContains(t, out.String(), "ok   ")
	})
}

func TestPlay_badBreaker(t *testing.T) {
	s := shortScript()
	s.breaker.Probes = -1
	l := newPipeListener()
	err := play(t.Context(), s, l, l.transport, new(bytes.Buffer))
	assert.ErrorContains(t, err, "Probes is -1")
	_, err = l.Accept()
	assert.Error(t, err, "the listener was closed")
}
