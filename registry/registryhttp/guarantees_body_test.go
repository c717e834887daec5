package registryhttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// G44: a pick ends at the end of the body, at an error, or at Close, whichever
// is first, and once.
func TestG44_PickEndsWithTheBody(t *testing.T) {
	const unknown = -1
	cut := io.ErrUnexpectedEOF
	for name, test := range map[string]struct {
		status int
		reads  []read
		length int64
		steps  int // Reads made before Close
		byRead int // how many Reads it takes to end the pick; 0: it ends with Close
		want   outcome
	}{
		"end, unknown length":       {200, []read{{"ab", nil}, {"", io.EOF}}, unknown, 2, 2, success},
		"end with the data":         {200, []read{{"ab", io.EOF}}, unknown, 1, 1, success},
		"all of the length":         {200, []read{{"ab", nil}, {"c", nil}}, 3, 2, 2, success},
		"all, and then an error":    {200, []read{{"abc", errReset}}, 3, 1, 1, success},
		"end before the length":     {200, []read{{"ab", nil}, {"", io.EOF}}, 3, 2, 2, success},
		"more than the length":      {200, []read{{"ab", nil}, {"cd", nil}}, 2, 2, 1, success},
		"read error":                {200, []read{{"ab", nil}, {"", errReset}}, unknown, 2, 2, failure},
		"truncated":                 {200, []read{{"ab", cut}}, 3, 1, 1, failure},
		"error before any data":     {200, []read{{"", errReset}}, 3, 1, 1, failure},
		"closed at once":            {200, []read{{"abc", nil}}, 3, 0, 0, success},
		"closed early":              {200, []read{{"ab", nil}}, 3, 1, 0, success},
		"empty reads are no end":    {200, []read{{"", nil}, {"", nil}}, unknown, 2, 0, success},
		"unknown length, not ended": {200, []read{{"a", nil}, {"b", nil}}, unknown, 2, 0, success},
		"length unset, empty":       {200, nil, 0, 0, 0, success},
		"length unset, with data":   {200, []read{{"ab", nil}}, 0, 1, 0, success},
		"length unset, empty reads": {200, []read{{"", nil}, {"ab", nil}}, 0, 2, 0, success},
		"length unset, read error":  {200, []read{{"ab", nil}, {"", errReset}}, 0, 2, 2, failure},
		"404":                       {404, []read{{"ab", io.EOF}}, 2, 1, 1, success},
		"404 cut off":               {404, []read{{"ab", cut}}, 3, 1, 1, failure},
		"404 closed":                {404, []read{{"ab", nil}}, 3, 1, 0, success},
		"500":                       {500, []read{{"ab", io.EOF}}, 2, 1, 1, failure},
		"500 closed":                {500, nil, 2, 0, 0, failure},
		"429 cut off":               {429, []read{{"ab", cut}}, 3, 1, 1, failure},
	} {
		t.Run(name, func(t *testing.T) {
			body := &script{reads: test.reads}
			f := newFixture(t, deliver(test.status, func() io.ReadCloser { return body }, test.length), named("a"))
			resp, err := f.RoundTrip(get(t))
			require.NoError(t, err)
			require.Empty(t, f.take(), "the header alone decides nothing")
			require.Equal(t, 1, f.inFlight())

			buf := make([]byte, 8)
			for i := range test.steps {
				n, err := resp.Body.Read(buf)
				assert.Equal(t, test.reads[i].data, string(buf[:n]), "data is passed on")
				assert.Equal(t, test.reads[i].err, err, "errors are passed on")
				ended := test.byRead > 0 && i+1 >= test.byRead
				assert.Equal(t, map[bool]int{false: 1}[ended], f.inFlight(), "in flight after Read %d", i+1)
			}
			require.Equal(t, errClose, resp.Body.Close(), "so are errors of Close")
			assert.Zero(t, f.inFlight())
			assert.Equal(t, test.want, f.one(t))

			// Once is enough.
			_, _ = resp.Body.Read(buf)
			_ = resp.Body.Close()
			assert.Empty(t, f.take())
			assert.Zero(t, f.inFlight())
			_, closes := body.seen()
			assert.Equal(t, 2, closes)
		})
	}
}

