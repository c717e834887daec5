package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A client calls the gateway and keeps a sample of each call. It knows nothing of
// backends: it does not even try again.
type client struct {
	http  http.Client
	base  string        // the URL of the gateway
	limit time.Duration // after which it gives a call up

	mu      sync.Mutex
	samples []sample
}

// A sample is what a caller knows of one call.
type sample struct {
	took time.Duration
	by   string // the backend that answered; "": none did
	post bool
	err  error // nil: a good answer
}

// A statusError is an answer that is an error to the caller.
type statusError int

func (e statusError) Error() string {
	return fmt.Sprintf("status %d %s", int(e), http.StatusText(int(e)))
}

// call makes the n-th call and keeps the sample.
func (c *client) call(n int) {
	began := time.Now()
	s := sample{post: n%3 == 0}
	s.by, s.err = c.fetch(n, s.post)
	s.took = time.Since(began)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.samples = append(c.samples, s)
}

// fetch places the order n, or asks about it. Nothing but its limit cuts it short.
func (c *client) fetch(n int, post bool) (by string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.limit)
	defer cancel()
	req, err := c.request(ctx, n, post)
	if err != nil {
		return "", err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if _, err = io.Copy(io.Discard, resp.Body); err != nil {
		return "", err
	}
	if resp.StatusCode/100 != 2 {
		err = statusError(resp.StatusCode)
	}
	return resp.Header.Get(servedBy), err
}

func (c *client) request(ctx context.Context, n int, post bool) (*http.Request, error) {
	if !post {
		return http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/%s/%d", c.base, service, n), http.NoBody)
	}
	order := fmt.Sprintf("order %d", n)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/"+service+"/", strings.NewReader(order))
	if err == nil {
		// It makes a POST one that may be sent again.
		req.Header.Set("Idempotency-Key", fmt.Sprintf("key-%d", n))
	}
	return req, err
}

// take returns the samples since it was last asked.
func (c *client) take() []sample {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.samples
	c.samples = nil
	return s
}
