package registryhttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// What happens to a call whose first instance is in trouble, if there is a
// second one: the other answers, if the call may be sent twice.
func TestFaults_MovesOn(t *testing.T) {
	for name, test := range map[string]struct {
		serve          func(*wire)
		get, post, key bool // moves on with GET, with POST, with POST and a key
	}{
		"closed before the header": {say(""), true, false, true},
		"reset before the header":  {once((*wire).reset), true, false, true},
		"not HTTP":                 {say("SSH-2.0-OpenSSH_9.6\r\n"), true, false, true},
		"502":                      {always(502, strings.Repeat("x", 10_000)), true, false, true},
		"503":                      {always(503, "sorry", "Retry-After", "1"), true, false, true},
		"504":                      {say("HTTP/1.1 504 X\r\nContent-Length: 9\r\n\r\ncut"), true, false, true},
		"503 that stalls":          {once(func(w *wire) { w.send("HTTP/1.1 503 X\r\nContent-Length: 9\r\n\r\ncut"); w.wait() }), true, false, true},
		"500":                      {always(500, ""), false, false, false},
		"429":                      {always(429, "", "Retry-After", "1"), false, false, false},
		"404":                      {always(404, ""), false, false, false},
		"truncated":                {say(half), false, false, false},
		"slow header":              {once((*wire).wait), true, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := &http.Transport{}
			f := newFixture(t, base, nil, func(cfg *registryhttp.TransportConfig) {
				if name == "slow header" {
					cfg.Balancer.Retry.AttemptTimeout = 500 * time.Millisecond
				}
			})
			client := &http.Client{Transport: f}
			first := away(test.serve)(t, base, f.reg, "a")
			second := away(each(func(w *wire, req *http.Request) { w.answer(200, req.Header.Get("X-Body")) }))(t, base, f.reg, "b")
			for kind, want := range map[string]bool{"GET": test.get, "POST": test.post, "POST with a key": test.key} {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://orders/", nil)
				require.NoError(t, err)
				if kind != "GET" {
					repeatable("payload")(req)
				}
				if kind == "POST with a key" {
					req.Header.Set("Idempotency-Key", "1")
				}
				before, sent := second.requests.Load(), first.requests.Load()
				resp, err := client.Do(req)
				if err == nil {
					resp.Body.Close()
				}
				assert.Equal(t, want, second.requests.Load() > before, kind)
				assert.Positive(t, first.requests.Load()-sent, kind)
				if want {
					require.NoError(t, err, kind)
					assert.Equal(t, 200, resp.StatusCode, kind)
				}
			}
			assert.Zero(t, f.inFlight())
		})
	}
}

// S22: over the wire.
func TestFaults_RefusedMovesOn(t *testing.T) {
	base := &http.Transport{}
	f := newFixture(t, base, nil)
	register(t, f.reg, at("a", freeAddr(t)))
	server := newFaultServer(t, base, func(w *wire) {
		req, err := http.ReadRequest(w.r)
		if err != nil {
			return
		}
		text, _ := io.ReadAll(req.Body)
		w.answer(200, req.Method+" "+string(text))
		w.wait()
	})
	register(t, f.reg, server.instance("b"))
	req := get(t)
	repeatable("payload")(req)
	resp, err := f.RoundTrip(req)
	assert.Equal(t, "POST payload", finish(t, resp, err), "it was not sent, so that it is safe")
	assert.Equal(t, []string{"a failure", "b success"}, f.outcomes())
}

// A storm of errors: the budget bounds what retries add to it.
func TestFaults_Storm(t *testing.T) {
	base := &http.Transport{}
	f := newFixture(t, base, nil)
	var all []*faultServer
	for _, id := range []string{"a", "b", "c"} {
		all = append(all, away(always(503, strings.Repeat("sorry ", 1000)))(t, base, f.reg, id))
	}
	const calls = 100
	client := &http.Client{Transport: f}
	for range calls {
		resp, err := client.Get("http://orders/")
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err, "the body of a failure can be read")
		assert.Len(t, text, 6000)
		resp.Body.Close()
	}
	requests := int64(0)
	for _, s := range all {
		requests += s.requests.Load()
	}
	retries := f.stats(t).Retries
	assert.Equal(t, calls+int64(retries), requests)
	assert.InDelta(t, 10+0.2*calls, float64(retries), 1, "those in hand, and one for five calls")
}

