package breakerhttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
)

// reusable is a Base that allocates nothing: always the same response, with a
// body of one byte.
type reusable struct {
	resp http.Response
	body oneByte
}

type oneByte struct{ done bool }

func (b *oneByte) Read(p []byte) (int, error) {
	if b.done {
		return 0, io.EOF
	}
	b.done = true
	return 1, nil
}

func (*oneByte) Close() error { return nil }

func newReusable(length int64) *reusable {
	r := &reusable{resp: http.Response{StatusCode: http.StatusOK, Header: make(http.Header)}}
	r.resp.ContentLength = length
	return r
}

func (r *reusable) RoundTrip(*http.Request) (*http.Response, error) {
	r.body.done = false
	r.resp.Body = &r.body
	return &r.resp, nil
}

// consume makes a round trip and reads the body to its end.
func consume(rt http.RoundTripper, req *http.Request, buf []byte) error {
	resp, err := rt.RoundTrip(req)
	for err == nil {
		_, err = resp.Body.Read(buf)
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	return resp.Body.Close()
}

// The one allocation of a guarded round trip is the wrapper of its body, which
// holds the permit.
func TestAllocs_Transport(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	req, buf := newRequest(t, http.MethodGet, nil), make([]byte, 8)
	req.URL.Host = "upstream" // one in upper case has to be folded
	cancellable, cancel := context.WithCancel(t.Context())
	defer cancel()
	b := newBreaker(t)

	for name, test := range map[string]struct {
		cfg  breakerhttp.TransportConfig
		req  *http.Request
		base http.RoundTripper
	}{
		"body, Content-Length":  {breakerhttp.TransportConfig{}, req, newReusable(1)},
		"body, unknown length":  {breakerhttp.TransportConfig{}, req, newReusable(-1)},
		"no body":               {breakerhttp.TransportConfig{}, req, newReusable(0)},
		"cancellable":           {breakerhttp.TransportConfig{}, req.WithContext(cancellable), newReusable(-1)},
		"chosen":                {breakerhttp.TransportConfig{Choose: func(*http.Request) *breaker.Breaker { return b }}, req, newReusable(1)},
		"windows of every kind": {breakerhttp.TransportConfig{Group: rated()}, req, newReusable(1)},
	} {
		t.Run(name, func(t *testing.T) {
			test.cfg.Base = test.base
			transport := newTransport(t, test.cfg)
			for range 3 { // the breaker of a new key, and its windows
				require.NoError(t, consume(transport, test.req, buf))
			}
			assert.Equal(t, 1.0, testing.AllocsPerRun(200, func() { _ = consume(transport, test.req, buf) }))
		})
	}
}

func rated() breaker.GroupConfig[string] {
	return breaker.GroupConfig[string]{Config: breaker.Config{Trip: breaker.Any(
		breaker.FailureRate(0.5, 0, breaker.LastN(10)),
		breaker.SlowRate(1e9, 0.5, 0, breaker.Within(1e9)),
	)}}
}

// A rejection costs the same, and an unguarded round trip nothing.
func TestAllocs_Rejected(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	req, buf := newRequest(t, http.MethodGet, nil), make([]byte, 8)
	b := newBreaker(t)
	b.ForceOpen(nil)
	transport := newTransport(t, breakerhttp.TransportConfig{
		Base:   newReusable(1),
		Choose: func(*http.Request) *breaker.Breaker { return b },
	})
	assert.LessOrEqual(t, testing.AllocsPerRun(200, func() {
		_, _ = transport.RoundTrip(req)
	}), 1.0)
	require.Equal(t, uint64(201), b.Snapshot().Rejected)
	b = nil
	require.NoError(t, consume(transport, req, buf))
	assert.Zero(t, testing.AllocsPerRun(200, func() { _ = consume(transport, req, buf) }))
}

func TestAllocs_Middleware(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	handler := breakerhttp.Middleware(newBreaker(t))(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	calls := 0
	w, req := able(true, true, true, &calls), newRequest(t, http.MethodGet, nil)
	assert.LessOrEqual(t, testing.AllocsPerRun(200, func() {
		w.(interface{ reset() }).reset()
		handler.ServeHTTP(w, req)
	}), 2.0)
}