// G44: the pick is ended before Close of the body is called, which may wait for
// the network.
func TestG44_CloseEndsThePickFirst(t *testing.T) {
	var f *fixture
	after := -1
	body := closer(func() { after = f.inFlight() })
	f = newFixture(t, deliver(200, func() io.ReadCloser { return body }, -1), named("a"))
	resp, err := f.RoundTrip(get(t))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Zero(t, after)
}

// A closer is an endless Body that tells when it is closed.
type closer func()

func (closer) Read(p []byte) (int, error) { return len(p), nil }

func (c closer) Close() error {
	c()
	return nil
}

// G44: Close gets another goroutine out of a Read that hangs; that is no
// failure, and counted once.
func TestG44_CloseDuringRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, deliver(200, func() io.ReadCloser { return newStalled() }, -1), named("a"))
		resp, err := f.RoundTrip(get(t))
		require.NoError(t, err)
		result := make(chan error)
		go func() {
			_, err := resp.Body.Read(make([]byte, 8))
			result <- err
		}()
		synctest.Wait()
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, errStalled, <-result)
		assert.Equal(t, success, f.one(t))
		assert.Zero(t, f.inFlight())
	})
}

// G44: Read and Close at the same time end the pick once, for the race detector.
func TestG44_ConcurrentReadAndClose(t *testing.T) {
	f := newFixture(t, deliver(200, func() io.ReadCloser {
		return &script{reads: []read{{"ab", nil}, {"", errReset}}}
	}, -1), named("a"), attemptTimeout)
	for range 500 {
		resp, err := f.RoundTrip(get(t))
		require.NoError(t, err)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				buf := make([]byte, 8)
				for {
					if _, err := resp.Body.Read(buf); err != nil {
						return
					}
				}
			})
			wg.Go(func() { resp.Body.Close() })
		}
		wg.Wait()
		require.Len(t, f.take(), 1)
		require.Zero(t, f.inFlight())
	}
}

// G44: a latency is the time to the headers, however long the body takes.
func TestG44_LatencyIsTimeToHeaders(t *testing.T) {
	const wait = 50 * time.Millisecond
	for name, end := range map[string]func(*testing.T, *http.Response){
		"read": func(t *testing.T, resp *http.Response) { finish(t, resp, nil) },
		"closed": func(t *testing.T, resp *http.Response) {
			require.NoError(t, resp.Body.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubbles(t, mockOrNil, func(t *testing.T, makeClock clockMaker) {
				mock := makeClock()
				f := newFixtureIn(t, newRegistry(t, config(mock)), roundTrip(func(req *http.Request) (*http.Response, error) {
					pass(mock, wait)
					return answer(200, "text")(req)
				}), named("a"))
				resp, err := f.RoundTrip(get(t))
				require.NoError(t, err)
				assert.Zero(t, f.member(t, "a").Latency, "it is told with the outcome")
				pass(mock, time.Minute)
				end(t, resp)
				assert.Equal(t, wait, f.member(t, "a").Latency)
			})
		})
	}
}

// G44: so it is for what has no body, and for an error.
func TestG44_LatencyWithoutBody(t *testing.T) {
	const wait = 50 * time.Millisecond
	bubbles(t, map[string]roundTrip{"no body": deliver(204, func() io.ReadCloser { return http.NoBody }, 0), "error": fail(errReset)},
		func(t *testing.T, base roundTrip) {
			f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
				time.Sleep(wait)
				return base(req)
			}), named("a"))
			resp, err := f.RoundTrip(get(t))
			if err == nil {
				resp.Body.Close()
			}
			assert.Equal(t, wait, f.member(t, "a").Latency)
		})
}

