package examples

import (
	"context"
	"errors"
	"fmt"
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

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registrydns"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
	"github.com/mainstay-go/mainstay/registry/registrytest"
)

// One of each for the whole program.
var (
	reg      = registry.MustNew(registry.Config{})
	services = &http.Client{Transport: registryhttp.MustNewTransport(reg, registryhttp.TransportConfig{})}
)

func order(ctx context.Context, id string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://orders/"+id, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := services.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

func join(ctx context.Context, addr string) (*registry.Lease, error) {
	lease, err := reg.Register(ctx, registry.Instance{
		Service: "orders", Addr: addr, Zone: "eu-1", TTL: 10 * time.Second,
		Check: registry.Check{Func: registryhttp.HTTPCheck(registryhttp.HTTPCheckConfig{Path: "/healthz"})},
	})
	if err != nil {
		return nil, err
	}
	go lease.KeepAlive(ctx) // until lease.Drain, at shutdown; then http.Server.Shutdown
	return lease, nil
}

func follow(ctx context.Context) error {
	src, err := registrydns.New(registrydns.Config{Service: "payment", Name: "payment.internal", Port: 8080})
	if err != nil {
		return err
	}
	return reg.Feed(ctx, "dns", src) // until ctx ends
}

// What README.md shows, with two instances, of which one is down.
func TestREADME_services(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "order "+strings.TrimPrefix(r.URL.Path, "/"))
	}))
	defer server.Close()
	lease, err := join(ctx, server.Listener.Addr().String())
	require.NoError(t, err)
	for u, err := range reg.Service("orders").Watch(ctx) {
		require.NoError(t, err)
		if e, ok := u.Snapshot.Get(lease.Endpoint().ID()); ok && e.Health() == registry.Passing {
			break
		}
	}
	down, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	down.Close()
	broken, err := reg.Register(ctx, registry.Instance{Service: "orders", Addr: down.Addr().String()})
	require.NoError(t, err)
	for range 20 {
		got, err := order(ctx, "42")
		assert.NoError(t, err)
		assert.Equal(t, "order 42", string(got))
	}
	assert.Positive(t, broken.Endpoint().Picks(), "it was tried, and another one after it")
	assert.NoError(t, broken.Deregister())
	assert.NoError(t, lease.Drain(ctx))
	_, err = order(ctx, "42")
	assert.ErrorIs(t, err, balance.ErrNoInstances)

	ended, end := context.WithCancel(ctx)
	end()
	assert.ErrorIs(t, follow(ended), context.Canceled)
}

// breakers are one per instance.
var breakers = breaker.MustNewGroup(breaker.GroupConfig[string]{})

func prices(ask func(context.Context, string) (int, error)) func(context.Context) (int, error) {
	lb := balance.MustNew(reg.Service("prices"), balance.Config{
		Zone: "eu-1", SlowStart: 30 * time.Second,
		Gate: func(e *registry.Endpoint) balance.Gate { // a breaker for each instance
			return balance.GateFunc(func(ctx context.Context) (func(error), error) {
				p, err := breakers.Get(e.Addr()).Allow(ctx)
				return p.Done, err
			})
		},
	})
	return func(ctx context.Context) (int, error) {
		return balance.Do(ctx, lb, func(ctx context.Context, e *registry.Endpoint) (int, error) {
			return ask(ctx, e.Addr())
		})
	}
}

func TestREADME_prices(t *testing.T) {
	ctx := t.Context()
	for _, addr := range []string{"good:1", "bad:1"} {
		lease, err := reg.Register(ctx, registry.Instance{Service: "prices", Addr: addr, Zone: "eu-1"})
		require.NoError(t, err)
		defer func() { assert.NoError(t, lease.Deregister()) }()
	}
	price := prices(func(_ context.Context, addr string) (int, error) {
		if addr == "bad:1" {
			return 0, errors.New("out of order")
		}
		return 42, nil
	})
	for range 100 {
		got, err := price(ctx)
		assert.NoError(t, err)
		assert.Equal(t, 42, got)
	}
	assert.Equal(t, breaker.Open, breakers.Get("bad:1").State())
}

