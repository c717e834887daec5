package breakerhttp_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
)

func deliver(body io.ReadCloser, status int, length int64) roundTrip {
	return func(req *http.Request) (*http.Response, error) { return response(req, status, body, length), nil }
}

func trustEarlyClose(cfg *breakerhttp.TransportConfig) { cfg.TrustEarlyClose = true }

// G43: the body decides, at its end, at an error, or when it is closed.
func TestG43_BodyDecides(t *testing.T) {
	errReset := errors.New("connection reset")
	const unknown = -1
	for name, test := range map[string]struct {
		reads   []read
		length  int64
		steps   int // Reads made before Close
		trust   bool
		want    breaker.Outcome
		byRead  int // how many Reads it takes for the report; 0: it comes with Close
		withErr error
	}{
		"end, unknown length":       {[]read{{"ab", nil}, {"", io.EOF}}, unknown, 2, false, breaker.Success, 2, nil},
		"end with the data":         {[]read{{"ab", io.EOF}}, unknown, 1, false, breaker.Success, 1, nil},
		"all of the length":         {[]read{{"ab", nil}, {"c", nil}}, 3, 2, false, breaker.Success, 2, nil},
		"all, and then an error":    {[]read{{"abc", errReset}}, 3, 1, false, breaker.Success, 1, nil},
		"end before the length":     {[]read{{"ab", nil}, {"", io.EOF}}, 3, 2, false, breaker.Success, 2, nil},
		"more than the length":      {[]read{{"ab", nil}, {"cd", nil}}, 2, 2, false, breaker.Success, 1, nil},
		"read error":                {[]read{{"ab", nil}, {"", errReset}}, unknown, 2, false, breaker.Failure, 2, errReset},
		"truncated":                 {[]read{{"ab", io.ErrUnexpectedEOF}}, 3, 1, false, breaker.Failure, 1, io.ErrUnexpectedEOF},
		"error before any data":     {[]read{{"", errReset}}, 3, 1, true, breaker.Failure, 1, errReset},
		"closed at once":            {[]read{{"abc", nil}}, 3, 0, false, breaker.Ignored, 0, nil},
		"closed early":              {[]read{{"ab", nil}}, 3, 1, false, breaker.Ignored, 0, nil},
		"closed early, trusted":     {[]read{{"ab", nil}}, 3, 1, true, breaker.Success, 0, nil},
		"closed at once, trusted":   {nil, unknown, 0, true, breaker.Success, 0, nil},
		"empty reads are no end":    {[]read{{"", nil}, {"", nil}}, unknown, 2, false, breaker.Ignored, 0, nil},
		"unknown length, not ended": {[]read{{"a", nil}, {"b", nil}}, unknown, 2, false, breaker.Ignored, 0, nil},
		"empty, closed at once":     {nil, 0, 0, false, breaker.Success, 0, nil},
		"empty, read":               {[]read{{"", io.EOF}}, 0, 1, false, breaker.Success, 1, nil},
		"length unset, read error":  {[]read{{"", errReset}}, 0, 1, false, breaker.Failure, 1, errReset},
		"length unset, truncated":   {[]read{{"ab", nil}, {"", errReset}}, 0, 2, true, breaker.Failure, 2, errReset},
		"length unset, not ended":   {[]read{{"ab", nil}}, 0, 1, false, breaker.Ignored, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			body := &script{reads: test.reads}
			f := newFixture(t, deliver(body, http.StatusOK, test.length), func(cfg *breakerhttp.TransportConfig) {
				cfg.TrustEarlyClose = test.trust
			})
			resp, err := f.RoundTrip(get(t))
			require.NoError(t, err)
			require.Empty(t, f.take(), "the header alone decides nothing")

			buf := make([]byte, 8)
			for i := range test.steps {
				n, err := resp.Body.Read(buf)
				assert.Equal(t, test.reads[i].data, string(buf[:n]), "data is passed on")
				assert.Equal(t, test.reads[i].err, err, "errors are passed on")
				if i+1 == test.byRead {
					done := f.one(t)
					assert.Equal(t, test.want, done.Outcome)
					assert.Equal(t, test.withErr, done.Err)
				} else {
					assert.Empty(t, f.take())
				}
			}
			require.EqualError(t, resp.Body.Close(), "close failed", "so are errors of Close")
			if test.byRead == 0 {
				assert.Equal(t, test.want, f.one(t).Outcome)
			}

			// Once is enough.
			_, _ = resp.Body.Read(buf)
			_ = resp.Body.Close()
			assert.Empty(t, f.take())
			assert.Equal(t, 2, body.closes)
		})
	}
}