// Retry-After over the wire, in all that servers make of it: it comes to the
// caller as it is, and to the gate with the status.
func TestFaults_RetryAfter(t *testing.T) {
	now := time.Date(2024, time.March, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"7": 7 * time.Second, "0": 0, "-7": 0, "1e18": 0, "soon": 0, "": 0,
		"1000000000000000000":           1<<63 - 1,
		"Fri, 01 Mar 2024 12:00:07 GMT": 7 * time.Second,
		"Thu, 01 Jan 1970 00:00:00 GMT": 0,
		"\xff\xfe":                      0,
	} {
		for _, status := range []int{429, 503} {
			base := &http.Transport{}
			f := newFixture(t, base, nil)
			away(always(status, "", "Retry-After", value))(t, base, f.reg, "a")
			resp, err := (&http.Client{Transport: f}).Get("http://orders/")
			finish(t, resp, err)
			assert.Equal(t, value, resp.Header.Get("Retry-After"))
			done := f.take()
			require.Len(t, done, 1)
			var told *registryhttp.StatusError
			require.ErrorAs(t, done[0].err, &told)
			assert.Equal(t, status, told.Code)
			assert.Equal(t, want, breakerhttp.RetryAfter(told.Header, now), "%d %q", status, value)
		}
	}
}

// stale answers one request and breaks off at the second of its connection.
func stale() func(*wire) {
	var first sync.Once
	return func(w *wire) {
		doomed := false
		first.Do(func() { doomed = true })
		if w.request(); !doomed {
			w.answer(200, "again")
			w.wait()
			return
		}
		w.answer(200, "first")
		w.request()
	}
}

// A kept connection that the instance has given up: http.Transport sends again
// what may be, to the same instance, and nothing is known of it here.
func TestFaults_StaleConnection(t *testing.T) {
	for name, test := range map[string]struct {
		ask  func(*http.Request)
		want outcome
		sent int64
	}{
		"GET":                          {nil, success, 3},
		"POST":                         {repeatable("payload"), failure, 2},
		"POST that cannot be repeated": {post(strings.NewReader("payload")), failure, 2},
	} {
		t.Run(name, func(t *testing.T) {
			base := &http.Transport{}
			f := newFixture(t, base, nil)
			client := &http.Client{Transport: f}
			server := away(stale())(t, base, f.reg, "a")
			_, text, err := call(client, get(t), make(chan struct{}))
			require.NoError(t, err)
			require.Equal(t, "first", text)
			require.Equal(t, success, f.one(t))

			req := get(t)
			if test.ask != nil {
				test.ask(req)
			}
			_, text, err = call(client, req, make(chan struct{}))
			assert.Equal(t, test.want == success, err == nil)
			assert.Equal(t, test.want == success, text == "again")
			assert.Equal(t, test.want, f.one(t))
			assert.Equal(t, test.sent, server.requests.Load())
		})
	}
}

// 101: the connection is the caller's from then on, to read and to write, and
// the instance is in use as long as it is open.
func TestFaults_Upgrade(t *testing.T) {
	base := &http.Transport{}
	f := newFixture(t, base, nil, attemptTimeout)
	away(once(func(w *wire) {
		w.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(w, w.r)
	}))(t, base, f.reg, "a")
	req := get(t)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	resp, err := (&http.Client{Transport: f}).Do(req)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)

	conn, ok := resp.Body.(io.ReadWriteCloser)
	require.True(t, ok)
	for _, frame := range []string{"ping", "pong"} {
		_, err = io.WriteString(conn, frame)
		require.NoError(t, err)
		buf := make([]byte, 4)
		_, err = io.ReadFull(conn, buf)
		require.NoError(t, err)
		assert.Equal(t, frame, string(buf))
	}
	assert.Equal(t, 1, f.inFlight())
	assert.Empty(t, f.take())
	require.NoError(t, conn.Close())
	assert.Zero(t, f.inFlight())
	assert.Equal(t, success, f.one(t))
}

