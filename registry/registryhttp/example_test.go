package registryhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// A fakeNetwork is a Base for tests: the status with which each address answers,
// 0 if nobody is there.
type fakeNetwork map[string]int

func (n fakeNetwork) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		req.Body.Close()
	}
	status := n[req.URL.Host]
	if status == 0 {
		return nil, errRefused
	}
	text := req.URL.Host + " has " + req.URL.Path
	return &http.Response{
		Status: fmt.Sprint(status, " ", http.StatusText(status)), StatusCode: status, Request: req,
		Header: make(http.Header), Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)),
	}, nil
}

// sample is a registry with instances of "orders".
func sample(addrs ...string) *registry.Registry {
	reg := registry.MustNew(registry.Config{})
	for _, addr := range addrs {
		if _, err := reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: addr}); err != nil {
			fmt.Println(err)
		}
	}
	return reg
}

// show prints what a client gets.
func show(client *http.Client, url string) {
	resp, err := client.Get(url)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	fmt.Println(resp.StatusCode, string(text), err)
}

// The host of a URL is the name of a service. An instance that cannot be reached
// is left to another one.
func ExampleNewTransport() {
	reg := sample("10.0.0.7:8080", "10.0.0.8:8080")
	transport, err := registryhttp.NewTransport(reg, registryhttp.TransportConfig{
		Base: fakeNetwork{"10.0.0.8:8080": http.StatusOK}, // the other one is gone
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: transport}
	show(client, "http://orders/42")
	show(client, "http://payment/42")
	// Output:
	// 200 10.0.0.8:8080 has /42 <nil>
	// Get "http://payment/42": balance: pick "payment": no instance available
}

func ExampleNewTransport_invalid() {
	_, err := registryhttp.NewTransport(sample(), registryhttp.TransportConfig{
		Balancer: balance.Config{SpillBelow: 2, Retry: balance.Retry{Burst: -1}},
	})
	fmt.Println(err)
	// Output:
	// registryhttp: Balancer: balance: New: SpillBelow is 2, want a share of at most 1, or a negative number
	// Retry.Burst is -1, want 0 or more
}

// A Transport is made once for the whole program: it knows how the instances do.
// What is no service goes to Base as it is.
func ExampleMustNewTransport() {
	transport := registryhttp.MustNewTransport(sample("10.0.0.7:8080"), registryhttp.TransportConfig{
		Base: fakeNetwork{"10.0.0.7:8080": http.StatusOK, "example.com": http.StatusOK, "localhost:80": http.StatusOK},
	})
	client := &http.Client{Transport: transport}
	show(client, "http://orders/42")
	show(client, "http://example.com/index.html")
	show(client, "http://localhost:80/debug")
	// Output:
	// 200 10.0.0.7:8080 has /42 <nil>
	// 200 example.com has /index.html <nil>
	// 200 localhost:80 has /debug <nil>
}

// Names of another form, one user to one instance as long as it is there, and a
// service that is not to be asked twice.
func ExampleTransportConfig() {
	transport := registryhttp.MustNewTransport(sample("10.0.0.7:8080", "10.0.0.8:8080"), registryhttp.TransportConfig{
		Base: fakeNetwork{"10.0.0.7:8080": http.StatusOK, "10.0.0.8:8080": http.StatusOK},
		ServiceOf: func(req *http.Request) string {
			service, ok := strings.CutSuffix(req.URL.Hostname(), ".internal")
			if !ok {
				return "" // not ours
			}
			return service
		},
		Key: func(req *http.Request) uint64 { return balance.HashKey(req.URL.Query().Get("user")) },
		PerService: func(service string) balance.Config {
			cfg := balance.Config{Policy: balance.ConsistentHash{Kind: balance.Rendezvous}}
			if service == "payment" {
				cfg.Retry.Attempts = -1
			}
			return cfg
		},
	})
	client := &http.Client{Transport: transport}
	show(client, "http://orders.internal/42?user=ann")
	show(client, "http://orders.internal/43?user=ann")
	show(client, "http://orders.internal/44?user=bob")
	// Output:
	// 200 10.0.0.7:8080 has /42 <nil>
	// 200 10.0.0.7:8080 has /43 <nil>
	// 200 10.0.0.8:8080 has /44 <nil>
}

// A Transport works without an http.Client too, for instance as the Base of
// another RoundTripper.
func ExampleTransport_RoundTrip() {
	transport := registryhttp.MustNewTransport(sample(), registryhttp.TransportConfig{})
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://orders/42", http.NoBody)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := transport.RoundTrip(req)
	if errors.Is(err, balance.ErrNoInstances) {
		fmt.Println("nothing was sent:", err)
		return
	}
	resp.Body.Close()
	// Output: nothing was sent: balance: pick "orders": no instance available
}

// Balancer is for metrics, and for calls that are not HTTP but go to the same
// instances.
func ExampleTransport_Balancer() {
	transport := registryhttp.MustNewTransport(sample("10.0.0.7:8080", "10.0.0.8:8080"), registryhttp.TransportConfig{
		Base: fakeNetwork{"10.0.0.8:8080": http.StatusOK},
		Balancer: balance.Config{
			Outlier: &balance.Outlier{Consecutive: 1}, // quick to judge
			Policy:  balance.RoundRobin{},
		},
	})
	client := &http.Client{Transport: transport}
	for range 4 {
		show(client, "http://orders/42")
	}
	lb, err := transport.Balancer("orders")
	if err != nil {
		fmt.Println(err)
		return
	}
	stats := lb.Stats()
	fmt.Println(stats.Usable, "of", stats.Members, "usable,", stats.Ejected, "ejected,", stats.Retries, "retry")
	// Output:
	// 200 10.0.0.8:8080 has /42 <nil>
	// 200 10.0.0.8:8080 has /42 <nil>
	// 200 10.0.0.8:8080 has /42 <nil>
	// 200 10.0.0.8:8080 has /42 <nil>
	// 1 of 2 usable, 1 ejected, 1 retry
}

// CloseIdleConnections is what http.Client.CloseIdleConnections calls.
func ExampleTransport_CloseIdleConnections() {
	transport := registryhttp.MustNewTransport(sample("10.0.0.7:8080"), registryhttp.TransportConfig{
		Base: closing{fakeNetwork{"10.0.0.7:8080": http.StatusOK}},
	})
	client := &http.Client{Transport: transport}
	show(client, "http://orders/42")
	client.CloseIdleConnections()
	// Output:
	// 200 10.0.0.7:8080 has /42 <nil>
	// closed
}

type closing struct{ fakeNetwork }

func (closing) CloseIdleConnections() { fmt.Println("closed") }

// Retry.If and IsFailure of the balancer see statuses from 400 as a StatusError.
// Here an instance that does not have a thing yet may be asked, and another one
// then; that is no failure.
func ExampleStatusError() {
	transport := registryhttp.MustNewTransport(sample("10.0.0.7:8080", "10.0.0.8:8080"), registryhttp.TransportConfig{
		Base: fakeNetwork{"10.0.0.7:8080": http.StatusNotFound, "10.0.0.8:8080": http.StatusOK},
		Balancer: balance.Config{
			Policy: inOrder{},
			Retry: balance.Retry{If: func(err error) bool {
				var status *registryhttp.StatusError
				if errors.As(err, &status) && status.Code == http.StatusNotFound {
					fmt.Println(status)
					return true
				}
				return false
			}},
		},
	})
	show(&http.Client{Transport: transport}, "http://orders/42")
	// Output:
	// registryhttp: status 404 Not Found
	// 200 10.0.0.8:8080 has /42 <nil>
}
