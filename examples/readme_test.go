// Package examples holds what README.md and the quick starts of the packages
// show, so that it compiles and runs.
package examples

import (
	"context"
	"errors"
	"expvar"
	"fmt"
	"io"
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

func fetch(url string) ([]byte, error) {
	// Made once: it keeps the breakers.
	client := &http.Client{
		Transport: breakerhttp.MustNewTransport(breakerhttp.TransportConfig{TrustEarlyClose: true}),
		Timeout:   5 * time.Second, // without a deadline a server that hangs is never found out
	}

	resp, err := client.Get(url)
	if errors.Is(err, breaker.ErrRejected) {
		return []byte("a fallback"), nil // nothing was sent
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

func Example_http() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "42 items")
	}))
	defer server.Close()

	body, err := fetch(server.URL)
	fmt.Println(string(body), err)
	// Output: 42 items <nil>
}

func Example_middleware() {
	reports := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
	})

	guard := breakerhttp.Middleware(breaker.MustNew("reports", breaker.Config{}))
	mux := http.NewServeMux()
	mux.Handle("/reports", guard(reports))

	for range 6 {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/reports", nil))
		fmt.Print(w.Code, " ")
	}
	// Output: 500 500 500 500 500 503
}

// The quick start of package breaker.
func Example_quickStart() {
	ctx := context.Background()
	payments := breaker.MustNew("payments", breaker.Config{
		Trip: breaker.FailureRate(0.5, 20, breaker.Within(10*time.Second)),
	})
	receipt, err := breaker.Do(ctx, payments, func(ctx context.Context) (string, error) {
		return charge(ctx, "order 7")
	})
	if rejected := (*breaker.RejectedError)(nil); errors.As(err, &rejected) {
		fmt.Println("not called; pointless for another", rejected.RetryAfter())
	}
	fmt.Println(receipt)
	// Output: receipt
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

func Example_metrics() {
	transitions := expvar.NewMap("breaker_transitions")
	stock := breaker.MustNew("stock", breaker.Config{Hooks: breaker.Hooks{
		Transition: func(_ context.Context, t breaker.Transition) {
			transitions.Add(t.Name+" "+t.To.String(), 1)
		},
	}})

	stock.Trip(0, errors.New("down"))
	fmt.Println(transitions)
	// Output: {"stock open": 1}
}

func Example_group() {
	ctx := context.Background()
	tenants := breaker.MustNewGroup(breaker.GroupConfig[string]{
		Config: breaker.Config{Trip: breaker.ConsecutiveFailures(3)},
		Max:    10_000, // healthy ones are forgotten beyond this; 1024 by default
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

// Each block of Go in README.md, and each quick start of a package, stands in
// this file as it is, but for its indentation.
func TestREADME(t *testing.T) {
	block := regexp.MustCompile("(?ms)^```go\n(.*?)^```")
	quickStart := regexp.MustCompile(`(?ms)^// # Quick start$\n//\n(.*?)^//\n// #`)
	source := "\n" + unindented(read(t, "readme_test.go"))
	for file, pattern := range map[string]*regexp.Regexp{
		"../README.md":                  block,
		"../breaker/doc.go":             quickStart,
		"../breaker/breakerhttp/doc.go": quickStart,
	} {
		shown := pattern.FindAllStringSubmatch(read(t, file), -1)
		require.NotEmpty(t, shown, "%s", file)
		for _, match := range shown {
			want := unindented(match[1])
			assert.True(t, strings.Contains(source, "\n"+want), "%s shows what is not compiled here:\n%s", file, want)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// unindented is s without the white space around its lines, and without the
// slashes in front of code in a comment.
func unindented(s string) string {
	var out strings.Builder
	for line := range strings.Lines(s) {
		line = strings.TrimSpace(line)
		if line == "//" {
			line = ""
		}
		out.WriteString(strings.TrimSpace(strings.TrimPrefix(line, "//\t")) + "\n")
	}
	return out.String()
}