func TestG43_ReadErrorAfterCancel(t *testing.T) {
	left := errors.New("user left")
	for name, test := range map[string]struct {
		cancel, err error
		want        breaker.Outcome
	}{
		"caller's cancel": {context.Canceled, context.Canceled, breaker.Ignored},
		"caller's cause":  {left, left, breaker.Ignored},
		"deadline":        {context.DeadlineExceeded, context.DeadlineExceeded, breaker.Failure},
		"other error":     {left, io.ErrUnexpectedEOF, breaker.Failure},
	} {
		t.Run(name, func(t *testing.T) {
			body := &script{reads: []read{{"ab", nil}, {"", test.err}}}
			f := newFixture(t, deliver(body, http.StatusOK, -1))
			f.halfOpen(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			resp, err := f.RoundTrip(get(t).WithContext(ctx))
			require.NoError(t, err)
			cancel(test.cancel)
			_, err = io.ReadAll(resp.Body)
			require.Equal(t, test.err, err)
			assert.Equal(t, test.want, f.one(t).Outcome)
			assert.Zero(t, f.breaker.Snapshot().Probes, "the slot is free")
		})
	}
}

// The classifier of the breaker judges errors of the body even if the transport
// has one of its own: that has had its say at the header.
func TestG43_ReadErrorIsJudgedByTheBreaker(t *testing.T) {
	body := &script{reads: []read{{"", io.ErrUnexpectedEOF}}}
	f := newFixture(t, deliver(body, http.StatusOK, -1), func(cfg *breakerhttp.TransportConfig) {
		cfg.Classify = breakerhttp.DefaultClassify
		cfg.Group.Config.Classify = func(context.Context, error) breaker.Outcome { return breaker.Ignored }
	})
	resp, err := f.RoundTrip(get(t))
	require.NoError(t, err)
	_, err = io.ReadAll(resp.Body)
	require.Equal(t, io.ErrUnexpectedEOF, err)
	assert.Equal(t, breaker.Ignored, f.one(t).Outcome)
}

// What is judged Failure or Ignored, or has no body to wait for, is reported
// with the header, and its Body is left as it is.
func TestG43_ReportedAtOnce(t *testing.T) {
	ignore404 := func(cfg *breakerhttp.TransportConfig) {
		cfg.Classify = func(req *http.Request, resp *http.Response, err error) breaker.Outcome {
			if resp != nil && resp.StatusCode == http.StatusNotFound {
				return breaker.Ignored
			}
			return breakerhttp.DefaultClassify(req, resp, err)
		}
	}
	plain := func() io.ReadCloser { return io.NopCloser(strings.NewReader("text")) }
	type test struct {
		method string
		status int
		body   io.ReadCloser
		length int64
		want   breaker.Outcome
	}
	for name, test := range map[string]test{
		"failure":              {"GET", 500, plain(), 4, breaker.Failure},
		"too many":             {"GET", 429, plain(), -1, breaker.Failure},
		"ignored":              {"GET", 404, plain(), 4, breaker.Ignored},
		"nil body":             {"GET", 200, nil, -1, breaker.Success},
		"http.NoBody":          {"GET", 200, http.NoBody, -1, breaker.Success},
		"HEAD":                 {"HEAD", 200, plain(), 4, breaker.Success},
		"no content":           {"GET", 204, plain(), -1, breaker.Success},
		"not modified":         {"GET", 304, plain(), 4, breaker.Success},
		"switching, read-only": {"GET", 101, plain(), -1, breaker.Success},
		"switching":            {"GET", 101, newPipe(), -1, breaker.Success},
		"writable":             {"GET", 200, newPipe(), -1, breaker.Success},
		"tunnel":               {"CONNECT", 200, newPipe(), -1, breaker.Success},
		"tunnel of net/http":   {"CONNECT", 200, io.NopCloser(strings.NewReader("x")), -1, breaker.Success},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, deliver(test.body, test.status, test.length), ignore404)
			resp, err := f.RoundTrip(newRequest(t, test.method, nil))
			require.NoError(t, err)
			assert.Equal(t, test.want, f.one(t).Outcome)
			assert.Equal(t, test.body, resp.Body, "untouched")
			if test.body != nil {
				_, _ = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				assert.Empty(t, f.take())
			}
		})
	}
}

