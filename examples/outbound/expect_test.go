package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
)

// goodStages are what a short script comes to if all goes well: the breaker
// opens at 11 ms for a second and closes at 1020 ms.
func goodStages() []stage {
	overloaded := &breakerhttp.StatusError{Code: 503}
	rejected := &breaker.RejectedError{State: breaker.Open}
	closed := func(s sample) sample { s.closed = true; return s }
	turn := func(at int, from, to breaker.State, reason breaker.Reason, cause error) event {
		t := breaker.Transition{From: from, To: to, Reason: reason, Cause: cause, At: epoch.Add(ms(at))}
		if to == breaker.Open {
			t.OpenFor = time.Second
		}
		return event{t, t.At.Add(ms(1))}
	}
	healthy := phase{name: "healthy", calls: 1}
	return []stage{
		{
			phase:       healthy,
			protected:   side{[]sample{closed(at(0, 1, nil))}, 1},
			unprotected: side{[]sample{at(0, 1, nil)}, 1},
		},
		{
			phase: phase{
				name: "overload", calls: 4, fault: fault{status: 503, retryAfter: time.Second},
				opens: opening{breaker.ReasonTrip, causeStatus},
			},
			protected: side{[]sample{
				closed(at(10, 13, overloaded)),
				at(20, 21, rejected), at(30, 31, rejected), at(40, 41, rejected),
			}, 1},
			unprotected: side{[]sample{
				at(10, 11, overloaded), at(20, 21, overloaded), at(30, 31, overloaded), at(40, 41, overloaded),
			}, 4},
			events: []event{turn(11, breaker.Closed, breaker.Open, breaker.ReasonTrip, overloaded)},
			after:  breaker.Open,
		},
		{
			phase:       healthy,
			protected:   side{[]sample{at(1005, 1006, rejected), at(1015, 1016, nil)}, 1},
			unprotected: side{[]sample{at(1005, 1006, nil), at(1015, 1016, nil)}, 2},
			events: []event{
				turn(1015, breaker.Open, breaker.HalfOpen, breaker.ReasonOpenTimeOver, nil),
				turn(1020, breaker.HalfOpen, breaker.Closed, breaker.ReasonProbesPassed, nil),
			},
		},
	}
}

func judgeStages(stages []stage, left leftovers) []verdict {
	s := script{maxShare: 0.5}
	for _, st := range stages {
		s.phases = append(s.phases, st.phase)
	}
	return judge(s, stages, left)
}

func TestJudge_good(t *testing.T) {
	var out bytes.Buffer
	assert.True(t, verdicts(&out, judgeStages(goodStages(), leftovers{})))
	assert.Equal(t, `ok      every sick phase opens the breaker, for its own cause  1 of 1
ok      a Retry-After of 1s opens for just that long           openings 1, calls early 0, late 0
ok      the breaker closes again after each of them            1 of 1
ok      while healthy and closed, no call is lost              2 good, 0 failed, 0 rejected
ok      no rejected call reaches the server                    it saw 3 of 3 let through
ok      a sick server gets at most 50 % of the calls           1 instead of 4, 25 %
ok      nothing is left over                                   0 connections, 0 goroutines
`, out.String())
}

