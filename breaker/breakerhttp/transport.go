package breakerhttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
)

// A Transport is an [http.RoundTripper] with a circuit breaker per host, or per
// whatever [TransportConfig] says. Make one with [NewTransport]; it must not be
// copied. All methods may be used concurrently. There is nothing to close.
type Transport struct {
	base          http.RoundTripper
	group         *breaker.Group[string] // nil with choose
	key           func(*http.Request) string
	choose        func(*http.Request) *breaker.Breaker
	classify      func(*http.Request, *http.Response, error) breaker.Outcome // may be nil
	clock         breaker.Clock                                              // nil: system time
	maxRetryAfter time.Duration                                              // zero: the field is ignored
	earlyClose    breaker.Outcome
}

// NewTransport makes a transport. Its error joins all problems of cfg; each names
// the field and the value. It starts nothing.
func NewTransport(cfg TransportConfig) (*Transport, error) {
	t := &Transport{
		base: cfg.Base, key: cfg.Key, choose: cfg.Choose, classify: cfg.Classify,
		clock: cfg.Group.Config.Clock, maxRetryAfter: max(cfg.MaxRetryAfter, 0), earlyClose: breaker.Ignored,
	}
	if t.base == nil {
		t.base = http.DefaultTransport
	}
	if t.key == nil {
		t.key = hostKey
	}
	if cfg.MaxRetryAfter == 0 {
		t.maxRetryAfter = defaultMaxRetryAfter
	}
	if cfg.TrustEarlyClose {
		t.earlyClose = breaker.Success
	}
	if cfg.Choose != nil {
		if err := chosenAlone(cfg); err != nil {
			return nil, err
		}
		return t, nil
	}
	group, err := breaker.NewGroup(cfg.Group)
	if err != nil {
		return nil, inGroup(err)
	}
	t.group = group
	return t, nil
}

// MustNewTransport is [NewTransport] for package-level variables: it panics with
// its error.
func MustNewTransport(cfg TransportConfig) *Transport {
	t, err := NewTransport(cfg)
	if err != nil {
		panic(err)
	}
	return t
}

func hostKey(req *http.Request) string { return strings.ToLower(req.URL.Host) }

// Group is the group of the transport's breakers, to look at, reset or
// reconfigure them. It is nil with Choose.
func (t *Transport) Group() *breaker.Group[string] { return t.group }

// CloseIdleConnections is forwarded to Base, for [http.Client].
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// RoundTrip sends the request through Base unless the breaker rejects it: then
// nothing is sent, the request's Body is closed, and the error is a
// *[breaker.RejectedError], or the cause of the request's context if that was
// done already. The request is not changed. What Base returns is returned as it
// is, but for the Body of a response whose end has yet to be seen.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req == nil {
		return nil, errNilRequest
	}
	sent := false
	defer func() {
		// A RoundTripper closes the Body whatever happens. From the moment Base
		// is called that is for Base to do.
		if !sent && req.Body != nil {
			req.Body.Close()
		}
	}()
	switch {
	case t == nil || t.base == nil:
		return nil, errZeroTransport
	case req.URL == nil:
		return nil, errNilURL
	}
	b := t.breaker(req)
	if b == nil {
		sent = true
		return t.base.RoundTrip(req)
	}
	call := &body{ctx: req.Context()}
	var err error
	if call.permit, err = b.Allow(req.Context()); err != nil {
		return nil, err
	}
	sent = true
	return t.guarded(req, call)
}

func (t *Transport) breaker(req *http.Request) *breaker.Breaker {
	if t.choose != nil {
		return t.choose(req)
	}
	return t.group.Get(t.key(req))
}

// guarded makes an admitted round trip. If it does not return, because Base or
// Classify panics or exits the goroutine, it is reported all the same, and a
// response that nobody will get is closed. There is no recover: a panic goes on
// with its stack.
func (t *Transport) guarded(req *http.Request, call *body) (resp *http.Response, err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		call.permit.Record(breaker.Failure, errAborted)
		if resp != nil && resp.Body != nil {
			resp.Body.Close()
		}
	}()
	resp, err = t.base.RoundTrip(req)
	if resp == nil && err == nil {
		err = fmt.Errorf("breakerhttp: %T returned neither a response nor an error", t.base)
	}
	if err != nil {
		t.failed(req, resp, err, call)
	} else {
		t.answered(req, resp, call)
	}
	returned = true
	return resp, err
}

// failed reports a round trip that returned an error.
func (t *Transport) failed(req *http.Request, resp *http.Response, err error, call *body) {
	told := explained(call.ctx, err)
	switch {
	case t.classify != nil:
		call.permit.Record(t.classify(req, resp, err), told)
	case malformed(req):
		call.permit.Record(breaker.Ignored, told)
	default:
		call.permit.Done(told)
	}
}

// explained is err for the breaker: a deadline of the request's context that is
// over explains whatever error comes after it. An http.Client that has a Timeout
// and a Transport it does not know, such as this one, sets both the deadline and
// Request.Cancel, and Base may see the second first, with an error that says
// nothing of time.
func explained(ctx context.Context, err error) error {
	deadline, ok := ctx.Deadline()
	if !ok || !past(deadline) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
}

// answered reports a round trip that returned a response, or leaves that to its
// Body.
func (t *Transport) answered(req *http.Request, resp *http.Response, call *body) {
	classify := t.classify
	if classify == nil {
		classify = DefaultClassify
	}
	switch o := classify(req, resp, nil); o {
	case breaker.Success:
		if bodiless(req, resp) {
			call.permit.Record(o, nil)
		} else {
			call.watch(resp, t.earlyClose)
		}
	case breaker.Ignored:
		call.permit.Record(o, &StatusError{Code: resp.StatusCode})
	default: // unknown outcomes are failures
		cause := &StatusError{Code: resp.StatusCode}
		if d := t.retryAfter(resp); d > 0 {
			call.permit.Trip(d, cause)
		} else {
			call.permit.Record(breaker.Failure, cause)
		}
	}
}

// DefaultClassify is the classifier of a TransportConfig without one, for own
// classifiers to fall back on. A status of 500 and above or 429 is a Failure,
// any other is Success. A request that net/http refuses to send, because its method
// or a header field is malformed, is Ignored: the server has not seen it. Other
// errors are judged by [breaker.DefaultClassify], with the request's context.
func DefaultClassify(req *http.Request, resp *http.Response, err error) breaker.Outcome {
	switch {
	case err != nil && malformed(req):
		return breaker.Ignored
	case err != nil:
		return breaker.DefaultClassify(req.Context(), err)
	case resp == nil || failure(resp.StatusCode) || resp.StatusCode == http.StatusTooManyRequests:
		return breaker.Failure
	}
	return breaker.Success
}

// failure reports whether a status blames the server.
func failure(status int) bool { return status >= http.StatusInternalServerError }
