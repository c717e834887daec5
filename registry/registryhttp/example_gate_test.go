package registryhttp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// A circuit breaker for each instance: one that is open is passed over, and if
// all are, the error tells for how long. The instance that asks for time by
// Retry-After gets it.
func ExampleMustNewTransport_breaker() {
	breakers := breaker.MustNewGroup(breaker.GroupConfig[string]{Config: breaker.Config{
		Trip: breaker.ConsecutiveFailures(1),
	}})
	gate := func(e *registry.Endpoint) balance.Gate {
		return balance.GateFunc(func(ctx context.Context) (func(error), error) {
			p, err := breakers.Get(e.Addr()).Allow(ctx) // Get per call: a Group may forget what it does not see used
			if err != nil {
				return nil, err
			}
			return func(err error) { // in short: return p.Done, nil
				if err == nil { // allocates nothing, what follows does
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
			}, nil
		})
	}
	client := &http.Client{Transport: registryhttp.MustNewTransport(
		sample("10.0.0.7:8080", "10.0.0.8:8080"),
		registryhttp.TransportConfig{
			Base: fakeNetwork{"10.0.0.7:8080": http.StatusInternalServerError, "10.0.0.8:8080": http.StatusNotFound},
			Balancer: balance.Config{
				Gate:    gate,
				Outlier: &balance.Outlier{Consecutive: -1}, // the breakers judge
				Policy:  inOrder{},
			},
		})}
	show(client, "http://orders/42")
	show(client, "http://orders/42") // a 404 trips nothing
	show(client, "http://orders/42")
	breakers.Get("10.0.0.8:8080").ForceOpen(errors.New("moving"))

	_, err := client.Get("http://orders/42")
	var rejected *breaker.RejectedError
	fmt.Println(errors.Is(err, balance.ErrNoInstances), errors.As(err, &rejected))
	// Output:
	// 500 10.0.0.7:8080 has /42 <nil>
	// 404 10.0.0.8:8080 has /42 <nil>
	// 404 10.0.0.8:8080 has /42 <nil>
	// true true
}
