package examples_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
	"github.com/mainstay-go/mainstay/saga"
)

// call makes a step of an HTTP call. The key tells the service which calls are the same.
func call(client *http.Client, method, url string) func(context.Context, *Order) error {
	return func(ctx context.Context, o *Order) error {
		req, err := http.NewRequestWithContext(ctx, method, fmt.Sprintf("%s/%d", url, o.ID), http.NoBody)
		if err != nil {
			return err
		}
		req.Header.Set("Idempotency-Key", saga.Info(ctx).Key)
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if _, err = io.Copy(io.Discard, resp.Body); err == nil && resp.StatusCode/100 != 2 {
			err = fmt.Errorf("%s", resp.Status)
		}
		return err
	}
}

// A street is servers that note what they are asked for.
type street struct {
	mu    sync.Mutex
	asked []string
}

// open registers a service. It answers every PUT with status.
func (s *street) open(t *testing.T, reg *registry.Registry, name string, status int) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked = append(s.asked, r.Method+" "+name+r.URL.Path)
		if r.Method == http.MethodPut {
			w.WriteHeader(status)
		}
	}))
	t.Cleanup(server.Close)
	_, err := reg.Register(t.Context(), registry.Instance{
		ID: name, Service: name, Addr: strings.TrimPrefix(server.URL, "http://"), TTL: -1,
	})
	require.NoError(t, err)
}

// take returns what was asked since it was last called.
func (s *street) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// The first program of README.md: with all services well it is done, and with one
// that is not all is undone, and its breaker opens and tells so.
func TestREADME_composed(t *testing.T) {
	ctx := t.Context()

	bus := eventbus.MustNew(eventbus.Config{})
	moved := eventbus.MustNewTopic[breaker.Transition](bus, "breaker.moved", eventbus.TopicConfig{})
	breakers := breaker.MustNewGroup(breaker.GroupConfig[string]{Config: breaker.Config{
		Hooks: breaker.Hooks{Transition: func(ctx context.Context, t breaker.Transition) { _ = moved.TryPublish(ctx, t) }},
	}})
	reg := registry.MustNew(registry.Config{}) // servers register themselves, and renew their leases
	client := &http.Client{Transport: registryhttp.MustNewTransport(reg, registryhttp.TransportConfig{
		Balancer: balance.Config{
			Outlier: &balance.Outlier{Consecutive: -1}, // the breakers judge the same failures
			Gate: func(e *registry.Endpoint) balance.Gate { // one for each instance
				return balance.GateFunc(func(ctx context.Context) (func(error), error) {
					p, err := breakers.Get(e.Addr()).Allow(ctx)
					return p.Done, err
				})
			},
		},
	})}
	checkout := saga.MustNew("checkout", []saga.Step[Order]{
		{Name: "reserve", Do: call(client, "PUT", "http://stock/reserved"), Undo: call(client, "DELETE", "http://stock/reserved")},
		{Name: "charge", Do: call(client, "PUT", "http://payment/charges"), Undo: call(client, "DELETE", "http://payment/charges")},
		{Name: "ship", Do: call(client, "PUT", "http://shipping/parcels"), Pivot: true}, // from here on only forward
	})

	var all street
	all.open(t, reg, "stock", http.StatusOK)
	all.open(t, reg, "shipping", http.StatusOK)
	all.open(t, reg, "payment", http.StatusOK)
	require.NoError(t, checkout.Run(ctx, &Order{ID: 7}))
	assert.Equal(t, []string{"PUT stock/reserved/7", "PUT payment/charges/7", "PUT shipping/parcels/7"}, all.take())

	all.open(t, reg, "payment", http.StatusInternalServerError) // it takes the place of the other one
	require.Error(t, checkout.Run(ctx, &Order{ID: 8}))
	assert.Equal(t, []string{
		"PUT stock/reserved/8", "PUT payment/charges/8",
		"DELETE payment/charges/8", // perhaps it was charged all the same
		"DELETE stock/reserved/8",
	}, all.take())

	told, err := moved.Queue(ctx, eventbus.SubscribeConfig[breaker.Transition]{})
	require.NoError(t, err)
	charge := call(client, "PUT", "http://payment/charges")
	for range 5 {
		require.ErrorContains(t, charge(ctx, &Order{ID: 9}), "500")
	}
	e, err := told.Next(ctx)
	require.NoError(t, err)
	assert.Equal(t, breaker.Open, e.Data.To)
	told.Cancel() // a bus that closes waits for those who read
	all.take()
	require.ErrorIs(t, charge(ctx, &Order{ID: 9}), breaker.ErrRejected)
	assert.Empty(t, all.take(), "nothing is sent")

	require.NoError(t, reg.Close(ctx))
	require.NoError(t, bus.Close(ctx))
}
