package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// newTransport sends requests to services by their names: to the quicker of two
// instances, past those whose breaker is open, and once more if that is safe.
func newTransport(base http.RoundTripper, reg *registry.Registry, breakers *breaker.Group[string], t tempo, random func() uint64) (*registryhttp.Transport, error) {
	return registryhttp.NewTransport(reg, registryhttp.TransportConfig{
		Base: base,
		Balancer: balance.Config{
			Policy:  balance.PeakEWMA{Decay: t.part(0.025, 50*time.Millisecond)}, // it forgets as fast as all else goes
			Gate:    guard(breakers),
			Outlier: &balance.Outlier{Consecutive: -1}, // the breakers judge the same failures
			Retry:   balance.Retry{Attempts: 3, AttemptTimeout: t.attempt()},
			Rand:    random,
		},
	})
}

// guard makes a breaker per instance the gate of a balancer. This is all that
// connects the two packages.
func guard(breakers *breaker.Group[string]) func(*registry.Endpoint) balance.Gate {
	return func(e *registry.Endpoint) balance.Gate {
		return balance.GateFunc(func(ctx context.Context) (func(error), error) {
			p, err := breakers.Get(e.Addr()).Allow(ctx) // Get per call: a group may forget what it does not see used
			if err != nil {
				return nil, err
			}
			return func(err error) {
				if d := asked(err); d > 0 {
					p.Trip(min(d, longestPause), err)
					return
				}
				p.Done(err)
			}, nil
		})
	}
}

// asked is how long an instance wants to be left alone; 0: it has not said.
func asked(err error) time.Duration {
	if err == nil {
		return 0 // without an allocation, unlike what follows
	}
	var status *registryhttp.StatusError
	if !errors.As(err, &status) {
		return 0
	}
	return breakerhttp.RetryAfter(status.Header, time.Now())
}

// longestPause is the longest that a server can have itself left alone for.
const longestPause = 5 * time.Minute

// breakerConfig is that of the breakers of all instances.
func breakerConfig(t tempo, hooks breaker.Hooks) breaker.Config {
	return breaker.Config{
		Trip: breaker.Any(
			breaker.ConsecutiveFailures(4),
			breaker.FailureRate(0.5, 10, breaker.Within(t.window())),
		),
		OpenFor: t.open(),
		Backoff: 2, MaxOpenFor: 4 * t.open(),
		CloseAfter: 2, ProbeLease: t.patience(),
		Hooks: hooks,
	}
}

// A caller makes the calls of one program.
type caller struct{ http *http.Client }

// A statusError is an answer that is no success.
type statusError struct {
	code  int
	why   string
	after time.Duration // when to come again; 0: not told
}

func (e *statusError) Error() string { return fmt.Sprintf("%d %s", e.code, e.why) }

// A request is what is asked of a service. With the key it can be sent again.
type request struct {
	method, url string
	key, doKey  string
	body        any // nil: none
}

// call sends a request and returns the receipt.
func (c caller) call(ctx context.Context, r request) (receipt string, err error) {
	var body io.Reader = http.NoBody
	if r.body != nil {
		data, err := json.Marshal(r.body)
		if err != nil {
			return "", err
		}
		// It can be read again, so that the transport can send it to another instance
		// if the first one does not answer.
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, body)
	if err != nil {
		return "", err
	}
	req.Header.Set(keyHeader, r.key)
	if r.doKey != "" {
		req.Header.Set(undoHeader, r.doKey)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var about *url.Error
		if errors.As(err, &about) { // the address says nothing that the step does not
			err = about.Err
		}
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	var got reply
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		return "", fmt.Errorf("%d: %w", resp.StatusCode, err)
	}
	if resp.StatusCode/100 == 2 {
		return got.Receipt, nil
	}
	return "", &statusError{resp.StatusCode, got.Error, breakerhttp.RetryAfter(resp.Header, time.Now())}
}