// Each case breaks one expectation, and no other.
func TestJudge_broken(t *testing.T) {
	const openings, retry, recovery, lost, local, relief, clean = 0, 1, 2, 3, 4, 5, 6
	rejected := &breaker.RejectedError{State: breaker.Open}
	for _, tc := range []struct {
		name   string
		harm   func(stages []stage, left *leftovers)
		broken int
		found  string
	}{
		{
			"another reason", func(s []stage, _ *leftovers) { s[1].opens.reason = breaker.ReasonFailures },
			openings, "0 of 1; overload: trip by a status, want failures by a status",
		},
		{
			"another cause", func(s []stage, _ *leftovers) { s[1].opens.cause = causeTimeout },
			openings, "0 of 1; overload: trip by a status, want trip by a timeout",
		},
		{
			"reopened only", func(s []stage, _ *leftovers) { s[1].events[0].From = breaker.HalfOpen },
			openings, "0 of 1; overload: not opened, want trip by a status",
		},
		{
			"open for less", func(s []stage, _ *leftovers) { s[1].events[0].OpenFor = time.Minute },
			retry, "openings 1, 1 of them for another time; calls let through early 0, rejected late 0",
		},
		{
			"let through too early", func(s []stage, _ *leftovers) {
				s[1].protected.samples[1] = at(20, 1010, nil)
				s[1].protected.reached++
			},
			retry, "openings 1, 0 of them for another time; calls let through early 1, rejected late 0",
		},
		{
			"rejected too late", func(s []stage, _ *leftovers) { s[2].protected.samples[0] = at(1011, 1012, rejected) },
			retry, "openings 1, 0 of them for another time; calls let through early 0, rejected late 1",
		},
		{
			"never closed", func(s []stage, _ *leftovers) { s[2].after = breaker.HalfOpen },
			recovery, "0 of 1; half-open after overload",
		},
		{
			"failed in good health", func(s []stage, _ *leftovers) { s[2].protected.samples[1].err = io.EOF },
			lost, "1 good, 1 failed, 0 rejected",
		},
		{
			"rejected while closed", func(s []stage, _ *leftovers) { s[2].protected.samples[0].closed = true },
			lost, "2 good, 0 failed, 1 rejected",
		},
		{
			"timed out in good health", func(s []stage, _ *leftovers) {
				for range excused + 1 {
					s[0].protected.samples = append(s[0].protected.samples, at(0, 9, context.DeadlineExceeded))
				}
			},
			lost, "2 good, 0 failed, 0 rejected, 3 timed out",
		},
		{
			"a rejected call that was sent", func(s []stage, _ *leftovers) { s[2].protected.reached++ },
			local, "it saw 4 of 3 let through",
		},
		{
			"no relief", func(s []stage, _ *leftovers) { s[1].unprotected.reached = 1 },
			relief, "1 instead of 1, 100 %",
		},
		{
			"no load at all", func(s []stage, _ *leftovers) { s[1].protected.reached, s[1].unprotected.reached = 0, 0 },
			relief, "0 instead of 0, 100 %",
		},
		{
			"a connection", func(_ []stage, l *leftovers) { l.connections = 1 },
			clean, "1 connections, 0 goroutines",
		},
		{
			"a goroutine and an error", func(_ []stage, l *leftovers) { l.goroutines, l.err = 2, errors.New("too slow") },
			clean, "0 connections, 2 goroutines, too slow",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stages, left := goodStages(), leftovers{}
			tc.harm(stages, &left)
			for i, v := range judgeStages(stages, left) {
				assert.Equal(t, i != tc.broken, v.held, "%s: %s", v.expected, v.found)
				if i == tc.broken {
					assert.Equal(t, tc.found, v.found)
				}
			}
		})
	}
}

// What looks like a breach at its edge, and is none.
func TestJudge_edges(t *testing.T) {
	rejected := &breaker.RejectedError{State: breaker.Open}
	for _, tc := range []struct {
		name string
		harm func([]stage)
	}{
		{"let through as the breaker opened", func(s []stage) {
			s[1].protected.samples[1] = at(12, 14, nil)
			s[1].protected.reached++
		}},
		{"let through at the end", func(s []stage) { s[2].protected.samples[1] = at(1001, 1011, nil) }},
		{"rejected as it ended", func(s []stage) { s[2].protected.samples[0] = at(1010, 1011, rejected) }},
		{"rejected after it was half-open", func(s []stage) { s[2].protected.samples[0] = at(1013, 1015, rejected) }},
		{"a timeout that is slow", func(s []stage) {
			s[1].fault.retryAfter = 0
			s[1].opens = opening{breaker.ReasonFailures, causeTimeout}
			s[1].events[0].Reason, s[1].events[0].Cause = breaker.ReasonSlowCalls, context.DeadlineExceeded
		}},
		{"the machine stood still", func(s []stage) {
			for range excused {
				s[0].protected.samples = append(s[0].protected.samples, at(0, 9, context.DeadlineExceeded))
			}
		}},
		{"gave up before it arrived", func(s []stage) { s[1].protected.reached = 0 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stages := goodStages()
			tc.harm(stages)
			for _, v := range judgeStages(stages, leftovers{}) {
				assert.True(t, v.held, "%s: %s", v.expected, v.found)
			}
		})
	}
}

// Nobody asked to wait, so nothing is said of it.
func TestJudge_withoutRetryAfter(t *testing.T) {
	stages := goodStages()
	stages[1].fault.retryAfter = 0
	vs := judgeStages(stages, leftovers{})
	require.Len(t, vs, 6)
	for _, v := range vs {
		assert.NotContains(t, v.expected, "Retry-After")
		assert.True(t, v.held, v.expected)
	}
}
