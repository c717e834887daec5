package breakerhttp_test

import (
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
)

// http2Pair is an HTTP/2 server behind Middleware and a client behind
// Transport.
func http2Pair(t *testing.T, handler http.HandlerFunc) (client *http.Client, url string, f *fixture, served chan breaker.Completion) {
	t.Helper()
	served = make(chan breaker.Completion, 16)
	b := newBreaker(t, func(cfg *breaker.Config) {
		cfg.Trip = breaker.ConsecutiveFailures(100)
		cfg.Hooks = onDone(served)
	})
	server := httptest.NewUnstartedServer(breakerhttp.Middleware(b)(handler))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = discardLog()
	server.StartTLS()
	t.Cleanup(server.Close)
	client = server.Client()
	f = newFixture(t, client.Transport)
	client.Transport = f
	return client, server.URL, f, served
}

// Scenario 34 over HTTP/2: Flush works, and what HTTP/2 does not have is not
// claimed.
func TestG45_FlushHTTP2(t *testing.T) {
	more := make(chan struct{})
	client, url, f, served := http2Pair(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, 2, r.ProtoMajor)
		_, isHijacker := w.(http.Hijacker)
		assert.False(t, isHijacker)
		_, isReaderFrom := w.(io.ReaderFrom)
		assert.False(t, isReaderFrom)
		_, _, err := http.NewResponseController(w).Hijack()
		assert.ErrorIs(t, err, http.ErrNotSupported)
		_, _ = io.WriteString(w, "first ")
		w.(http.Flusher).Flush()
		<-more
		_, _ = io.WriteString(w, "second")
		assert.NoError(t, http.NewResponseController(w).Flush())
	})
	resp, err := client.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	buf := make([]byte, 6)
	_, err = io.ReadFull(resp.Body, buf)
	require.NoError(t, err)
	assert.Equal(t, "first ", string(buf))
	assert.Empty(t, f.take())
	close(more)
	rest, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "second", string(rest))
	assert.Equal(t, breaker.Success, f.one(t).Outcome)
	assert.Equal(t, breaker.Success, (<-served).Outcome)
}

// A stream that its handler aborts fails on both sides.
func TestFaults_HTTP2StreamReset(t *testing.T) {
	client, url, f, served := http2Pair(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "text")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	_, _, err := call(client, mustRequest(t, url), make(chan struct{}))
	require.Error(t, err)
	assert.Equal(t, breaker.Failure, f.one(t).Outcome)
	assert.Equal(t, breaker.Failure, (<-served).Outcome)
}

// A stream that its caller cancels is ignored on both sides.
func TestFaults_HTTP2Cancel(t *testing.T) {
	client, url, f, served := http2Pair(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "text")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	})
	ctx, cancel := context.WithCancel(t.Context())
	received := make(chan struct{})
	go func() {
		<-received
		cancel()
	}()
	_, text, err := call(client, mustRequest(t, url).WithContext(ctx), received)
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, "text", text)
	assert.Equal(t, breaker.Ignored, f.one(t).Outcome)
	assert.Equal(t, breaker.Ignored, (<-served).Outcome)
}

// A server that says good-bye in good order: nobody fails, and the next call
// takes another connection (unless it is quicker than the good-bye).
func TestFaults_HTTP2GracefulGoAway(t *testing.T) {
	conns := make(map[string]bool)
	client, url, f, served := http2Pair(t, func(w http.ResponseWriter, r *http.Request) {
		conns[r.RemoteAddr] = true
		w.Header().Set("Connection", "close")
		_, _ = io.WriteString(w, "text")
	})
	for range 10 {
		_, text, err := call(client, mustRequest(t, url), make(chan struct{}))
		require.NoError(t, err)
		assert.Equal(t, "text", text)
		assert.Equal(t, breaker.Success, f.one(t).Outcome)
		assert.Equal(t, breaker.Success, (<-served).Outcome)
	}
	assert.Greater(t, len(conns), 1)
}

// Frames of HTTP/2, as far as a server needs them that has only one thing to
// say. See RFC 9113.
const (
	frameHeaders  = 1
	frameSettings = 4
	frameGoAway   = 7

	noError         = 0
	enhanceYourCalm = 11
)

func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	f := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	f = append(f, flags)
	f = binary.BigEndian.AppendUint32(f, stream)
	return append(f, payload...)
}

// goAway tells which stream is the last that the server looked at.
func goAway(last, code uint32) []byte {
	payload := binary.BigEndian.AppendUint32(nil, last)
	return frame(frameGoAway, 0, 0, binary.BigEndian.AppendUint32(payload, code))
}

// handshake reads up to the header of the first stream.
func (w *wire) handshake() bool {
	if _, err := io.ReadFull(w.r, make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
		return false
	}
	w.send(string(frame(frameSettings, 0, 0, nil)))
	for {
		head := make([]byte, 9)
		if _, err := io.ReadFull(w.r, head); err != nil {
			return false
		}
		length := binary.BigEndian.Uint32(head) >> 8
		if _, err := io.CopyN(io.Discard, w.r, int64(length)); err != nil {
			return false
		}
		if head[3] == frameHeaders {
			w.server.requests.Add(1)
			return true
		}
	}
}

// A server that says good-bye to a stream: one that it has looked at has failed,
// one that it has not is sent again by http.Transport, unless it was the very
// first and there is anger in the good-bye.
func TestFaults_HTTP2GoAway(t *testing.T) {
	const noContent = "\x89" // status 204 in the static table of HPACK
	for name, test := range map[string]struct {
		last, code uint32
		want       breaker.Outcome
		sent       int64
	}{
		"looked at":                {1, noError, failure, 1},
		"looked at, in anger":      {1, enhanceYourCalm, failure, 1},
		"not looked at":            {0, noError, success, 2},
		"not looked at, but angry": {0, enhanceYourCalm, failure, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var protocols http.Protocols
			protocols.SetUnencryptedHTTP2(true)
			base := &http.Transport{Protocols: &protocols}
			f := newFixture(t, base)
			server := newFaultServer(t, base, func(w *wire) {
				if !w.handshake() {
					return
				}
				if w.server.requests.Load() == 1 {
					w.send(string(goAway(test.last, test.code)))
					return
				}
				const endHeaders, endStream = 4, 1
				w.send(string(frame(frameHeaders, endHeaders|endStream, 1, []byte(noContent))))
				w.wait()
			})
			resp, err := (&http.Client{Transport: f}).Get(server.url())
			if test.want == success {
				require.NoError(t, err)
				assert.Equal(t, http.StatusNoContent, resp.StatusCode)
				resp.Body.Close()
			} else {
				assert.Error(t, err)
			}
			assert.Equal(t, test.want, f.one(t).Outcome)
			assert.Equal(t, test.sent, server.requests.Load())
		})
	}
}
