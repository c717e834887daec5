package breakerhttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
)

var (
	_ http.RoundTripper = (*breakerhttp.Transport)(nil)
	_ breaker.Clock     = (*clock.Mock)(nil)

	errDial = errors.New("connection refused")
)

func broken(*http.Request) (*http.Response, error) { return nil, errDial }

// Scenario 33 and G42: what a rejected request leaves behind is nothing.
func TestG42_RejectedRequest(t *testing.T) {
	calls := 0
	f := newFixture(t, roundTrip(func(*http.Request) (*http.Response, error) {
		calls++
		return nil, errDial
	}))
	for range 3 {
		_, err := f.RoundTrip(get(t))
		require.ErrorIs(t, err, errDial)
	}
	require.Equal(t, breaker.Open, f.breaker.State())

	body := newUpload("payload")
	req := newRequest(t, http.MethodPost, body)
	req.Header.Set("X-Trace", "1")
	before := *req
	header := req.Header.Clone()
	f.clock.Add(4 * time.Second)

	resp, err := f.RoundTrip(req)
	require.Nil(t, resp)
	var rejection *breaker.RejectedError
	require.ErrorAs(t, err, &rejection)
	assert.Same(t, err, rejection, "the rejection itself, not a wrapper")
	assert.ErrorIs(t, err, breaker.ErrOpen)
	assert.NotErrorIs(t, err, errDial, "a rejection does not match its cause")
	assert.Equal(t, errDial, rejection.Cause)
	assert.Equal(t, 6*time.Second, rejection.RetryAfter())

	assert.Equal(t, 3, calls, "Base was called")
	assert.Equal(t, 1, body.closes, "the body is closed, once")
	assert.Zero(t, body.reads, "the body was read")
	assert.Equal(t, before, *req, "the request was changed")
	assert.Equal(t, header, req.Header)
}

func TestG42_ContextDone(t *testing.T) {
	f := newFixture(t, roundTrip(func(*http.Request) (*http.Response, error) {
		t.Error("Base was called")
		return nil, errDial
	}))
	f.halfOpen(t)
	why := errors.New("user left")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	body := newUpload("payload")

	resp, err := f.RoundTrip(newRequest(t, http.MethodPost, body).WithContext(ctx))
	require.Nil(t, resp)
	assert.Equal(t, why, err)
	assert.Equal(t, 1, body.closes)
	assert.Empty(t, f.take(), "nothing happened, so nothing is counted")
	assert.Zero(t, f.breaker.Snapshot().Probes)
}

// The request reaches Base as it is, and no body is read before its reader asks.
func TestG42_NothingChangedOrBuffered(t *testing.T) {
	var seen *http.Request
	download := &script{reads: []read{{"a", nil}, {"b", nil}, {"", io.EOF}}}
	f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
		seen = req
		return response(req, http.StatusOK, download, -1), nil
	}))
	body := newUpload("payload")
	req := newRequest(t, http.MethodPost, body)
	require.Nil(t, req.GetBody)
	before := *req

	resp, err := f.RoundTrip(req)
	require.NoError(t, err)
	assert.Same(t, req, seen)
	assert.Equal(t, before, *req)
	assert.Zero(t, body.reads)
	assert.Zero(t, body.closes, "that is for Base to do")
	assert.Zero(t, download.calls())

	buf := make([]byte, 16)
	n, err := resp.Body.Read(buf)
	require.NoError(t, err)
	assert.Equal(t, "a", string(buf[:n]), "as much as there is")
	assert.Equal(t, 1, download.calls())
}

func TestG42_TransportErrors(t *testing.T) {
	inner := newBreaker(t)
	inner.ForceOpen(nil)
	_, rejection := inner.Allow(t.Context())
	left := errors.New("user left")

	for name, test := range map[string]struct {
		err    error
		cancel error // of the request's context, while Base is at it
		want   breaker.Outcome
	}{
		"refused":                      {errDial, nil, breaker.Failure},
		"broken off":                   {io.ErrUnexpectedEOF, nil, breaker.Failure},
		"caller cancelled":             {context.Canceled, context.Canceled, breaker.Ignored},
		"caller cancelled, wrapped":    {&url.Error{Err: context.Canceled}, left, breaker.Ignored},
		"caller cancelled, cause":      {left, left, breaker.Ignored},
		"cancelled, but not by him":    {context.Canceled, nil, breaker.Failure},
		"other error after the cancel": {errDial, left, breaker.Failure},
		"deadline":                     {context.DeadlineExceeded, context.DeadlineExceeded, breaker.Failure},
		"rejected by a breaker below":  {rejection, nil, breaker.Ignored},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			f := newFixture(t, roundTrip(func(*http.Request) (*http.Response, error) {
				if test.cancel != nil {
					cancel(test.cancel)
				}
				return nil, test.err
			}))
			resp, err := f.RoundTrip(get(t).WithContext(ctx))
			assert.Nil(t, resp)
			assert.Equal(t, test.err, err, "unchanged")
			done := f.one(t)
			assert.Equal(t, test.want, done.Outcome)
			assert.Equal(t, test.err, done.Err)
		})
	}
}

