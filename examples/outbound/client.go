package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
)

// A client makes calls to one URL and keeps a sample of each.
type client struct {
	name  string // its User-Agent
	http  http.Client
	limit time.Duration        // after which it gives a call up
	state func() breaker.State // of its breaker; Closed without one

	// prepare makes what to send.
	prepare func(context.Context) (*http.Request, error)

	mu      sync.Mutex
	samples []sample
}

// A sample is what a caller knows of one call.
type sample struct {
	began, ended time.Time
	closed       bool                   // the breaker was, when the call began
	status       int                    // zero: no answer
	err          error                  // nil: a good answer
	rejection    *breaker.RejectedError // nil: the call was let through
}

// A statusError is an answer that is an error to the caller.
type statusError int

func (e statusError) Error() string { return http.StatusText(int(e)) }

// protect puts a breaker in front of base. The breakers are one per host; this
// is all it takes.
func protect(base http.RoundTripper, cfg breaker.Config) (*breakerhttp.Transport, error) {
	return breakerhttp.NewTransport(breakerhttp.TransportConfig{
		Base:  base,
		Group: breaker.GroupConfig[string]{Config: cfg},
	})
}

func alwaysClosed() breaker.State { return breaker.Closed }

// call makes one call, as any caller would, and keeps the sample. Nothing but
// its limit cuts it short: to a breaker a call that its caller gave up may have
// been a slow one, so a Ctrl-C could open it and blame the server.
func (c *client) call() {
	s := sample{closed: c.state() == breaker.Closed, began: time.Now()}
	s.status, s.err = c.fetch()
	s.ended = time.Now()
	errors.As(s.err, &s.rejection)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.samples = append(c.samples, s)
}

// fetch reads the whole answer: a call is over when its body is.
func (c *client) fetch() (status int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.limit)
	defer cancel()
	req, err := c.prepare(ctx)
	if err != nil {
		return 0, err
	}
	req.Header.Set("User-Agent", c.name)
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if _, err = io.Copy(io.Discard, resp.Body); err != nil {
		return resp.StatusCode, err
	}
	// What is a failure to the breaker is one to the caller.
	if breakerhttp.DefaultClassify(req, resp, nil) != breaker.Success {
		return resp.StatusCode, statusError(resp.StatusCode)
	}
	return resp.StatusCode, nil
}

// take returns the samples since it was last asked.
func (c *client) take() []sample {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.samples
	c.samples = nil
	return s
}