// A body that its reader closes early takes its connection along.
func TestFaults_ClosedEarly(t *testing.T) {
	base := &http.Transport{}
	f := newFixture(t, base, nil)
	away(once(func(w *wire) { w.send(half); w.wait() }))(t, base, f.reg, "a")
	resp, err := (&http.Client{Transport: f}).Get("http://orders/")
	require.NoError(t, err)
	_, err = io.ReadFull(resp.Body, make([]byte, 4))
	require.NoError(t, err)
	assert.Equal(t, 1, f.inFlight())
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, success, f.one(t))
	assert.Zero(t, f.inFlight())
}

// Close gets a Read out that hangs in the network.
func TestFaults_CloseDuringRead(t *testing.T) {
	base := &http.Transport{}
	f := newFixture(t, base, nil)
	away(once(func(w *wire) { w.send(half); w.wait() }))(t, base, f.reg, "a")
	resp, err := f.RoundTrip(get(t))
	require.NoError(t, err)
	_, err = io.ReadFull(resp.Body, make([]byte, 4))
	require.NoError(t, err)
	reading := make(chan error)
	go func() {
		_, err := resp.Body.Read(make([]byte, 4))
		reading <- err
	}()
	require.NoError(t, resp.Body.Close())
	assert.Error(t, <-reading)
	assert.Equal(t, success, f.one(t))
	assert.Zero(t, f.inFlight())
}

// The trailer arrives in the map that the response had from the start.
func TestFaults_Trailer(t *testing.T) {
	base := &http.Transport{}
	f := newFixture(t, base, nil)
	away(say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n4\r\ntext\r\n0\r\nX-Sum: 1\r\n\r\n"))(t, base, f.reg, "a")
	resp, err := (&http.Client{Transport: f}).Get("http://orders/")
	assert.Equal(t, "text", finish(t, resp, err))
	assert.Equal(t, "1", resp.Trailer.Get("X-Sum"))
}

// An earlier response that can be read to its end leaves a connection that can
// be used again, and one that cannot takes it along.
func TestFaults_DiscardedConnections(t *testing.T) {
	for name, test := range map[string]struct {
		size int
		want int64 // connections for 5 calls
	}{"little": {100, 1}, "all there is": {4 << 10, 1}, "too much": {1 << 20, 5}} {
		t.Run(name, func(t *testing.T) {
			base := &http.Transport{}
			f := newFixture(t, base, nil, retrying(2))
			conns := int64(0)
			var mu sync.Mutex
			away(func(w *wire) {
				mu.Lock()
				conns++
				mu.Unlock()
				always(503, strings.Repeat("x", test.size))(w)
			})(t, base, f.reg, "a")
			away(always(200, "good"))(t, base, f.reg, "b")
			for range 5 {
				resp, err := f.RoundTrip(get(t))
				assert.Equal(t, "good", finish(t, resp, err))
			}
			mu.Lock()
			defer mu.Unlock()
			assert.Equal(t, test.want, conns)
		})
	}
}

// An attempt that ran into AttemptTimeout gives its connection up.
func TestFaults_AttemptTimeoutOfAll(t *testing.T) {
	base := &http.Transport{}
	f := newFixture(t, base, nil, func(cfg *registryhttp.TransportConfig) {
		cfg.Balancer.Retry.AttemptTimeout = 20 * time.Millisecond
	})
	for _, id := range []string{"a", "b"} {
		away(once((*wire).wait))(t, base, f.reg, id)
	}
	_, err := (&http.Client{Transport: f}).Get("http://orders/")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.False(t, errors.Is(err, context.Canceled), "nobody has cancelled")
	assert.Equal(t, []string{"a failure", "b failure"}, f.outcomes())
}
