// Package examples holds what README.md shows, so that it compiles and runs.
package examples

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
)

func charge(context.Context, string) (string, error) { return "receipt", nil }

func sync(context.Context, string) error { return nil }

func Example_http() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	url := server.URL

	client := &http.Client{Transport: breakerhttp.MustNewTransport(breakerhttp.TransportConfig{})}
	defer client.CloseIdleConnections()

	if resp, err := client.Get(url); err == nil {
		fmt.Println(resp.Status)
		_ = resp.Body.Close()
	}
	resp, err := client.Get(url)
	if rejected := (*breaker.RejectedError)(nil); errors.As(err, &rejected) {
		fmt.Println("not sent, try again in", rejected.RetryAfter().Round(time.Minute))
		return
	}
	_ = resp.Body.Close()
	// Output:
	// 503 Service Unavailable
	// not sent, try again in 5m0s
}

func Example_do() {
	ctx := context.Background()
	payments := breaker.MustNew("payments", breaker.Config{
		Trip: breaker.Any(
			breaker.FailureRate(0.5, 20, breaker.Within(10*time.Second)),
			breaker.SlowRate(2*time.Second, 0.5, 20, breaker.LastN(100)),
		),
		OpenFor: 15 * time.Second,
		Backoff: 2, Jitter: 0.2, // 15s, 30s, 60s ... up to 150s, each +- 20 %
		Ramp: 10 * time.Second, // and then come back gently
	})

	receipt, err := breaker.Do(ctx, payments, func(ctx context.Context) (string, error) {
		return charge(ctx, "order 7")
	})
	fmt.Println(receipt, err)
	// Output: receipt <nil>
}

func Example_group() {
	ctx := context.Background()
	tenants := breaker.MustNewGroup(breaker.GroupConfig[string]{
		Config: breaker.Config{Trip: breaker.ConsecutiveFailures(3)},
		Max:    10_000, // healthy ones are forgotten beyond this
	})

	err := tenants.Get("acme").Run(ctx, func(ctx context.Context) error {
		return sync(ctx, "acme")
	})
	fmt.Println(err)
	// Output: <nil>
}

func TestSynctest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("stock", breaker.Config{OpenFor: time.Minute, CloseAfter: 1})
		b.Trip(0, errors.New("down"))

		time.Sleep(time.Minute)
		err := b.Run(t.Context(), func(context.Context) error { return nil })
		if err != nil || b.State() != breaker.Closed {
			t.Errorf("after the open time: %v, %v", err, b.State())
		}
	})
}

func Example_mockClock() {
	mock := clock.NewMock()
	b := breaker.MustNew("stock", breaker.Config{OpenFor: time.Minute, Clock: mock})
	b.Trip(0, errors.New("down"))
	mock.Add(time.Minute)
	fmt.Println(b.State()) // half-open
	// Output: half-open
}

// Every line of Go in README.md stands in this file, in the same order.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	source, err := os.ReadFile("readme_test.go")
	require.NoError(t, err)
	lines := func(s string) (out []string) {
		for line := range strings.Lines(s) {
			if line = strings.TrimSpace(line); line != "" {
				out = append(out, line)
			}
		}
		return out
	}
	have := lines(string(source))
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		want := lines(block[1])
		next := 0
		for _, line := range have {
			if next < len(want) && (line == want[next] || strings.ReplaceAll(line, ".Round(time.Minute)", "") == want[next]) {
				next++
			}
		}
		if next < len(want) {
			assert.Fail(t, "README.md shows a line that is not compiled here", "%s", want[next])
		}
	}
}
