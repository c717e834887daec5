package balance_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

var errRefused = errors.New("connection refused")

// Do tells the function where to call, and tries elsewhere if that fails.
func ExampleDo() {
	lb := balance.MustNew(prices("a:80", "b:80").Service("prices"), balance.Config{Policy: balance.RoundRobin{}})
	price, err := balance.Do(context.Background(), lb, func(_ context.Context, e *registry.Endpoint) (int, error) {
		fmt.Println("asking", e.Addr())
		if e.Addr() == "a:80" {
			return 0, errRefused
		}
		return 42, nil
	})
	fmt.Println(price, err)
	// Output:
	// asking a:80
	// asking b:80
	// 42 <nil>
}

// A fallback is an if: nothing to configure.
func ExampleDo_fallback() {
	lb := balance.MustNew(prices().Service("prices"), balance.Config{})
	price, err := balance.Do(context.Background(), lb, func(context.Context, *registry.Endpoint) (int, error) {
		return 42, nil
	})
	if errors.Is(err, balance.ErrNoInstances) {
		price, err = 40, nil // yesterday's
	}
	fmt.Println(price, err)
	// Output: 40 <nil>
}

// With a key a retry goes to the next choice of that key, the same one every
// time.
func ExampleDoWith() {
	lb := balance.MustNew(prices("a:80", "b:80", "c:80").Service("prices"), balance.Config{Policy: balance.ConsistentHash{}})
	q := balance.Query{Key: balance.HashKey("ann")}
	for range 2 {
		var way []string
		_, err := balance.DoWith(context.Background(), lb, q, func(_ context.Context, e *registry.Endpoint) (int, error) {
			way = append(way, e.Addr())
			return 0, errRefused
		})
		fmt.Println(way, err)
	}
	// Output:
	// [b:80 c:80] connection refused
	// [b:80 c:80] connection refused
}

// Three attempts of a second each, but not for what will not get better.
func ExampleRetry() {
	errNotFound := errors.New("no such article")
	lb := balance.MustNew(prices("a:80", "b:80", "c:80").Service("prices"), balance.Config{
		Retry: balance.Retry{
			Attempts:       3,
			AttemptTimeout: time.Second,
			If:             func(err error) bool { return !errors.Is(err, errNotFound) },
		},
		IsFailure: func(err error) bool { return !errors.Is(err, errNotFound) }, // nor is it the fault of the instance
	})
	for _, failure := range []error{errRefused, errNotFound} {
		attempts := 0
		_, err := balance.Do(context.Background(), lb, func(context.Context, *registry.Endpoint) (int, error) {
			attempts++
			return 0, failure
		})
		fmt.Println(attempts, err)
	}
	// Output:
	// 3 connection refused
	// 1 no such article
}

// When everything fails retries are what keeps it failing, so they have a budget:
// here three at once, and one more with every ten calls.
func ExampleRetry_budget() {
	lb := balance.MustNew(prices("a:80", "b:80").Service("prices"), balance.Config{
		Retry: balance.Retry{Burst: 3, Budget: 0.1},
	})
	for range 20 {
		_, _ = balance.Do(context.Background(), lb, func(context.Context, *registry.Endpoint) (int, error) { return 0, errRefused })
	}
	fmt.Println(lb.Stats().Retries, "retries,", lb.Stats().RetriesDenied, "denied")
	// Output: 4 retries, 16 denied
}

// Attempts are for a call whose use of the endpoint goes on when it has returned,
// here a body that is still to be read.
func ExampleBalancer_Attempts() {
	lb := balance.MustNew(prices("a:80", "b:80").Service("prices"), balance.Config{Policy: balance.RoundRobin{}})
	get := func(addr string) (io.Reader, error) { // stands for a client
		if addr == "a:80" {
			return nil, errRefused
		}
		return strings.NewReader("42"), nil
	}
	open := func(ctx context.Context) (io.Reader, balance.Pick, error) {
		var failed error
		attempts := lb.Attempts(ctx, balance.Query{})
		for {
			pick, err := attempts.Next(failed)
			if err != nil {
				return nil, pick, err
			}
			body, err := get(pick.Endpoint().Addr())
			if err == nil {
				return body, pick, nil
			}
			pick.Done(err)
			failed = err
		}
	}
	body, pick, err := open(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	price, err := io.ReadAll(body)
	pick.Done(err) // only now
	fmt.Println(string(price), err, "from", pick.Endpoint().Addr())
	// Output: 42 <nil> from b:80
}

// Next is given what came of the attempt before. It returns that as it is if
// there is to be no other.
func ExampleAttempts_Next() {
	lb := balance.MustNew(prices("a:80", "b:80").Service("prices"), balance.Config{Policy: balance.RoundRobin{}})
	attempts := lb.Attempts(context.Background(), balance.Query{})
	var failed error
	for {
		pick, err := attempts.Next(failed)
		if err != nil {
			fmt.Println("no more:", err)
			break
		}
		failed = fmt.Errorf("%s: %w", pick.Endpoint().Addr(), errRefused)
		fmt.Println(failed)
		pick.Done(failed)
	}
	// Output:
	// a:80: connection refused
	// b:80: connection refused
	// no more: b:80: connection refused
}
