package breakerhttp_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

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

// A storm of errors reaches the server as often as the rule allows, and no more.
func TestFaults_Storm(t *testing.T) {
	base := &http.Transport{}
	f := newFixture(t, base)
	client := &http.Client{Transport: f}
	server := newFaultServer(t, base, always(500, strings.Repeat("sorry ", 1000)))
	for i := range 100 {
		resp, err := client.Get(server.url())
		if i >= 3 {
			require.ErrorIs(t, err, breaker.ErrOpen)
			continue
		}
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err, "the body of a failure can be read")
		resp.Body.Close()
	}
	assert.Equal(t, int64(3), server.requests.Load())
	assert.Equal(t, uint64(97), f.breaker.Snapshot().Rejected)
}

// Retry-After over the wire, in all that servers make of it.
func TestFaults_RetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"7": 7 * time.Second, " 7 ": 7 * time.Second, "0": 0, "-7": 0, "1e18": 0, "soon": 0, "": 0,
		"1000000000000000000":            5 * time.Minute,
		"99999999999999999999":           5 * time.Minute,
		"Fri, 01 Mar 2024 12:00:07 GMT":  7 * time.Second,
		"Friday, 01-Mar-24 12:00:07 GMT": 7 * time.Second,
		"Fri Mar  1 12:00:07 2024":       7 * time.Second,
		"Thu, 01 Jan 1970 00:00:00 GMT":  0,
		"7\r\nRetry-After: 9":            7 * time.Second,
		"7, 9":                           0,
		strings.Repeat("7", 4000):        5 * time.Minute,
		"\xff\xfe":                       0,
	} {
		for _, status := range []int{429, 503} {
			base := &http.Transport{}
			f := newFixture(t, base)
			server := newFaultServer(t, base, always(status, "", "Retry-After", value))
			resp, err := (&http.Client{Transport: f}).Get(server.url())
			require.NoError(t, err)
			resp.Body.Close()
			assert.Equal(t, want, f.breaker.Snapshot().RetryAfter, "%d %q", status, value)
			assert.Equal(t, breaker.Failure, f.one(t).Outcome)
		}
	}
}

// A kept connection that the server has given up: what may be sent again is,
// by http.Transport, and the breaker sees one success; what may not is a
// failure and reaches the server once.
func TestFaults_StaleConnection(t *testing.T) {
	for name, test := range map[string]struct {
		ask  func(*http.Request)
		want breaker.Outcome
		sent int64
	}{
		"GET":                          {nil, success, 3},
		"POST":                         {repeatable("payload"), failure, 2},
		"POST that cannot be repeated": {post(strings.NewReader("payload")), failure, 2},
		"POST with a key": {func(req *http.Request) {
			repeatable("payload")(req)
			req.Header.Set("Idempotency-Key", "1")
		}, success, 3},
	} {
		t.Run(name, func(t *testing.T) {
			base := &http.Transport{}
			f := newFixture(t, base)
			client := &http.Client{Transport: f}
			server := newFaultServer(t, base, stale())
			_, text, err := call(client, mustRequest(t, server.url()), make(chan struct{}))
			require.NoError(t, err)
			require.Equal(t, "first", text)
			require.Equal(t, breaker.Success, f.one(t).Outcome)

			req := mustRequest(t, server.url())
			if test.ask != nil {
				test.ask(req)
			}
			_, text, err = call(client, req, make(chan struct{}))
			assert.Equal(t, test.want == success, err == nil)
			assert.Equal(t, test.want == success, text == "again")
			assert.Equal(t, test.want, f.one(t).Outcome)
			assert.Equal(t, test.sent, server.requests.Load())
		})
	}
}

func mustRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	return req
}

// 101: the connection is the caller's from then on, to read and to write.
func TestFaults_Upgrade(t *testing.T) {
	base := &http.Transport{}
	f := newFixture(t, base)
	server := newFaultServer(t, base, once(func(w *wire) {
		w.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(w, w.r)
	}))
	req := mustRequest(t, server.url())
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	resp, err := (&http.Client{Transport: f}).Do(req)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	assert.Equal(t, breaker.Success, f.one(t).Outcome, "reported at once")

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
	require.NoError(t, conn.Close())
	assert.Empty(t, f.take())
}

// A body that its reader closes early takes its connection along, and is no
// verdict.
func TestFaults_ClosedEarly(t *testing.T) {
	base := &http.Transport{}
	f := newFixture(t, base)
	server := newFaultServer(t, base, once(func(w *wire) { w.send(half); w.wait() }))
	resp, err := (&http.Client{Transport: f}).Get(server.url())
	require.NoError(t, err)
	_, err = io.ReadFull(resp.Body, make([]byte, 4))
	require.NoError(t, err)
	assert.Empty(t, f.take())
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, breaker.Ignored, f.one(t).Outcome)
}

// The trailer arrives in the map that the response had from the start.
func TestFaults_Trailer(t *testing.T) {
	base := &http.Transport{}
	f := newFixture(t, base)
	server := newFaultServer(t, base, say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n4\r\ntext\r\n0\r\nX-Sum: 1\r\n\r\n"))
	resp, err := (&http.Client{Transport: f}).Get(server.url())
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "1", resp.Trailer.Get("X-Sum"))
	assert.Equal(t, breaker.Success, f.one(t).Outcome)
}
