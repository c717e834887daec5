//go:build !race

package examples

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// published makes a hook that publishes on a topic with a subscriber, and never
// waits.
func published[T any](t *testing.T, bus *eventbus.Bus, name string) func(context.Context, T) {
	t.Helper()
	topic := eventbus.MustNewTopic[T](bus, name, eventbus.TopicConfig{})
	_, err := topic.SubscribeWith(t.Context(), eventbus.SubscribeConfig[T]{OnFull: eventbus.DropOldest},
		func(context.Context, T) error { return nil })
	require.NoError(t, err)
	return func(ctx context.Context, event T) { _ = topic.TryPublish(ctx, event) }
}

// composed is a client of the service "payment" at some addresses: registryhttp,
// a breaker per instance as its gate, and all hooks to a bus.
func composed(t *testing.T, base http.RoundTripper, addrs ...string) *http.Client {
	t.Helper()
	bus := eventbus.MustNew(eventbus.Config{})
	t.Cleanup(func() { assert.NoError(t, bus.Close(context.Background())) })
	breakers := breaker.MustNewGroup(breaker.GroupConfig[string]{Config: breaker.Config{Hooks: breaker.Hooks{
		Transition: published[breaker.Transition](t, bus, "breakers.moved"),
		Rejected:   published[*breaker.RejectedError](t, bus, "breakers.rejected"),
	}}})
	changed := published[registry.Change](t, bus, "instances.changed")
	r := registry.MustNew(registry.Config{Hooks: registry.Hooks{
		Change: func(c registry.Change) { changed(context.Background(), c) },
	}})
	t.Cleanup(func() { assert.NoError(t, r.Close(context.Background())) })
	for _, a := range addrs {
		_, err := r.Register(t.Context(), registry.Instance{Service: "payment", Addr: a, TTL: time.Hour})
		require.NoError(t, err)
	}
	ejected := published[balance.Ejection](t, bus, "balancers.ejected")
	panicked := published[balance.PanicMode](t, bus, "balancers.panicked")
	return &http.Client{Transport: registryhttp.MustNewTransport(r, registryhttp.TransportConfig{
		Base: base,
		Balancer: balance.Config{
			Gate: func(e *registry.Endpoint) balance.Gate {
				return balance.GateFunc(func(ctx context.Context) (func(error), error) {
					p, err := breakers.Get(e.Addr()).Allow(ctx)
					if err != nil {
						return nil, err
					}
					return func(err error) { report(&p, err) }, nil
				})
			},
			Outlier: &balance.Outlier{Consecutive: -1},
			Hooks: balance.Hooks{
				Ejection:  func(e balance.Ejection) { ejected(context.Background(), e) },
				PanicMode: func(p balance.PanicMode) { panicked(context.Background(), p) },
			},
		},
	})}
}

// report ends a permit, and heeds an instance that asks for time.
func report(p *breaker.Permit, err error) {
	if err == nil { // errors.As takes its target to the heap
		p.Done(nil)
		return
	}
	var status *registryhttp.StatusError
	if errors.As(err, &status) {
		if d := breakerhttp.RetryAfter(status.Header, time.Now()); d > 0 {
			p.Trip(min(d, 5*time.Minute), err)
			return
		}
	}
	p.Done(err)
}

// allocations of one call of many, of the servers too. There is no garbage
// collection meanwhile, since it empties pools.
func allocations(t *testing.T, call func() error) int {
	t.Helper()
	const calls = 300
	for range calls { // what is made once
		require.NoError(t, call())
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range calls {
		if err := call(); err != nil {
			require.NoError(t, err)
		}
	}
	runtime.ReadMemStats(&after)
	return int(math.Round(float64(after.Mallocs-before.Mallocs) / calls))
}

// A call by the name of a service, with a breaker per instance and all hooks to
// the bus, makes at most 10 allocations more than that of a bare http.Client.
// What it takes is measured in examples/benchmarks.
func TestComposedAllocations(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"state":"charged"}`)
	})
	var addrs []string
	for range 3 {
		s := httptest.NewServer(handler)
		defer s.Close()
		addrs = append(addrs, s.Listener.Addr().String())
	}
	base := &http.Transport{}
	defer base.CloseIdleConnections()
	bare := &http.Client{Transport: base}
	for name, test := range map[string]struct {
		method    string
		instances int
	}{
		"GET":                  {http.MethodGet, 1},
		"POST":                 {http.MethodPost, 1},
		"GET, three instances": {http.MethodGet, 3},
	} {
		t.Run(name, func(t *testing.T) {
			client := composed(t, base, addrs[:test.instances]...)
			buf := make([]byte, 64)
			call := func(c *http.Client, host string) func() error {
				return func() error { return exchange(t.Context(), c, test.method, "http://"+host+"/charges", buf) }
			}
			without := allocations(t, call(bare, addrs[0]))
			with := allocations(t, call(client, "payment"))
			t.Logf("%d allocations, %d more than the %d of a bare client", with, with-without, without)
			assert.LessOrEqual(t, with-without, 10)
			assert.Positive(t, with-without)
		})
	}
}

// exchange makes a call and reads the answer to its end.
func exchange(ctx context.Context, c *http.Client, method, url string, buf []byte) error {
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader(`{"cents":4200}`)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", "o-7/charge")
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	for err == nil {
		_, err = resp.Body.Read(buf)
	}
	if !errors.Is(err, io.EOF) {
		return errors.Join(err, resp.Body.Close())
	}
	return resp.Body.Close()
}
