package breakerhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
)

// One breaker per host: that payment is down does not concern stock.
func ExampleNewTransport() {
	transport, err := breakerhttp.NewTransport(breakerhttp.TransportConfig{
		Base: fakeNetwork{"stock": http.StatusOK, "payment": http.StatusInternalServerError},
		Group: breaker.GroupConfig[string]{
			Config: breaker.Config{Trip: breaker.ConsecutiveFailures(2)},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: transport}
	for _, url := range []string{"http://payment/", "http://payment/", "http://payment/", "http://stock/"} {
		resp, err := client.Get(url)
		if err != nil {
			fmt.Println(err)
			continue
		}
		resp.Body.Close()
		fmt.Println(url, resp.StatusCode)
	}
	// Output:
	// http://payment/ 500
	// http://payment/ 500
	// Get "http://payment/": breaker: "payment" is open, opened by failures: breakerhttp: status 500 Internal Server Error
	// http://stock/ 200
}

// A Transport is a package-level variable, or lives as long as the program in
// some other way: it keeps the breakers.
func ExampleMustNewTransport() {
	transport := breakerhttp.MustNewTransport(breakerhttp.TransportConfig{
		Base:            fakeNetwork{"stock": http.StatusOK},
		TrustEarlyClose: true, // nobody here reads a body to its end
	})
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	resp, err := client.Get("http://stock/")
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Println(resp.Status, transport.Group().Get("stock").State())
	// Output: 200 OK closed
}

// Classify judges what came back: here a 404 to one kind of request is no
// answer of the server's but of the proxy in front of it.
func ExampleTransportConfig_classify() {
	transport := breakerhttp.MustNewTransport(breakerhttp.TransportConfig{
		Base: fakeNetwork{"stock": http.StatusNotFound},
		Group: breaker.GroupConfig[string]{
			Config: breaker.Config{Trip: breaker.ConsecutiveFailures(1)},
		},
		Classify: func(req *http.Request, resp *http.Response, err error) breaker.Outcome {
			if err == nil && resp.StatusCode == http.StatusNotFound && req.URL.Path == "/healthz" {
				return breaker.Failure
			}
			return breakerhttp.DefaultClassify(req, resp, err)
		},
	})
	client := &http.Client{Transport: transport}
	for _, path := range []string{"/items/7", "/healthz", "/items/7"} {
		resp, err := client.Get("http://stock" + path)
		if err != nil {
			fmt.Println(path, errors.Is(err, breaker.ErrOpen))
			continue
		}
		resp.Body.Close()
		fmt.Println(path, resp.StatusCode)
	}
	// Output:
	// /items/7 404
	// /healthz 404
	// /items/7 true
}

// A Transport works without an http.Client too, for instance as the Base of
// another RoundTripper.
func ExampleTransport_RoundTrip() {
	transport := breakerhttp.MustNewTransport(breakerhttp.TransportConfig{Base: fakeNetwork{"stock": http.StatusOK}})
	defer transport.CloseIdleConnections()
	transport.Group().Get("stock").Trip(time.Minute, errors.New("moving"))

	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://stock/", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	// Output: breaker: "stock" is open, opened by trip: moving
}

// A breaker per service behind one gateway, and JSON that is decoded without
// looking for its end.
func ExampleTransportConfig() {
	transport := breakerhttp.MustNewTransport(breakerhttp.TransportConfig{
		Base: fakeNetwork{"gateway": http.StatusOK},
		Key: func(req *http.Request) string {
			service, _, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/")
			return service
		},
		MaxRetryAfter:   time.Minute,
		TrustEarlyClose: true,
	})
	resp, err := (&http.Client{Transport: transport}).Get("http://gateway/payment/charges")
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	for service := range transport.Group().All() {
		fmt.Println(service)
	}
	// Output:
	// payment
}

func ExampleNewTransport_invalid() {
	_, err := breakerhttp.NewTransport(breakerhttp.TransportConfig{
		Group: breaker.GroupConfig[string]{Config: breaker.Config{Jitter: 2}},
	})
	fmt.Println(err)
	// Output:
	// breakerhttp: Group.Config: breaker: Jitter is 2, want at most 0.5
}

// A breaker per tenant, and none for the health check.
func ExampleMustNewTransport_choose() {
	tenants := breaker.MustNewGroup(breaker.GroupConfig[string]{})
	transport := breakerhttp.MustNewTransport(breakerhttp.TransportConfig{
		Base: fakeNetwork{"api": http.StatusOK},
		Choose: func(req *http.Request) *breaker.Breaker {
			if req.URL.Path == "/healthz" {
				return nil
			}
			return tenants.Get(req.Header.Get("X-Tenant"))
		},
	})
	tenants.Get("acme").ForceOpen(errors.New("unpaid"))

	for _, path := range []string{"http://api/orders", "http://api/healthz"} {
		req, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, path, nil)
		req.Header.Set("X-Tenant", "acme")
		resp, err := transport.RoundTrip(req)
		if err != nil {
			fmt.Println(path, errors.Is(err, breaker.ErrOpen))
			continue
		}
		resp.Body.Close()
		fmt.Println(path, resp.StatusCode)
	}
	// Output:
	// http://api/orders true
	// http://api/healthz 200
}

func ExampleTransport_Group() {
	transport := breakerhttp.MustNewTransport(breakerhttp.TransportConfig{Base: fakeNetwork{"stock": http.StatusOK}})
	resp, err := (&http.Client{Transport: transport}).Get("http://STOCK/items")
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	for host, b := range transport.Group().All() {
		fmt.Println(host, b.State())
	}
	// Output:
	// stock closed
}

// A 404 is no failure of the server's, but here too many of them are.
func ExampleDefaultClassify() {
	transport := breakerhttp.MustNewTransport(breakerhttp.TransportConfig{
		Base: fakeNetwork{"files": http.StatusNotFound},
		Classify: func(req *http.Request, resp *http.Response, err error) breaker.Outcome {
			if resp != nil && resp.StatusCode == http.StatusNotFound {
				return breaker.Failure
			}
			return breakerhttp.DefaultClassify(req, resp, err)
		},
	})
	resp, err := (&http.Client{Transport: transport}).Get("http://files/")
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Println(resp.StatusCode, transport.Group().Get("files").Snapshot().Failures)
	// Output:
	// 404 1
}

func ExampleMiddleware() {
	guard := breakerhttp.Middleware(breaker.MustNew("reports", breaker.Config{
		Trip:    breaker.ConsecutiveFailures(1),
		OpenFor: time.Minute,
	}))
	handler := guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the disk is full", http.StatusInternalServerError)
	}))
	for range 2 {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		fmt.Println(w.Code, w.Header()["Retry-After"])
	}
	// Output:
	// 500 []
	// 503 [60]
}