// Errors are judged by the breaker's own classifier unless the transport has
// one, which sees everything but errors of bodies.
func TestTransport_Classify(t *testing.T) {
	errBusy := errors.New("busy")
	lenient := func(cfg *breakerhttp.TransportConfig) {
		cfg.Group.Config.Classify = func(ctx context.Context, err error) breaker.Outcome {
			if errors.Is(err, errBusy) {
				return breaker.Ignored
			}
			return breaker.DefaultClassify(ctx, err)
		}
	}
	strict := func(cfg *breakerhttp.TransportConfig) {
		cfg.Classify = func(req *http.Request, resp *http.Response, err error) breaker.Outcome {
			switch {
			case resp != nil && resp.StatusCode == http.StatusTeapot:
				return breaker.Outcome(77)
			case resp != nil && resp.StatusCode == http.StatusNotImplemented:
				return breaker.Success
			case resp != nil && resp.StatusCode == http.StatusServiceUnavailable:
				return breaker.Ignored
			case errors.Is(err, errDial):
				return breaker.Success
			}
			return breakerhttp.DefaultClassify(req, resp, err)
		}
	}
	fail := func(err error) roundTrip {
		return func(*http.Request) (*http.Response, error) { return nil, err }
	}

	for name, test := range map[string]struct {
		base  roundTrip
		tweak func(*breakerhttp.TransportConfig)
		want  breaker.Outcome
		err   error
	}{
		"breaker's: its exception":   {fail(errBusy), lenient, breaker.Ignored, errBusy},
		"breaker's: the rest":        {fail(errDial), lenient, breaker.Failure, errDial},
		"breaker's: statuses":        {answer(500, ""), lenient, breaker.Failure, &breakerhttp.StatusError{Code: 500}},
		"own: unknown is a failure":  {answer(418, ""), strict, breaker.Failure, &breakerhttp.StatusError{Code: 418}},
		"own: a status let off":      {answer(501, ""), strict, breaker.Success, nil},
		"own: ignored, Retry-After":  {answer(503, "", "Retry-After", "9"), strict, breaker.Ignored, &breakerhttp.StatusError{Code: 503}},
		"own: an error let off":      {fail(errDial), strict, breaker.Success, errDial},
		"own: fallback for errors":   {fail(errBusy), strict, breaker.Failure, errBusy},
		"own: fallback for a status": {answer(502, ""), strict, breaker.Failure, &breakerhttp.StatusError{Code: 502}},
		"own instead of the breaker's": {fail(errBusy), func(cfg *breakerhttp.TransportConfig) {
			lenient(cfg)
			strict(cfg)
		}, breaker.Failure, errBusy},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, test.base, test.tweak)
			if resp, err := f.RoundTrip(get(t)); err == nil {
				_, _ = io.ReadAll(resp.Body)
			}
			done := f.one(t)
			assert.Equal(t, test.want, done.Outcome)
			assert.Equal(t, test.err, done.Err)
			assert.Equal(t, breaker.Closed, f.breaker.State())
		})
	}
}

func TestDefaultClassify(t *testing.T) {
	req := get(t)
	for status, want := range map[int]breaker.Outcome{
		200: breaker.Success, 204: breaker.Success, 304: breaker.Success, 400: breaker.Success,
		404: breaker.Success, 428: breaker.Success, 429: breaker.Failure, 499: breaker.Success,
		500: breaker.Failure, 503: breaker.Failure, 599: breaker.Failure, 999: breaker.Failure,
	} {
		assert.Equal(t, want, breakerhttp.DefaultClassify(req, &http.Response{StatusCode: status}, nil), status)
	}
	assert.Equal(t, breaker.Failure, breakerhttp.DefaultClassify(req, nil, nil), "nothing at all")
	assert.Equal(t, breaker.Failure, breakerhttp.DefaultClassify(req, &http.Response{StatusCode: 200}, errDial),
		"an error is above a status")
}

func TestStatusError(t *testing.T) {
	assert.EqualError(t, &breakerhttp.StatusError{Code: 503}, "breakerhttp: status 503 Service Unavailable")
	assert.EqualError(t, &breakerhttp.StatusError{Code: 599}, "breakerhttp: status 599")
}

// Without a Config.Clock the bubble's time is the breaker's.
func TestTransport_RecoversInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		transport := newTransport(t, breakerhttp.TransportConfig{
			Base: roundTrip(func(req *http.Request) (*http.Response, error) {
				if down {
					return nil, errDial
				}
				return answer(200, "ok")(req)
			}),
		})
		client := &http.Client{Transport: transport}
		ask := func() error {
			resp, err := client.Get("http://upstream/")
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			_, err = io.Copy(io.Discard, resp.Body)
			return err
		}
		for range 5 {
			require.ErrorIs(t, ask(), errDial)
		}
		var rejection *breaker.RejectedError
		require.ErrorAs(t, ask(), &rejection)
		require.Equal(t, 30*time.Second, rejection.RetryAfter())

		time.Sleep(rejection.RetryAfter() - 1)
		require.ErrorIs(t, ask(), breaker.ErrRejected)
		down = false
		time.Sleep(time.Nanosecond)
		for range 3 {
			require.NoError(t, ask())
		}
		assert.Equal(t, breaker.Closed, transport.Group().Get("upstream").State())
	})
}

// The same with a Mock, which also dates Retry-After.
func TestTransport_MockInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mock := clock.NewMock()
		transport := newTransport(t, breakerhttp.TransportConfig{
			Base: answer(503, "", "Retry-After", mock.Now().Add(time.Minute).UTC().Format(http.TimeFormat)),
			Group: breaker.GroupConfig[string]{
				Config: breaker.Config{Clock: mock},
			},
		})
		resp, err := transport.RoundTrip(get(t))
		require.NoError(t, err)
		require.Equal(t, 503, resp.StatusCode)
		b := transport.Group().Get("upstream.example")
		require.Equal(t, time.Minute, b.Snapshot().RetryAfter)
		mock.Add(time.Minute - 1)
		require.Equal(t, breaker.Open, b.State())
		mock.Add(1)
		require.Equal(t, breaker.HalfOpen, b.State())
	})
}
