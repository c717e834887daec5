package registryhttp_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// HTTP/2, Content-Length, AttemptTimeout: the end of the stream comes after the last byte.
func TestRegression_HTTP2ContentLength(t *testing.T) {
	client, f := http2Pair(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.Header().Set("Trailer", "Sum")
		_, _ = io.WriteString(w, "hello")
		w.(http.Flusher).Flush()
		time.Sleep(50 * time.Millisecond)
		w.Header().Set("Sum", "42")
	}, func(cfg *registryhttp.TransportConfig) { cfg.Balancer.Retry.AttemptTimeout = time.Minute })
	resp, err := client.Get("http://orders/")
	require.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	assert.NoError(t, err)
	assert.Equal(t, "hello", string(text))
	assert.Equal(t, "42", resp.Trailer.Get("Sum"))
	resp.Body.Close()
	assert.Equal(t, success, f.one(t))
}

// A panic of Base is a failure whatever IsFailure says.
func TestRegression_PanicIsFailure(t *testing.T) {
	f := newFixture(t, roundTrip(func(*http.Request) (*http.Response, error) { panic("boom") }), named("a"),
		func(cfg *registryhttp.TransportConfig) {
			cfg.Balancer.IsFailure = func(err error) bool {
				var s *registryhttp.StatusError
				return errors.As(err, &s)
			}
		})
	aside(func() { _, _ = f.RoundTrip(get(t)) })
	assert.Equal(t, failure, f.one(t))
	assert.EqualValues(t, 1, f.member(t, "a").Failures)
}

type halfCloser struct {
	duplex
	closedWrite bool
}

func (h *halfCloser) CloseWrite() error { h.closedWrite = true; return nil }

// The body of 101 keeps CloseWrite, which httputil.ReverseProxy needs.
func TestRegression_CloseWrite(t *testing.T) {
	h := &halfCloser{duplex: duplex{ReadCloser: io.NopCloser(strings.NewReader("x"))}}
	f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
		return response(req, 101, h, 0), nil
	}), named("a"))
	resp, err := f.RoundTrip(get(t))
	require.NoError(t, err)
	c, ok := resp.Body.(interface{ CloseWrite() error })
	if assert.True(t, ok) {
		assert.NoError(t, c.CloseWrite())
	}
	resp.Body.Close()
}

// The whole of it: a half-closed tunnel through ReverseProxy delivers the answer.
func TestRegression_HalfCloseThroughProxy(t *testing.T) {
	for name, direct := range map[string]bool{"direct": true, "registryhttp": false} {
		t.Run(name, func(t *testing.T) { halfClose(t, direct) })
	}
}

func halfClose(t *testing.T, direct bool) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		all, _ := io.ReadAll(rw) // until the client half-closes
		time.Sleep(100 * time.Millisecond)
		_, _ = io.WriteString(conn, "got "+string(all))
	}))
	defer backend.Close()
	var rt http.RoundTripper
	host := "orders"
	if direct {
		rt, host = http.DefaultTransport.(*http.Transport).Clone(), backend.Listener.Addr().String()
	} else {
		rt = newFixture(t, nil, []registry.Instance{at("a", backend.Listener.Addr().String())})
	}
	proxy := httptest.NewServer(proxyTo(host, rt))
	defer proxy.Close()
	conn, err := net.Dial("tcp", proxy.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
	br := bufio.NewReader(conn)
	resp, err := http.ReadResponse(br, nil)
	require.NoError(t, err)
	require.Equal(t, 101, resp.StatusCode)
	_, _ = io.WriteString(conn, "hello")
	_ = conn.(*net.TCPConn).CloseWrite()
	all, err := io.ReadAll(br)
	assert.NoError(t, err)
	assert.Contains(t, string(all), "got hello")
}

// A request whose own body fails is not the fault of the instance.
func TestRegression_UploadFails(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer srv.Close()
	f := newFixture(t, nil, []registry.Instance{at("a", srv.Listener.Addr().String())})
	r, w := io.Pipe()
	go func() { _, _ = io.WriteString(w, "part"); w.CloseWithError(io.ErrUnexpectedEOF) }()
	_, err := f.RoundTrip(newRequest(t, "POST", r))
	require.Error(t, err)
	assert.EqualValues(t, 0, f.member(t, "a").Failures)
}

// What the user's code does at the end does not keep the connection.
func TestRegression_DonePanicsInClose(t *testing.T) {
	body := &script{}
	f := newFixture(t, deliver(200, func() io.ReadCloser { return body }, -1), named("a"),
		func(cfg *registryhttp.TransportConfig) {
			cfg.Balancer.Gate = nil
			cfg.Balancer.IsFailure = func(error) bool { panic("boom") }
			cfg.Balancer.Gate = func(*registry.Endpoint) balance.Gate {
				return balance.GateFunc(func(context.Context) (func(error), error) {
					return func(error) { panic("boom") }, nil
				})
			}
		})
	resp, err := f.RoundTrip(get(t))
	require.NoError(t, err)
	aside(func() { resp.Body.Close() })
	_, closes := body.seen()
	assert.Equal(t, 1, closes)
	assert.Zero(t, f.inFlight())
}

// The next pick does not leak if the end of the one before panics.
func TestRegression_DiscardPanics(t *testing.T) {
	f := newFixture(t, answer(503, "x"), named("a", "b"),
		func(cfg *registryhttp.TransportConfig) {
			cfg.Balancer.Gate = func(*registry.Endpoint) balance.Gate {
				return balance.GateFunc(func(context.Context) (func(error), error) {
					return func(error) { panic("boom") }, nil
				})
			}
		})
	aside(func() { _, _ = f.RoundTrip(get(t)) })
	assert.Zero(t, f.inFlight())
}

// The caller's deadline ends while a response is being discarded.
func TestRegression_EndedWhileDiscarding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
			n++
			if req.Context().Err() != nil {
				return nil, context.Cause(req.Context())
			}
			return response(req, 503, newStalled(), -1), nil
		}), named("a", "b"))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		start := time.Now()
		_, err := f.RoundTrip(get(t).WithContext(ctx))
		t.Log(n, err, time.Since(start))
		assert.LessOrEqual(t, time.Since(start), 50*time.Millisecond, "goes on reading although the caller has gone")
	})
}