// A tunnel that a proxy refuses is a response like any other.
func TestG43_RefusedTunnel(t *testing.T) {
	body := &script{reads: []read{{"ab", nil}, {"", io.ErrUnexpectedEOF}}}
	f := newFixture(t, deliver(body, http.StatusProxyAuthRequired, -1))
	resp, err := f.RoundTrip(newRequest(t, http.MethodConnect, nil))
	require.NoError(t, err)
	assert.Empty(t, f.take())
	_, _ = io.ReadAll(resp.Body)
	assert.Equal(t, breaker.Failure, f.one(t).Outcome)
}

// pipe is the Body of a switched connection.
type pipe struct{ *strings.Reader }

func newPipe() pipe { return pipe{strings.NewReader("frames")} }

func (pipe) Write(p []byte) (int, error) { return len(p), nil }
func (pipe) Close() error                { return nil }

func TestG43_SwitchedConnectionCanBeWritten(t *testing.T) {
	f := newFixture(t, deliver(newPipe(), http.StatusSwitchingProtocols, -1))
	resp, err := f.RoundTrip(get(t))
	require.NoError(t, err)
	conn, ok := resp.Body.(io.ReadWriteCloser)
	require.True(t, ok, "the body is an io.ReadWriteCloser")
	n, err := conn.Write([]byte("frame"))
	require.NoError(t, err)
	assert.Equal(t, 5, n)
}

// Scenario 29 over HTTP: a stream that stays alive closes the breaker long
// before its end.
func TestG43_ReadCallsProgress(t *testing.T) {
	body := &script{reads: []read{{"a", nil}, {"", nil}, {"b", nil}, {"c", nil}, {"", io.ErrUnexpectedEOF}}}
	f := newFixture(t, deliver(body, http.StatusOK, -1), func(cfg *breakerhttp.TransportConfig) {
		cfg.Group.Config.ProbeLease = 10 * time.Second
	})
	f.halfOpen(t)
	resp, err := f.RoundTrip(get(t))
	require.NoError(t, err)
	buf := make([]byte, 8)
	advance := func(d time.Duration) {
		f.clock.Add(d)
		_, err = resp.Body.Read(buf)
	}

	advance(4 * time.Second)
	require.NoError(t, err)
	require.Equal(t, 1, f.breaker.Snapshot().Probes, "too early")
	advance(2 * time.Second)
	require.NoError(t, err)
	require.Equal(t, 1, f.breaker.Snapshot().Probes, "no data, no progress")
	advance(0)
	require.NoError(t, err)
	require.Equal(t, breaker.Closed, f.breaker.State())
	assert.Equal(t, breaker.Success, f.one(t).Outcome)

	advance(time.Minute)
	require.NoError(t, err)
	advance(time.Minute)
	require.Equal(t, io.ErrUnexpectedEOF, err)
	assert.Empty(t, f.take(), "what comes later changes nothing")
	assert.Equal(t, breaker.Closed, f.breaker.State())
}

// A response that is dropped does not wedge the breaker: its lease ends.
func TestG43_LeaseCoversLostBody(t *testing.T) {
	f := newFixture(t, answer(200, "text"))
	f.halfOpen(t)
	_, err := f.RoundTrip(get(t))
	require.NoError(t, err)
	_, err = f.RoundTrip(get(t))
	require.ErrorIs(t, err, breaker.ErrTooManyProbes)

	f.clock.Add(10 * time.Second)
	_, err = f.RoundTrip(get(t))
	require.ErrorIs(t, err, breaker.ErrOpen, "the lost probe has failed")
	f.clock.Add(10 * time.Second)
	resp, err := f.RoundTrip(get(t))
	require.NoError(t, err)
	_, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, breaker.Closed, f.breaker.State())
}

