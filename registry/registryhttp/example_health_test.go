package registryhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// The registry asks each instance for /healthz now and then. A check can also be
// run by itself.
func ExampleHTTPCheck() {
	healthy := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !healthy || r.URL.Path != "/healthz" {
			http.Error(w, "no", http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	orders := registry.Instance{
		Service: "orders",
		Addr:    server.Listener.Addr().String(),
		Check: registry.Check{
			Func:     registryhttp.HTTPCheck(registryhttp.HTTPCheckConfig{}),
			Interval: 5 * time.Second,
		},
	}
	fmt.Println(orders.Check.Func(context.Background(), orders))
	healthy = false
	fmt.Println(orders.Check.Func(context.Background(), orders))
	// Output:
	// <nil>
	// registryhttp: check: status 503 Service Unavailable
}

// Another path, and an answer whose body counts: one that is degraded is still
// used, as Warning.
func ExampleHTTPCheckConfig() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "degraded")
	}))
	defer server.Close()
	check := registryhttp.HTTPCheck(registryhttp.HTTPCheckConfig{
		Path: "/health?deep=1",
		Expect: func(resp *http.Response) error {
			text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
			switch {
			case err != nil:
				return err
			case string(text) == "degraded":
				return registry.Warn(errors.New("degraded"))
			case resp.StatusCode != http.StatusOK:
				return errors.New(resp.Status)
			}
			return nil
		},
	})
	fmt.Println(check(context.Background(), registry.Instance{Addr: server.Listener.Addr().String()}))
	// Output: degraded
}

// Where there is no HTTP, that a connection can be made is better than nothing.
func ExampleTCPCheck() {
	server := httptest.NewServer(nil)
	check := registryhttp.TCPCheck(nil)
	mail := registry.Instance{Service: "mail", Addr: server.Listener.Addr().String()}
	fmt.Println(check(context.Background(), mail))
	server.Close()
	fmt.Println(check(context.Background(), mail) == nil)
	// Output:
	// <nil>
	// false
}

// A process is not ready from the instant its lease drains, so that the load
// balancers outside leave before it does.
func ExampleNewHandler() {
	ctx := context.Background()
	reg := sample("10.0.0.7:8080")
	lease, err := reg.Register(ctx, registry.Instance{Service: "shop", Addr: "10.0.0.1:8080"})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler, err := registryhttp.NewHandler(reg, registryhttp.HandlerConfig{
		Leases:  []*registry.Lease{lease},
		Require: []string{"orders"},
		Checks: map[string]func(context.Context) error{
			"db": func(context.Context) error { return nil },
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ask := func() {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", http.NoBody))
		fmt.Println(w.Code, strings.TrimSpace(w.Body.String()))
	}
	ask()
	if err := lease.Drain(ctx); err != nil {
		fmt.Println(err)
	}
	ask()
	// Output:
	// 200 {"status":"ready"}
	// 503 {"status":"unready","problems":{"lease shop 10.0.0.1:8080":"ended"}}
}

// Checks run at the same time, for all requests that ask meanwhile.
func ExampleHandlerConfig() {
	handler, err := registryhttp.NewHandler(sample(), registryhttp.HandlerConfig{
		Checks: map[string]func(context.Context) error{
			"cache": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
			"db":    func(context.Context) error { return errors.New("no connection") },
			"queue": func(context.Context) error { panic("no such queue") },
		},
		Timeout: 10 * time.Millisecond,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, http.NoBody))
		fmt.Println(w.Code)
	}
	// Output:
	// 200
	// 503
}
