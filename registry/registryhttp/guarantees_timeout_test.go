package registryhttp_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// timeout is AttemptTimeout of the tests about it.
const timeout = 3 * time.Second

func attemptTimeout(cfg *registryhttp.TransportConfig) { cfg.Balancer.Retry.AttemptTimeout = timeout }

// pass lets time pass, on a Mock or in the bubble.
func pass(mock *clock.Mock, d time.Duration) {
	synctest.Wait()
	if mock != nil {
		mock.Add(d)
	} else {
		time.Sleep(d)
	}
	synctest.Wait()
}

// hang is a Base that waits for the end of the context, as http.Transport does.
func hang(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, context.Cause(req.Context())
}

// G43: AttemptTimeout ends an attempt that gets no headers, and the next one has
// as much time.
func TestG43_AttemptTimeout(t *testing.T) {
	bubbles(t, mockOrNil, func(t *testing.T, makeClock clockMaker) {
		mock := makeClock()
		f := newFixtureIn(t, newRegistry(t, config(mock)), network{
			"a": hang,
			"b": hang,
			"c": answer(200, "good"),
		}, named("a", "b", "c"), retrying(3), attemptTimeout)
		text := make(chan string)
		go func() {
			resp, err := f.RoundTrip(get(t))
			if !assert.NoError(t, err) {
				close(text)
				return
			}
			body, _ := io.ReadAll(resp.Body)
			text <- string(body)
		}()
		pass(mock, timeout-1)
		assert.Empty(t, f.take())
		pass(mock, 1)
		assert.Equal(t, []string{"a failure"}, f.outcomes(), "an attempt's deadline is a failure")
		pass(mock, timeout-1)
		assert.Empty(t, f.take())
		pass(mock, 1)
		assert.Equal(t, "good", <-text)
		assert.Equal(t, []string{"b failure", "c success"}, f.outcomes())
		assert.Zero(t, f.inFlight())
	})
}

// G43: the last attempt's timeout is the caller's error; its cause can be told
// from that of the caller's own context, which goes on.
func TestG43_AttemptTimeoutOfTheLast(t *testing.T) {
	bubbles(t, mockOrNil, func(t *testing.T, makeClock clockMaker) {
		mock := makeClock()
		var seen *http.Request
		f := newFixtureIn(t, newRegistry(t, config(mock)), roundTrip(func(req *http.Request) (*http.Response, error) {
			seen = req
			return hang(req)
		}), named("a"), attemptTimeout)
		result := make(chan error)
		go func() {
			_, err := f.RoundTrip(get(t))
			result <- err
		}()
		pass(mock, timeout)
		assert.ErrorIs(t, <-result, context.DeadlineExceeded)
		assert.Equal(t, context.DeadlineExceeded, context.Cause(seen.Context()))
		_, has := seen.Context().Deadline()
		assert.False(t, has && mock != nil, "a Deadline of a Mock lies in 1970")
		assert.NoError(t, t.Context().Err())
		assert.Equal(t, failure, f.one(t))
	})
}

// G43: the body may take as long as it likes, in reads of any length.
func TestG43_AttemptTimeoutIsNotForTheBody(t *testing.T) {
	bubbles(t, mockOrNil, func(t *testing.T, makeClock clockMaker) {
		mock := makeClock()
		var seen *http.Request
		r, w := io.Pipe()
		f := newFixtureIn(t, newRegistry(t, config(mock)), roundTrip(func(req *http.Request) (*http.Response, error) {
			seen = req
			context.AfterFunc(req.Context(), func() { w.CloseWithError(context.Cause(req.Context())) })
			return response(req, 200, r, -1), nil
		}), named("a"), attemptTimeout)
		resp, err := f.RoundTrip(get(t))
		require.NoError(t, err)
		text := make(chan string)
		go func() {
			body, err := io.ReadAll(resp.Body)
			assert.NoError(t, err)
			text <- string(body)
		}()
		pass(mock, 10*timeout)
		assert.NoError(t, seen.Context().Err())
		_, _ = io.WriteString(w, "late ")
		pass(mock, 10*timeout)
		_, _ = io.WriteString(w, "but complete")
		_ = w.Close()
		assert.Equal(t, "late but complete", <-text)
		assert.Equal(t, success, f.one(t))
		assert.Error(t, seen.Context().Err(), "its context ends with the body, so that nothing is kept")
	})
}

