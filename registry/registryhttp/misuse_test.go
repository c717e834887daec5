package registryhttp_test

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// The error of NewTransport names every bad field with its value.
func TestNewTransport_Invalid(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	_, err := registryhttp.NewTransport(r, registryhttp.TransportConfig{Balancer: balance.Config{
		SpillBelow: 2, PanicThreshold: math.NaN(),
		Retry:   balance.Retry{Burst: -3},
		Outlier: &balance.Outlier{Base: -time.Second},
	}})
	for _, want := range []string{"registryhttp: Balancer: ", "SpillBelow is 2", "PanicThreshold is NaN", "Retry.Burst is -3", "Outlier.Base is -1s"} {
		assert.ErrorContains(t, err, want)
	}
	assert.PanicsWithError(t, err.Error(), func() {
		registryhttp.MustNewTransport(r, registryhttp.TransportConfig{Balancer: balance.Config{
			SpillBelow: 2, PanicThreshold: math.NaN(),
			Retry:   balance.Retry{Burst: -3},
			Outlier: &balance.Outlier{Base: -time.Second},
		}})
	})
	assert.Zero(t, r.Stats().Services)
}

func TestMisuse(t *testing.T) {
	const useNew = "registryhttp: nil or zero Transport, use NewTransport"
	const noRegistry = "registryhttp: nil *registry.Registry"
	_, err := registryhttp.NewTransport(nil, registryhttp.TransportConfig{})
	require.EqualError(t, err, noRegistry)
	assert.PanicsWithError(t, noRegistry, func() { registryhttp.MustNewTransport(nil, registryhttp.TransportConfig{}) })
	_, err = registryhttp.NewHandler(nil, registryhttp.HandlerConfig{})
	require.EqualError(t, err, noRegistry)

	for _, tr := range []*registryhttp.Transport{nil, new(registryhttp.Transport)} {
		_, err = tr.RoundTrip(get(t))
		require.EqualError(t, err, useNew)
		_, err = tr.RoundTrip(nil)
		require.EqualError(t, err, "registryhttp: nil *http.Request")
		_, err = tr.Balancer(orders)
		require.EqualError(t, err, useNew)
		tr.CloseIdleConnections()
	}

	f := newFixture(t, answer(200, ""), named("a"))
	_, err = f.RoundTrip(nil)
	require.EqualError(t, err, "registryhttp: nil *http.Request")
	req := get(t)
	req.URL = nil
	_, err = f.RoundTrip(req)
	require.EqualError(t, err, "registryhttp: nil Request.URL")
}

// NewHandler names everything that is wrong, in order.
func TestNewHandler_Invalid(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	_, err := registryhttp.NewHandler(r, registryhttp.HandlerConfig{
		Leases: []*registry.Lease{register(t, r, instance("a")), nil},
		Checks: map[string]func(context.Context) error{"z": nil, "ok": func(context.Context) error { return nil }, "db": nil},
	})
	require.EqualError(t, err, `registryhttp: NewHandler: Leases[1] is nil, want a lease
registryhttp: NewHandler: Checks["db"] is nil, want a function
registryhttp: NewHandler: Checks["z"] is nil, want a function`)
}

// StatusError tells what it is, whatever the code.
func TestStatusError(t *testing.T) {
	for code, want := range map[int]string{
		503: "registryhttp: status 503 Service Unavailable",
		404: "registryhttp: status 404 Not Found",
		599: "registryhttp: status 599 ",
	} {
		assert.EqualError(t, &registryhttp.StatusError{Code: code}, want)
	}
}

// The zero TransportConfig works.
func TestNewTransport_Zero(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	tr := registryhttp.MustNewTransport(r, registryhttp.TransportConfig{})
	_, err := tr.RoundTrip(get(t))
	require.ErrorIs(t, err, balance.ErrNoInstances)
	register(t, r, at("a", freeAddr(t)))
	_, err = tr.RoundTrip(get(t))
	require.ErrorContains(t, err, "connection refused")
	tr.CloseIdleConnections()
}

// A Base that breaks the rules gets what it deserves, and nothing is kept.
func TestBaseBreaksTheRules(t *testing.T) {
	errOdd := errors.New("odd")
	for name, test := range map[string]struct {
		base roundTrip
		want string
	}{
		"neither": {
			func(*http.Request) (*http.Response, error) { return nil, nil },
			"registryhttp: registryhttp_test.roundTrip returned neither a response nor an error",
		},
		"both": {
			func(req *http.Request) (*http.Response, error) { return response(req, 200, &script{}, -1), errOdd },
			"odd",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, test.base, named("a", "b"))
			resp, err := f.RoundTrip(get(t))
			assert.EqualError(t, err, test.want)
			assert.Nil(t, resp)
			assert.Zero(t, f.inFlight())
			assert.Equal(t, []string{"a failure", "b failure"}, f.outcomes())
		})
	}
}

// A nil Base is a transport like http.DefaultTransport, which is left alone: its
// connections are neither used nor closed.
func TestNewTransport_DefaultTransportIsLeftAlone(t *testing.T) {
	conns := make(map[string]bool)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { conns[r.RemoteAddr] = true }))
	defer srv.Close()
	f := newFixture(t, nil, []registry.Instance{at("a", srv.Listener.Addr().String())})
	for range 3 {
		resp, err := http.Get(srv.URL)
		finish(t, resp, err)
		assert.Empty(t, ask(t, f))
		f.CloseIdleConnections()
	}
	assert.Len(t, conns, 4, "one, and one each time")
}