// What a handler needs is down: its own client is told for how long.
func ExampleWriteRejection() {
	payment := breaker.MustNew("payment", breaker.Config{})
	payment.Trip(90*time.Second, errors.New("connection refused"))

	checkout := func(w http.ResponseWriter, r *http.Request) {
		err := payment.Run(r.Context(), func(context.Context) error { return nil })
		if breakerhttp.WriteRejection(w, err) {
			return
		}
		fmt.Fprintln(w, "paid")
	}
	w := httptest.NewRecorder()
	checkout(w, httptest.NewRequest(http.MethodPost, "/checkout", nil))
	fmt.Print(w.Code, " ", w.Header().Get("Retry-After"), " ", w.Body)
	// Output:
	// 503 90 Service Unavailable
}

func ExampleRetryAfter() {
	now := time.Date(2024, time.March, 1, 12, 0, 0, 0, time.UTC)
	for _, value := range []string{"7", "Fri, 01 Mar 2024 12:01:30 GMT", "-1", "soon"} {
		fmt.Println(breakerhttp.RetryAfter(http.Header{"Retry-After": {value}}, now))
	}
	// Output:
	// 7s
	// 1m30s
	// 0s
	// 0s
}

// The cause of an opening tells whether it was a status, and which.
func ExampleStatusError() {
	transport := breakerhttp.MustNewTransport(breakerhttp.TransportConfig{
		Base: fakeNetwork{"payment": http.StatusBadGateway},
		Group: breaker.GroupConfig[string]{
			Config: breaker.Config{Trip: breaker.ConsecutiveFailures(1)},
		},
	})
	resp, err := (&http.Client{Transport: transport}).Get("http://payment/")
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	var status *breakerhttp.StatusError
	fmt.Println(errors.As(transport.Group().Get("payment").Snapshot().Cause, &status), status.Code)
	// Output:
	// true 502
}

// A client that knows when waiting is pointless, and for how long.
func Example_httpClient() {
	busy := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if busy {
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		fmt.Fprint(w, "42 items")
	}))
	defer server.Close()

	clock := newHandClock() // nil in production: system time
	transport := breakerhttp.MustNewTransport(breakerhttp.TransportConfig{
		Group: breaker.GroupConfig[string]{
			Name:   func(string) string { return "stock" },
			Config: breaker.Config{CloseAfter: 1, Clock: clock},
		},
	})
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()

	ask := func() {
		resp, err := client.Get(server.URL)
		var rejected *breaker.RejectedError
		switch {
		case errors.As(err, &rejected):
			fmt.Printf("not sent, %v to wait: %v\n", rejected.RetryAfter(), rejected.Cause)
			return
		case err != nil:
			fmt.Println("failed:", err)
			return
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body) // to the end: that is the success
		fmt.Println(resp.StatusCode, string(text), err)
	}
	ask()
	clock.Add(20 * time.Second)
	ask()
	busy = false
	clock.Add(100 * time.Second)
	ask()
	// Output:
	// 429  <nil>
	// not sent, 1m40s to wait: breakerhttp: status 429 Too Many Requests
	// 200 42 items <nil>
}

// What a client is told reaches Base: here the next call has to connect again.
func ExampleTransport_CloseIdleConnections() {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()

	client := &http.Client{Transport: breakerhttp.MustNewTransport(breakerhttp.TransportConfig{Base: &http.Transport{}})}
	defer client.CloseIdleConnections()
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GotConn: func(conn httptrace.GotConnInfo) { fmt.Println("connected before:", conn.Reused) },
	})
	ask := func() {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		resp, err := client.Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
	}
	ask()
	ask()
	client.CloseIdleConnections()
	ask()
	// Output:
	// connected before: false
	// connected before: true
	// connected before: false
}

// fakeNetwork answers with a status per host.
type fakeNetwork map[string]int

func (n fakeNetwork) RoundTrip(req *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	w.WriteHeader(n[strings.ToLower(req.URL.Hostname())])
	return w.Result(), nil
}
