package examples

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
)

// retry makes a call until it is a good one, at most so often. A rejection ends
// it, also inside the *url.Error of an http.Client: the next attempt would only
// be rejected too.
func retry(attempts int, call func() error) error {
	var err error
	for n := range attempts {
		time.Sleep(time.Duration(n) * time.Millisecond) // longer, and with jitter, in earnest
		err = call()
		if err == nil || errors.Is(err, breaker.ErrRejected) {
			break
		}
	}
	return err
}

// Each attempt is a call of its own, since the retry loop is outside of the
// breaker. Here three of them open it, and the fourth is the last.
func Example_retry() {
	reached := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached++
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer server.Close()
	client := &http.Client{Transport: breakerhttp.MustNewTransport(breakerhttp.TransportConfig{
		Group: breaker.GroupConfig[string]{Config: breaker.Config{Trip: breaker.ConsecutiveFailures(3)}},
	})}
	defer client.CloseIdleConnections()

	attempts := 0
	err := retry(10, func() error {
		attempts++
		resp, err := client.Get(server.URL)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode >= http.StatusInternalServerError {
			return errors.New(resp.Status)
		}
		return nil
	})
	fmt.Println(attempts, "attempts,", reached, "reached the server")

	var rejected *breaker.RejectedError
	fmt.Println(errors.As(err, &rejected), rejected.Cause)
	// Output:
	// 4 attempts, 3 reached the server
	// true breakerhttp: status 500 Internal Server Error
}