// blocking is a Body whose Read waits for Close, as that of a silent server, and
// whose Close waits for the reader to have gone.
type blocking struct {
	reading, closed, gone chan struct{}
}

func (b *blocking) Read([]byte) (int, error) {
	close(b.reading)
	<-b.closed
	return 0, errors.New("read on closed response body")
}

func (b *blocking) Close() error {
	close(b.closed)
	<-b.gone
	return nil
}

// Close reports before the Read that it interrupts can.
func TestG43_CloseDuringRead(t *testing.T) {
	body := &blocking{make(chan struct{}), make(chan struct{}), make(chan struct{})}
	f := newFixture(t, deliver(body, http.StatusOK, -1))
	resp, err := f.RoundTrip(get(t))
	require.NoError(t, err)
	go func() {
		defer close(body.gone)
		_, err := resp.Body.Read(make([]byte, 1))
		assert.Error(t, err)
	}()
	<-body.reading
	require.NoError(t, resp.Body.Close())
	require.Equal(t, breaker.Ignored, f.one(t).Outcome, "not the failure of the interrupted read")
}

// Many goroutines at one body: no race, one report.
func TestG43_ConcurrentReadAndClose(t *testing.T) {
	for range 50 {
		f := newFixture(t, deliver(&script{reads: []read{{"a", nil}, {"b", nil}, {"", io.ErrUnexpectedEOF}}}, http.StatusOK, 2))
		resp, err := f.RoundTrip(get(t))
		require.NoError(t, err)
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				if i%3 == 2 {
					_ = resp.Body.Close()
					return
				}
				_, _ = resp.Body.Read(make([]byte, 1))
			})
		}
		wg.Wait()
		f.one(t)
	}
}

// The trap that TrustEarlyClose is for: a json.Decoder stops at the end of the
// value, and a chunked body has a little more.
func TestG43_DecoderThatStopsEarly(t *testing.T) {
	ask := func(f *fixture) {
		resp, err := f.RoundTrip(get(t))
		require.NoError(t, err)
		var v struct{ Total int }
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&v))
		require.Equal(t, 42, v.Total)
		_ = resp.Body.Close()
	}
	text := `{"Total":42}`
	chunked := func() roundTrip {
		return deliver(&script{reads: []read{{text, nil}}}, http.StatusOK, -1)
	}

	f := newFixture(t, chunked())
	f.halfOpen(t)
	ask(f)
	assert.Equal(t, breaker.Ignored, f.one(t).Outcome)
	assert.Equal(t, breaker.HalfOpen, f.breaker.State())

	f = newFixture(t, chunked(), trustEarlyClose)
	f.halfOpen(t)
	ask(f)
	assert.Equal(t, breaker.Success, f.one(t).Outcome)
	assert.Equal(t, breaker.Closed, f.breaker.State())

	f = newFixture(t, deliver(&script{reads: []read{{text, nil}}}, http.StatusOK, int64(len(text))))
	f.halfOpen(t)
	ask(f)
	assert.Equal(t, breaker.Success, f.one(t).Outcome, "with a Content-Length the end is known")
}

// A SlowRate rule looks at the time to the end of the body.
func TestG43_SlowBody(t *testing.T) {
	f := newFixture(t, answer(200, "text"), func(cfg *breakerhttp.TransportConfig) {
		cfg.Group.Config.Trip = breaker.SlowRate(2*time.Second, 0.5, 1, breaker.LastN(4))
	})
	resp, err := f.RoundTrip(get(t))
	require.NoError(t, err)
	f.clock.Add(2 * time.Second)
	_, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, breaker.Open, f.breaker.State())
	assert.Equal(t, breaker.ReasonSlowCalls, f.breaker.Snapshot().Reason)
}
