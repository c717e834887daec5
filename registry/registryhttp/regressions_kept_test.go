package registryhttp_test

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// Services that come and go leave nothing.
func TestRegression_ClientsOfReleasedServices(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	f := newFixtureIn(t, r, answer(200, "x"), nil)
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for i := range 2000 {
		name := fmt.Sprint("job", i)
		l, err := r.Register(bg, registry.Instance{Service: name, Addr: "10.0.0.1:80"})
		require.NoError(t, err)
		resp, err := f.RoundTrip(mustReq(t, name))
		finish(t, resp, err)
		require.NoError(t, l.Deregister())
	}
	d := heap() - before
	t.Log(d/2000, "bytes each")
	assert.Less(t, d, int64(500_000))
	runtime.KeepAlive(f)
}

func mustReq(t *testing.T, host string) *http.Request {
	t.Helper()
	req, err := http.NewRequest("GET", "http://"+host+"/", nil)
	require.NoError(t, err)
	return req
}

// IsFailure panics at the end: the context of the attempt is let go.
func TestRegression_CancelAfterPanic(t *testing.T) {
	var ended func() error
	f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
		ended = req.Context().Err
		return nil, io.ErrUnexpectedEOF
	}), named("a"), attemptTimeout, func(cfg *registryhttp.TransportConfig) {
		cfg.Balancer.Retry.Attempts = -1
		cfg.Balancer.IsFailure = func(error) bool { panic("boom") }
	})
	aside(func() { _, _ = f.RoundTrip(get(t)) })
	assert.Zero(t, f.inFlight())
	assert.Error(t, ended())
}
