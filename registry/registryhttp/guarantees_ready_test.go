package registryhttp_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

type checks = map[string]func(context.Context) error

// An answerOf is what a handler says.
type answerOf struct {
	Status   string            `json:"status"`
	Problems map[string]string `json:"problems"`
}

func newHandler(tb testing.TB, r *registry.Registry, cfg registryhttp.HandlerConfig) http.Handler {
	tb.Helper()
	h, err := registryhttp.NewHandler(r, cfg)
	require.NoError(tb, err)
	return h
}

// serve makes a request and returns the recorded response.
func serve(tb testing.TB, h http.Handler, method, path string) *httptest.ResponseRecorder {
	tb.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(tb.Context(), method, path, nil))
	return w
}

// ready asks whether the process is, and returns what keeps it from that.
func ready(tb testing.TB, h http.Handler) map[string]string {
	tb.Helper()
	w := serve(tb, h, http.MethodGet, "/readyz")
	var a answerOf
	assert.NoError(tb, json.Unmarshal(w.Body.Bytes(), &a))
	assert.Equal(tb, "application/json", w.Header().Get("Content-Type"))
	assert.Equal(tb, "no-store", w.Header().Get("Cache-Control"))
	if len(a.Problems) == 0 {
		assert.Equal(tb, http.StatusOK, w.Code)
		assert.Equal(tb, "ready", a.Status)
		return nil
	}
	assert.Equal(tb, http.StatusServiceUnavailable, w.Code)
	assert.Equal(tb, "unready", a.Status)
	return a.Problems
}

// G46: alive and ready, in JSON; nothing else is served.
func TestG46_Endpoints(t *testing.T) {
	h := newHandler(t, newRegistry(t, registry.Config{}), registryhttp.HandlerConfig{})
	for _, test := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/healthz", 200, `{"status":"ok"}` + "\n"},
		{"GET", "/readyz", 200, `{"status":"ready"}` + "\n"},
		{"GET", "/readyz?verbose", 200, `{"status":"ready"}` + "\n"},
		{"HEAD", "/healthz", 200, ""},
		{"HEAD", "/readyz", 200, ""},
		{"POST", "/healthz", 405, ""},
		{"PUT", "/readyz", 405, ""},
		{"DELETE", "/readyz", 405, ""},
		{"GET", "/", 404, ""},
		{"GET", "/healthz/", 404, ""},
		{"GET", "/metrics", 404, ""},
	} {
		srv := httptest.NewServer(h) // since HEAD has no body on the wire only
		req, err := http.NewRequestWithContext(t.Context(), test.method, srv.URL+test.path, nil)
		require.NoError(t, err)
		resp, err := srv.Client().Do(req)
		text := finish(t, resp, err)
		assert.Equal(t, test.status, resp.StatusCode, "%s %s", test.method, test.path)
		if test.status == 200 {
			assert.Equal(t, test.body, text, "%s %s", test.method, test.path)
			assert.Equal(t, "application/json", resp.Header.Get("Content-Type"))
			assert.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
		}
		if test.status == 405 {
			assert.Equal(t, "GET, HEAD", resp.Header.Get("Allow"))
		}
		srv.Close()
	}
}

// G46: /readyz is 503 from the instant a lease drains, while the calls under way
// go on; /healthz does not mind.
func TestG46_Drain(t *testing.T) {
	for name, drain := range map[string]func(*registry.Registry, *registry.Lease) error{
		"owner":    func(_ *registry.Registry, l *registry.Lease) error { return l.Drain(bg) },
		"operator": func(r *registry.Registry, _ *registry.Lease) error { return r.Drain(bg, orders, "a") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRegistry(t, registry.Config{})
				f := newFixtureIn(t, r, answer(200, "text"), nil)
				lease := register(t, r, instance("a"))
				other := in("payment", "p")
				h := newHandler(t, r, registryhttp.HandlerConfig{Leases: []*registry.Lease{lease, register(t, r, other)}})
				require.Empty(t, ready(t, h))
				resp, err := f.RoundTrip(get(t))
				require.NoError(t, err)
				drained := make(chan error)
				go func() { drained <- drain(r, lease) }()
				synctest.Wait()
				assert.Equal(t, map[string]string{"lease orders a": "draining"}, ready(t, h))
				finish(t, resp, nil)
				assert.NoError(t, <-drained)
				assert.Equal(t, map[string]string{"lease orders a": "ended"}, ready(t, h), "and it stays so")
				assert.Equal(t, 200, serve(t, h, "GET", "/healthz").Code)
			})
		})
	}
}

func in(service, id string) registry.Instance {
	i := instance(id)
	i.Service = service
	return i
}