// The quick start of package registry.
func start(ctx context.Context) error {
	reg := registry.MustNew(registry.Config{})
	lease, err := reg.Register(ctx, registry.Instance{
		Service: "orders", Addr: "10.0.0.7:8080", TTL: 10 * time.Second,
	})
	if err != nil {
		return err
	}
	go lease.KeepAlive(ctx) // until lease.Drain, at shutdown

	for e := range reg.Service("orders").Snapshot().All() {
		fmt.Println(e.Addr(), e.Health())
	}
	return errors.Join(lease.Drain(ctx), reg.Close(ctx))
}

func Example_registry() {
	fmt.Println(start(context.Background()))
	// Output:
	// 10.0.0.7:8080 passing
	// <nil>
}

// Price is what a call of the quick start of package balance returns.
type Price int

func ask(_ context.Context, addr string) (Price, error) { return Price(len(addr)), nil }

// The quick start of package balance.
func buy(ctx context.Context, reg *registry.Registry) (Price, error) {
	lb := balance.MustNew(reg.Service("prices"), balance.Config{Outlier: &balance.Outlier{}})

	price, err := balance.Do(ctx, lb, func(ctx context.Context, e *registry.Endpoint) (Price, error) {
		return ask(ctx, e.Addr())
	})
	return price, err
}

func Example_balance() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	_, err := reg.Register(ctx, registry.Instance{Service: "prices", Addr: "10.0.0.7:80"})
	if err != nil {
		panic(err)
	}
	fmt.Println(buy(ctx, reg))
	// Output: 11 <nil>
}

// The quick start of package registryhttp.
func call(reg *registry.Registry) error {
	// One for the whole program: it knows how the instances do.
	client := &http.Client{
		Transport: registryhttp.MustNewTransport(reg, registryhttp.TransportConfig{}),
	}
	resp, err := client.Get("http://orders/42") // an instance of the service "orders"
	if err != nil {
		return err // if it is balance.ErrNoInstances, nothing was sent
	}
	defer resp.Body.Close()
	return nil
}

func Example_registryhttp() {
	fmt.Println(call(registry.MustNew(registry.Config{})))
	// Output: Get "http://orders/42": balance: pick "orders": no instance available
}

// The quick start of package registrydns.
func feed(ctx context.Context, reg *registry.Registry) error {
	src, err := registrydns.New(registrydns.Config{
		Service: "orders",
		Name:    "orders.shop.internal",
		Port:    8080, // leave it out if the name has SRV records
	})
	if err != nil {
		return err
	}
	go reg.Feed(ctx, "dns", src) // until ctx ends
	return nil
}

func TestQuickStart_feed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.NoError(t, feed(ctx, registry.MustNew(registry.Config{})))
}

// The quick start of package registrytest.
func TestQuickStart_machines(t *testing.T) {
	orders := func(id string) registry.Instance {
		return registry.Instance{ID: id, Service: "orders", Addr: "10.0.0.7:8080"}
	}
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		cluster := registrytest.NewBackend(registrytest.BackendConfig{})
		here, there := registry.MustNew(registry.Config{}), registry.MustNew(registry.Config{})
		go func() { _ = here.Sync(ctx, "cluster", cluster, registry.SyncConfig{}) }()
		go func() { _ = there.Sync(ctx, "cluster", cluster.Machine(), registry.SyncConfig{}) }()

		_, err := here.Register(ctx, orders("a"))
		for u, err := range there.Service("orders").Watch(ctx) {
			if err != nil || u.Snapshot.Len() > 0 {
				break // the other machine knows it
			}
		}
		assert.NoError(t, err)
		assert.NoError(t, here.Close(ctx))
		assert.NoError(t, there.Close(ctx))
	})
}