// G44, G26: a broken body is a failure, unless it was the caller who gave up,
// with whatever cause.
func TestG44_BrokenBody(t *testing.T) {
	left := errors.New("user left")
	for name, test := range map[string]struct {
		cancel error // nil: the caller is there
		err    error
		want   outcome
	}{
		"caller is there":              {nil, errReset, failure},
		"caller's cancel":              {context.Canceled, context.Canceled, ignored},
		"caller's cancel, other error": {context.Canceled, errReset, ignored},
		"caller's cause":               {left, left, ignored},
		"caller's cause, other error":  {left, io.ErrUnexpectedEOF, ignored},
		"deadline of a Clock":          {context.DeadlineExceeded, context.DeadlineExceeded, failure},
	} {
		t.Run(name, func(t *testing.T) {
			body := &script{reads: []read{{"ab", nil}, {"", test.err}}}
			f := newFixture(t, deliver(200, func() io.ReadCloser { return body }, -1), named("a"))
			ctx, cancel := context.WithCancelCause(t.Context())
			resp, err := f.RoundTrip(get(t).WithContext(ctx))
			require.NoError(t, err)
			if test.cancel != nil {
				cancel(test.cancel)
			}
			defer cancel(nil)
			_, err = io.ReadAll(resp.Body)
			require.Equal(t, test.err, err)
			assert.Equal(t, test.want, f.one(t))
			assert.Equal(t, map[bool]uint64{true: 1}[test.want == failure], f.member(t, "a").Failures)
		})
	}
}

// G44, G26: the deadline of the caller is a failure: the instance was too slow.
func TestG44_BodyBeyondDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		body := newStalled()
		context.AfterFunc(ctx, func() { _ = body.Close() })
		f := newFixture(t, deliver(200, func() io.ReadCloser { return body }, -1), named("a"))
		resp, err := f.RoundTrip(get(t).WithContext(ctx))
		require.NoError(t, err)
		_, err = io.ReadAll(resp.Body)
		require.Equal(t, errStalled, err)
		assert.Equal(t, failure, f.one(t))
	})
}

// G44: what has no body is over with its headers, and Body is left as it is.
func TestG44_NoBody(t *testing.T) {
	plain := &script{}
	for name, test := range map[string]struct {
		method string
		status int
		body   io.ReadCloser
		length int64
	}{
		"HEAD":           {http.MethodHead, 200, plain, 9},
		"204":            {http.MethodGet, 204, plain, 0},
		"304":            {http.MethodGet, 304, plain, 9},
		"NoBody":         {http.MethodGet, 200, http.NoBody, 0},
		"nil":            {http.MethodGet, 200, nil, 0},
		"HEAD, failure":  {http.MethodHead, 500, plain, 9},
		"empty, failure": {http.MethodGet, 500, http.NoBody, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, deliver(test.status, func() io.ReadCloser { return test.body }, test.length), named("a"))
			resp, err := f.RoundTrip(newRequest(t, test.method, nil))
			require.NoError(t, err)
			assert.Zero(t, f.inFlight())
			assert.Equal(t, map[bool]outcome{true: failure, false: success}[test.status == 500], f.one(t))
			assert.Equal(t, test.body, resp.Body)
		})
	}
}

// G44, G22: a drain waits for bodies.
func TestG44_DrainWaitsForTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		f := newFixtureIn(t, r, answer(200, "text"), nil)
		lease := register(t, r, instance("a"))
		resp, err := f.RoundTrip(get(t))
		require.NoError(t, err)
		drained := make(chan error, 1)
		go func() { drained <- lease.Drain(bg) }()
		synctest.Wait()
		assert.Empty(t, drained)
		finish(t, resp, nil)
		synctest.Wait()
		require.Len(t, drained, 1)
		assert.NoError(t, <-drained)
	})
}