// G46: a drain that begins while the checks run is not missed.
func TestG46_DrainDuringChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		f := newFixtureIn(t, r, answer(200, "text"), nil)
		lease := register(t, r, instance("a"))
		h := newHandler(t, r, registryhttp.HandlerConfig{
			Leases: []*registry.Lease{lease},
			Checks: checks{"slow": func(context.Context) error { time.Sleep(time.Second); return nil }},
		})
		resp, err := f.RoundTrip(get(t))
		require.NoError(t, err)
		defer resp.Body.Close()
		problems := make(chan map[string]string)
		go func() { problems <- ready(t, h) }()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = lease.Drain(ctx) }()
		assert.Equal(t, map[string]string{"lease orders a": "draining"}, <-problems)
	})
}

// G46: a lease that is lost, and one whose instance is Down, are the end of
// readiness; other health is not.
func TestG46_Leases(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(*testing.T, *registry.Registry, *registry.Lease)
		want string
	}{
		"fine":       {func(*testing.T, *registry.Registry, *registry.Lease) {}, ""},
		"superseded": {func(t *testing.T, r *registry.Registry, _ *registry.Lease) { register(t, r, instance("a")) }, "ended"},
		"deregistered by the owner": {func(t *testing.T, _ *registry.Registry, l *registry.Lease) {
			require.NoError(t, l.Deregister())
		}, "ended"},
		"deregistered by hand": {func(t *testing.T, r *registry.Registry, _ *registry.Lease) {
			require.NoError(t, r.Deregister(bg, orders, "a"))
		}, "ended"},
		"registry closed": {func(t *testing.T, r *registry.Registry, _ *registry.Lease) { require.NoError(t, r.Close(bg)) }, "ended"},
		"down by the owner": {func(t *testing.T, _ *registry.Registry, l *registry.Lease) {
			require.NoError(t, l.SetHealth(registry.Down, ""))
		}, "down"},
		"down by hand": {func(t *testing.T, r *registry.Registry, _ *registry.Lease) {
			require.NoError(t, r.SetHealth(bg, orders, "a", registry.Down, ""))
		}, "down"},
		"draining by the owner's word": {func(t *testing.T, _ *registry.Registry, l *registry.Lease) {
			require.NoError(t, l.SetHealth(registry.Draining, ""))
		}, "draining"},
		"critical": {func(t *testing.T, _ *registry.Registry, l *registry.Lease) {
			require.NoError(t, l.SetHealth(registry.Critical, ""))
		}, ""},
		"back again": {func(t *testing.T, _ *registry.Registry, l *registry.Lease) {
			require.NoError(t, l.SetHealth(registry.Down, ""))
			require.NoError(t, l.SetHealth(0, ""))
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t, registry.Config{})
			lease := register(t, r, instance("a"))
			h := newHandler(t, r, registryhttp.HandlerConfig{Leases: []*registry.Lease{lease}})
			require.Empty(t, ready(t, h))
			test.do(t, r, lease)
			if test.want == "" {
				assert.Empty(t, ready(t, h))
				return
			}
			assert.Equal(t, map[string]string{"lease orders a": test.want}, ready(t, h))
		})
	}
}

// G46: a lease that expired is lost.
func TestG46_LeaseExpires(t *testing.T) {
	bubbles(t, mockOrNil, func(t *testing.T, makeClock clockMaker) {
		mock := makeClock()
		r := newRegistry(t, config(mock))
		short := instance("a")
		short.TTL = 10 * time.Second
		h := newHandler(t, r, registryhttp.HandlerConfig{Leases: []*registry.Lease{register(t, r, short)}})
		pass(mock, 10*time.Second-1)
		assert.Empty(t, ready(t, h))
		pass(mock, 1)
		assert.Equal(t, map[string]string{"lease orders a": "ended"}, ready(t, h))
	})
}

// G46: a required service needs a usable instance.
func TestG46_Require(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	h := newHandler(t, r, registryhttp.HandlerConfig{Require: []string{orders, "payment"}})
	const none = "no usable instance"
	assert.Equal(t, map[string]string{"service orders": none, "service payment": none}, ready(t, h))
	register(t, r, in("payment", "p"))
	lease := register(t, r, instance("a"))
	assert.Empty(t, ready(t, h))
	for health, want := range map[registry.Health]bool{
		registry.Passing: true, registry.Warning: true, registry.Starting: false,
		registry.Critical: false, registry.Draining: false, registry.Down: false,
	} {
		require.NoError(t, lease.SetHealth(health, ""))
		assert.Equal(t, want, len(ready(t, h)) == 0, health)
	}
	register(t, r, instance("b"))
	assert.Empty(t, ready(t, h), "one is enough")
}

// G46: an instance that is never picked is none that is required, and a name that
// no service can have is refused.
func TestG46_RequireOfWhatCanBe(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	h := newHandler(t, r, registryhttp.HandlerConfig{Require: []string{orders}})
	in := instance("a")
	in.Weight = -1
	register(t, r, in)
	assert.Equal(t, map[string]string{"service orders": "no usable instance"}, ready(t, h))
	_, err := registryhttp.NewHandler(r, registryhttp.HandlerConfig{Require: []string{orders, "http://orders"}})
	assert.ErrorContains(t, err, `Require[1]`)
	assert.ErrorContains(t, err, `"http://orders"`)
}