// G43: headers that come in spite of the end of the attempt are too late; their
// body is closed.
func TestG43_HeadersTooLate(t *testing.T) {
	bubbles(t, mockOrNil, func(t *testing.T, makeClock clockMaker) {
		mock := makeClock()
		body := &script{}
		f := newFixtureIn(t, newRegistry(t, config(mock)), roundTrip(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return response(req, 200, body, -1), nil
		}), named("a"), attemptTimeout)
		result := make(chan error)
		go func() {
			_, err := f.RoundTrip(get(t))
			result <- err
		}()
		pass(mock, timeout)
		assert.ErrorIs(t, <-result, context.DeadlineExceeded)
		_, closes := body.seen()
		assert.Equal(t, 1, closes)
		assert.Equal(t, failure, f.one(t))
	})
}

// G43: a Base may say Canceled when the time of the attempt is over; the caller
// learns that it was a timeout. If the caller has given up meanwhile, Canceled it
// is, and nobody's failure.
func TestG43_AttemptTimeoutToldAsCanceled(t *testing.T) {
	for name, test := range map[string]struct {
		leaves bool
		want   error
		is     outcome
	}{
		"the caller waits":       {false, context.DeadlineExceeded, failure},
		"the caller gave up too": {true, context.Canceled, ignored},
	} {
		t.Run(name, func(t *testing.T) {
			bubbles(t, mockOrNil, func(t *testing.T, makeClock clockMaker) {
				mock := makeClock()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				f := newFixtureIn(t, newRegistry(t, config(mock)), roundTrip(func(req *http.Request) (*http.Response, error) {
					<-req.Context().Done()
					if test.leaves {
						cancel()
					}
					return nil, context.Canceled
				}), named("a"), attemptTimeout)
				result := make(chan error)
				go func() {
					_, err := f.RoundTrip(get(t).WithContext(ctx))
					result <- err
				}()
				pass(mock, timeout)
				assert.Equal(t, test.want, <-result)
				assert.Equal(t, test.is, f.one(t))
				assert.Zero(t, f.inFlight())
			})
		})
	}
}

// G43: without AttemptTimeout an attempt has the context of the request itself.
func TestG43_NoAttemptTimeout(t *testing.T) {
	for name, d := range map[string]time.Duration{"zero": 0, "negative": -1} {
		t.Run(name, func(t *testing.T) {
			var seen *http.Request
			f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
				seen = req
				return answer(200, "")(req)
			}), named("a"), func(cfg *registryhttp.TransportConfig) { cfg.Balancer.Retry.AttemptTimeout = d })
			req := get(t)
			resp, err := f.RoundTrip(req)
			finish(t, resp, err)
			assert.Equal(t, req.Context(), seen.Context())
		})
	}
}

// G43: an attempt that is over lets go of its context, and its timer changes
// nothing any more.
func TestG43_AttemptTimeoutLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []context.Context
		f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
			seen = append(seen, req.Context())
			return network{"a": answer(503, "x"), "b": answer(200, "y")}.RoundTrip(req)
		}), named("a", "b"), attemptTimeout)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		resp, err := f.RoundTrip(get(t).WithContext(ctx))
		require.NoError(t, err)
		require.Len(t, seen, 2)
		assert.Error(t, seen[0].Err(), "an attempt that is over lets its context go")
		require.NoError(t, seen[1].Err())
		require.NoError(t, resp.Body.Close())
		assert.Error(t, seen[1].Err())
		time.Sleep(2 * timeout)
		assert.Equal(t, context.Canceled, context.Cause(seen[1]), "nothing comes later")
	})
}
