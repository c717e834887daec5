package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// A server that is well for a second, overloaded for two, and well again.
func TestVisit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s := serve(l)
		go func() {
			time.Sleep(900 * time.Millisecond)
			s.become(fault{status: 503, delay: ms(10)})
			time.Sleep(2 * time.Second)
			s.become(fault{delay: ms(20)})
		}()
		var out bytes.Buffer
		opt := options{
			url:      &url.URL{Scheme: "http", Host: "Server.test", Path: "/", User: url.UserPassword("ann", "secret")},
			duration: 4900 * time.Millisecond, every: 170 * time.Millisecond, // never on the second
		}
		require.NoError(t, visit(t.Context(), opt, l.transport(), &out))
		assert.Equal(t, `GET http://ann:xxxxx@Server.test/ every 170ms for 4.9s, given up after 3s. A breaker opens at
  `+strangers().Trip.String()+`
for 1s or more.

 1.00s    6 calls ended:   6 good,   0 failed,   0 rejected
 1.54s      breaker of server.test open for 1s (failures): status 503 Service Unavailable
 1.70s      first call rejected: retry after 840ms
 2.00s    6 calls ended:   0 good,   4 failed,   2 rejected
 2.55s      breaker of server.test half-open (open time over)
 2.56s      breaker of server.test open for 2s (probe failed): status 503 Service Unavailable
 3.00s    6 calls ended:   0 good,   1 failed,   5 rejected
 4.00s    6 calls ended:   0 good,   0 failed,   6 rejected
 4.59s      breaker of server.test half-open (open time over)
 4.78s      breaker of server.test closed (probes passed)
 4.90s    5 calls ended:   2 good,   0 failed,   3 rejected

29 calls
    8  half within 0s        all within 20ms      200 OK
    5  half within 10ms      all within 10ms      503 Service Unavailable
   16  half within 0s        all within 0s        rejected, open
breaker of server.test: closed, opened 2 times

ok      at least one call got an answer                        13 of 29
`, out.String())
		assert.NoError(t, s.close(t.Context()))
	})
}

// errSignal is what signal.NotifyContext cancels with.
var errSignal = errors.New("interrupt signal received")

// Of eight calls under way when it is interrupted, so slow that giving them up
// would open the breaker, each gets its answer.
func TestVisit_interrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s := serve(l)
		s.become(fault{delay: 2 * time.Second, status: 404})
		ctx, cancel := context.WithTimeoutCause(t.Context(), 1500*time.Millisecond, errSignal)
		defer cancel()
		opt := options{url: &url.URL{Scheme: "http", Host: "server.test"}, duration: time.Hour, every: 190 * time.Millisecond}
		var out bytes.Buffer
		require.NoError(t, visit(ctx, opt, l.transport(), &out))
		_, told, _ := strings.Cut(out.String(), "\n\n")
		assert.Equal(t, ` 1.00s    0 calls ended:   0 good,   0 failed,   0 rejected
 1.50s  interrupted: no more calls, those under way end within 3s
 2.76s      breaker of server.test open for 1s (slow calls): the call took 2s, and 1s is slow
 3.33s    8 calls ended:   8 good,   0 failed,   0 rejected

8 calls
    8  half within 2s        all within 2s        404 Not Found
breaker of server.test: open, opened once

ok      at least one call got an answer                        8 of 8
`, told)
		assert.NoError(t, s.close(t.Context()))
	})
}

// A server that accepts calls and never answers: they end at their limit, and
// nothing is concluded.
func TestVisit_interruptedBeforeAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s := serve(l)
		s.become(fault{delay: time.Hour})
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errSignal)
		defer cancel()
		opt := options{url: &url.URL{Scheme: "http", Host: "server.test"}, duration: time.Hour, every: time.Minute}
		var out bytes.Buffer
		began := time.Now()
		require.ErrorIs(t, visit(ctx, opt, l.transport(), &out), errInterrupted)
		assert.Equal(t, strangersLimit, time.Since(began))
		assert.Contains(t, out.String(), "    1  half within 3s        all within 3s        context deadline exceeded\n")
		assert.NotContains(t, out.String(), errSignal.Error())
		assert.NotContains(t, out.String(), "FAILED")
		assert.NoError(t, s.close(t.Context()))
	})
}

// What the breaker takes for a failure is none of the good calls.
func TestVisit_tooManyRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s := serve(l)
		s.become(fault{status: 429, retryAfter: 2 * time.Second})
		opt := options{url: &url.URL{Scheme: "http", Host: "server.test"}, duration: 900 * time.Millisecond, every: 400 * time.Millisecond}
		var out bytes.Buffer
		require.NoError(t, visit(t.Context(), opt, l.transport(), &out))
		assert.Contains(t, out.String(), "breaker of server.test open for 2s (Retry-After): status 429 Too Many Requests\n")
		assert.Contains(t, out.String(), "  3 calls ended:   0 good,   1 failed,   2 rejected\n")
		assert.Contains(t, out.String(), "all within 0s        429 Too Many Requests\n")
		assert.NoError(t, s.close(t.Context()))
	})
}

func TestTimes(t *testing.T) {
	assert.Equal(t, "0 times", times(0))
	assert.Equal(t, "once", times(1))
	assert.Equal(t, "2 times", times(2))
}

func TestSample_kind(t *testing.T) {
	for _, tc := range []struct {
		sample sample
		want   string
	}{
		{sample{status: 200}, "200 OK"},
		{sample{status: 404}, "404 Not Found"},
		{sample{status: 503, err: statusError(503)}, "503 Service Unavailable"},
		{sample{status: 200, err: io.ErrUnexpectedEOF}, "200 OK, then unexpected EOF"},
		{sample{err: &url.Error{Op: "Get", URL: "http://x", Err: io.EOF}}, "EOF"},
		{sample{err: context.DeadlineExceeded}, "context deadline exceeded"},
		{sample{rejection: &breaker.RejectedError{State: breaker.HalfOpen}}, "rejected, half-open"},
	} {
		assert.Equal(t, tc.want, tc.sample.kind())
	}
	assert.EqualError(t, statusError(502), "Bad Gateway")
}
