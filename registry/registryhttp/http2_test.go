package registryhttp_test

import (
	"context"
	"encoding/binary"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// http2Pair is an instance that speaks HTTP/2, and a client that calls it.
func http2Pair(t *testing.T, handler http.HandlerFunc, tweaks ...tweak) (client *http.Client, f *fixture) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	client = server.Client()
	f = newFixture(t, client.Transport, nil, tweaks...)
	in := at("a", server.Listener.Addr().String())
	in.Scheme = "https"
	register(t, f.reg, in)
	client.Transport = f
	return client, f
}

// The body of HTTP/2 comes in its own time, and ends the pick.
func TestFaults_HTTP2Stream(t *testing.T) {
	more := make(chan struct{})
	client, f := http2Pair(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, 2, r.ProtoMajor)
		_, _ = io.WriteString(w, "first ")
		w.(http.Flusher).Flush()
		<-more
		_, _ = io.WriteString(w, "second")
	}, attemptTimeout)
	resp, err := client.Get("http://orders/")
	require.NoError(t, err)
	buf := make([]byte, 6)
	_, err = io.ReadFull(resp.Body, buf)
	require.NoError(t, err)
	assert.Equal(t, "first ", string(buf))
	assert.Equal(t, 1, f.inFlight())
	close(more)
	assert.Equal(t, "second", finish(t, resp, nil))
	assert.Equal(t, success, f.one(t))
	assert.Zero(t, f.inFlight())
}

// A stream that its handler aborts is a failure.
func TestFaults_HTTP2StreamReset(t *testing.T) {
	client, f := http2Pair(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "text")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	_, _, err := call(client, get(t), make(chan struct{}))
	require.Error(t, err)
	assert.Equal(t, failure, f.one(t))
}

// A stream that its caller cancels is nobody's failure.
func TestFaults_HTTP2Cancel(t *testing.T) {
	client, f := http2Pair(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "text")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	received := make(chan struct{})
	go func() {
		<-received
		cancel(errUpload)
	}()
	_, text, err := call(client, get(t).WithContext(ctx), received)
	require.Error(t, err)
	assert.Equal(t, "text", text)
	assert.Equal(t, ignored, f.one(t))
}

// An instance that says good-bye in good order does not fail, and the next call
// takes another connection (unless it is quicker than the good-bye).
func TestFaults_HTTP2GracefulGoAway(t *testing.T) {
	conns := make(map[string]bool)
	client, f := http2Pair(t, func(w http.ResponseWriter, r *http.Request) {
		conns[r.RemoteAddr] = true
		w.Header().Set("Connection", "close")
		_, _ = io.WriteString(w, "text")
	})
	for range 10 {
		_, text, err := call(client, get(t), make(chan struct{}))
		require.NoError(t, err)
		assert.Equal(t, "text", text)
		assert.Equal(t, success, f.one(t))
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

// An instance that says good-bye to a stream: one that it has looked at has
// failed, one that it has not is sent again by http.Transport, unless it was the
// very first and there is anger in the good-bye. A GET that failed goes to
// another instance.
func TestFaults_HTTP2GoAway(t *testing.T) {
	const noContent = "\x89" // status 204 in the static table of HPACK
	for name, test := range map[string]struct {
		last, code uint32
		want       outcome
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
			f := newFixture(t, base, nil)
			serve := func(angry bool) func(*wire) {
				return func(w *wire) {
					if !w.handshake() {
						return
					}
					if angry && w.server.requests.Load() == 1 {
						w.send(string(goAway(test.last, test.code)))
						return
					}
					const endHeaders, endStream = 4, 1
					w.send(string(frame(frameHeaders, endHeaders|endStream, 1, []byte(noContent))))
					w.wait()
				}
			}
			first := away(serve(true))(t, base, f.reg, "a")
			second := away(serve(false))(t, base, f.reg, "b")
			resp, err := (&http.Client{Transport: f}).Get("http://orders/")
			require.NoError(t, err)
			assert.Equal(t, http.StatusNoContent, resp.StatusCode)
			resp.Body.Close()
			assert.Equal(t, test.sent, first.requests.Load())
			want := []string{"a " + string(test.want)}
			if test.want == failure {
				want = append(want, "b success")
				assert.Equal(t, int64(1), second.requests.Load())
			}
			assert.Equal(t, want, f.outcomes())
			assert.Zero(t, f.inFlight())
		})
	}
}
