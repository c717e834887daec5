package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
)

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// at is a sample that began and ended so many milliseconds after the epoch.
func at(began, ended int, err error) sample {
	s := sample{began: epoch.Add(ms(began)), ended: epoch.Add(ms(ended)), err: err}
	errors.As(err, &s.rejection)
	return s
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                             "0s",
		999:                           "999ns",
		1494:                          "1.49us",
		1495:                          "1.5us",
		123456:                        "123us",
		12345678:                      "12.3ms",
		123456789:                     "123ms",
		1234567890:                    "1.23s",
		12345 * time.Millisecond:      "12.3s",
		12345 * time.Second:           "3h25m45s",
		-1500 * time.Millisecond:      "-1.5s",
		999600 * time.Microsecond:     "1s",
		time.Minute + 400*time.Minute: "6h41m0s",
	} {
		assert.Equal(t, want, short(d))
	}
}

func TestFit(t *testing.T) {
	assert.Equal(t, "as it is", fit("as it is"))
	assert.Equal(t, "two lines, one tab", fit("two\nlines,\tone\rtab"))
	assert.Equal(t, "na?ve", fit("na\u00efve"))
	long := strings.Repeat("x", width)
	assert.Equal(t, long, fit(long))
	assert.Equal(t, long[3:]+"...", fit(long+"y"))
}

func TestBrief(t *testing.T) {
	reset := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	for _, tc := range []struct {
		err  error
		want string
	}{
		{&breakerhttp.StatusError{Code: 500}, "status 500 Internal Server Error"},
		{&url.Error{Op: "Post", URL: "http://x", Err: reset}, syscall.ECONNRESET.Error()},
		{context.DeadlineExceeded, "context deadline exceeded"},
		{errors.New("no package: this is told in full"), "no package: this is told in full"},
		{io.EOF, "EOF"},
	} {
		assert.Equal(t, tc.want, brief(tc.err))
	}
}

func TestCount(t *testing.T) {
	rejected := &breaker.RejectedError{State: breaker.Open}
	assert.Equal(t, tally{}, count(nil))
	assert.Equal(t, tally{calls: 1, peak: 1}, count([]sample{at(5, 5, nil)}), "it took no time by the clock")
	assert.Equal(t, tally{calls: 2, rejected: 2, waited: ms(3), rejecting: ms(3)},
		count([]sample{at(0, 1, rejected), at(0, 2, rejected)}))

	// By their begin: 0-10, 2-30 failed, 9-9 rejected, 10-20.
	got := count([]sample{at(10, 20, nil), at(9, 9, rejected), at(2, 30, io.EOF), at(0, 10, nil)})
	assert.Equal(t, tally{calls: 4, rejected: 1, failed: 1, waited: ms(48), peak: 2}, got, "at 10 one ends and one begins")
	assert.Equal(t, tally{calls: 6, rejected: 1, failed: 2, waited: ms(50), peak: 3},
		got.plus(tally{calls: 2, failed: 1, waited: ms(2), peak: 3}))
}

func TestWhy(t *testing.T) {
	asked := &breakerhttp.StatusError{Code: 503}
	assert.Equal(t, "Retry-After", why(breaker.Transition{Reason: breaker.ReasonTrip, Cause: asked}))
	assert.Equal(t, "trip", why(breaker.Transition{Reason: breaker.ReasonTrip, Cause: io.EOF}))
	assert.Equal(t, "failures", why(breaker.Transition{Reason: breaker.ReasonFailures, Cause: asked}))
}

func TestTimeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := newTimeline(&out)
		w := &watch{log: l}
		h := w.hooks()
		ctx := t.Context()
		turn := func(from, to breaker.State, reason breaker.Reason, cause error) {
			time.Sleep(500 * time.Millisecond)
			h.Transition(ctx, breaker.Transition{Name: "x", From: from, To: to, Reason: reason, Cause: cause, OpenFor: time.Second})
		}
		reject := func(s breaker.State) { h.Rejected(ctx, &breaker.RejectedError{State: s}) }

		l.begin(phase{name: "sick", says: "nothing works"})
		turn(breaker.Closed, breaker.Open, breaker.ReasonFailures, fmt.Errorf("post: %w", io.ErrUnexpectedEOF))
		reject(breaker.Open)
		reject(breaker.Open) // told once
		turn(breaker.Open, breaker.HalfOpen, breaker.ReasonOpenTimeOver, nil)
		reject(breaker.HalfOpen)
		turn(breaker.HalfOpen, breaker.Open, breaker.ReasonProbeFailed, io.EOF)
		reject(breaker.Open) // of an opening that is not the first
		l.names = true
		turn(breaker.HalfOpen, breaker.Closed, breaker.ReasonProbesPassed, nil)
		l.end(stage{
			protected:   side{samples: []sample{at(0, 2, io.EOF), at(0, 1, &breaker.RejectedError{})}},
			unprotected: side{samples: []sample{at(0, 2000, io.EOF), at(0, 1, nil)}},
		})
		assert.Equal(t, ` 0.00s  --- sick: nothing works
 0.50s      breaker open for 1s (failures): unexpected EOF
 0.50s      first call rejected: retry after 0s
 1.00s      breaker half-open (open time over)
 1.50s      breaker open for 1s (probe failed): EOF
 2.00s      breaker of x closed (probes passed)
 2.00s      protected:    2 calls,  1 let through,  1 rejected,  1 failed; callers waited 3ms
 2.00s      unprotected:  2 calls,                               1 failed; callers waited 2s
`, out.String())

		events := w.take()
		assert.Len(t, events, 4)
		assert.Equal(t, breaker.HalfOpen, events[1].To)
		assert.Empty(t, w.take())
	})
}

func TestTable(t *testing.T) {
	stages := goodStages()
	var out bytes.Buffer
	table(&out, stages)
	conclusion(&out, stages)
	assert.Equal(t, `                | protected                                | unprotected
phase     calls | reached rejected failed   waited at once | reached failed   waited at once
healthy       1 |       1        0      0      1ms       1 |       1      0      1ms       1
overload      4 |       1        3      1      6ms       1 |       4      4      4ms       1
healthy       2 |       1        1      0      2ms       1 |       2      0      2ms       1
all           7 |       3        4      1      9ms       1 |       7      4      7ms       1

reached: calls the server saw        failed: of those, without a good answer
waited: all callers together         at once: most calls under way at one moment
With the breaker callers waited 9ms instead of 7ms, and 1 calls failed instead of 4.
Another 4 were rejected, in 1ms on average, 1 of them when the server was well again.
`, out.String())

	out.Reset()
	conclusion(&out, stages[:1])
	assert.NotContains(t, out.String(), "rejected")
}
