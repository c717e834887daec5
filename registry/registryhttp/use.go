package registryhttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// A use is one attempt: the use that one request makes of one instance, until
// its response has been read.
type use struct {
	t    *Transport
	c    *client
	req  *http.Request
	pick balance.Pick

	out     http.Request // what is sent, and its URL: here, so that they are one piece of memory
	url     url.URL
	clone   *clone                  // of Base, which is used instead; nil: Base
	over    sync.Once               // that it was used
	touched atomic.Bool             // the request's body, if that is watched
	failed  atomic.Bool             // for a reason of the request: it is malformed, or its body could not be read
	latency time.Duration           // to the headers
	cancel  context.CancelCauseFunc // of the context of the attempt; nil: it is that of the request
}

// maxDiscard is how much of a response is read that another attempt makes
// useless, so that its connection can be used again, and discardTime for how
// long, since an instance in trouble may never send the rest.
const (
	maxDiscard  = 4 << 10
	discardTime = 100 * time.Millisecond
)

// send makes the round trip up to the headers.
func (u *use) send(body io.ReadCloser, sent *bool) (resp *http.Response, err error) {
	returned := false
	arrived := func() bool { return true }
	defer func() {
		if !returned { // a panic of Base goes on, with its stack
			arrived()
			u.end(aborted())
		}
	}()
	base, out, settle, err := u.prepare(body)
	if err != nil {
		if body != nil {
			body.Close()
		}
		*sent = true
		returned = true
		return nil, err
	}
	arrived = settle
	watch := startWatch(u.c.clock)
	*sent = true
	resp, err = base.RoundTrip(out)
	u.latency = watch.passed()
	if err != nil && malformed(u.req) {
		u.failed.Store(true)
	}
	if !arrived() {
		if resp != nil && resp.Body != nil {
			resp.Body.Close()
		}
		// Not every Base returns the cause of its context.
		if err == nil || errors.Is(err, context.Canceled) && u.req.Context().Err() == nil {
			err = context.DeadlineExceeded
		}
		resp = nil
	}
	if resp == nil && err == nil {
		err = fmt.Errorf("registryhttp: %T returned neither a response nor an error", base)
	}
	returned = true
	return resp, err
}

// limit gives the attempt a context that ends after AttemptTimeout, unless the
// headers have arrived by then. The function it returns tells that they have, and
// reports whether they came in time: exactly one of the two wins, so that a
// timer which fires at the last moment does not break the body.
func (u *use) limit() (ctx context.Context, arrived func() bool) {
	if u.c.timeout <= 0 {
		return u.req.Context(), func() bool { return true }
	}
	var settled atomic.Bool
	ctx, cancel := context.WithCancelCause(u.req.Context())
	u.cancel = cancel
	stop := afterFunc(u.c.clock, u.c.timeout, func() {
		if !settled.Swap(true) {
			cancel(context.DeadlineExceeded)
		}
	})
	return ctx, func() bool {
		stop()
		return !settled.Swap(true)
	}
}

// prepare makes the request for the instance and finds who sends it.
func (u *use) prepare(body io.ReadCloser) (http.RoundTripper, *http.Request, func() bool, error) {
	e, req := u.pick.Endpoint(), u.req
	base := u.t.base
	scheme := or(e.Scheme(), req.URL.Scheme)
	if name := e.ServerName(); name != "" && scheme == "https" && name != hostOf(e.Addr()) {
		if u.clone = u.t.tls.of(name); u.clone == nil {
			return nil, nil, nil, fmt.Errorf("registryhttp: instance %q of %q has the ServerName %q, for which Base has to be an *http.Transport, not %T",
				e.ID(), e.Service(), name, base)
		}
		base = u.clone.rt
	}
	ctx, arrived := u.limit()
	out := &u.out
	if u.cancel == nil {
		*out = *req // a shallow copy
	} else {
		*out = *req.WithContext(ctx)
	}
	out.Header = req.Header.Clone() // in case Base keeps to its contract less than we do
	u.url = *req.URL
	out.URL = &u.url
	out.URL.Host, out.URL.Scheme = e.Addr(), scheme
	out.Body = u.watched(body)
	switch custom := req.Host != "" && req.Host != req.URL.Host; {
	case custom:
	case u.t.cfg.KeepHost:
		out.Host = req.URL.Host
	case e.ServerName() != "":
		out.Host = e.ServerName()
	default:
		out.Host = e.Addr()
	}
	return base, out, arrived, nil
}

// watched notices whether a body was read of which it matters: a request that may
// not be repeated may be all the same if nobody has touched its body.
func (u *use) watched(body io.ReadCloser) io.ReadCloser {
	if body == nil || body == http.NoBody || idempotent(u.req) && u.req.GetBody != nil {
		return body // what can be had again is in memory, and does not fail
	}
	return &upload{body, u}
}

// An upload is a request's body that is watched.
type upload struct {
	io.ReadCloser
	use *use
}

func (b *upload) Read(p []byte) (int, error) {
	b.use.touched.Store(true)
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		b.use.failed.Store(true)
	}
	return n, err
}

// end ends the use.
func (u *use) end(err error) {
	defer u.release() // also if a gate panics
	u.pick.DoneAfter(err, u.latency)
}

// release gives back what an attempt has besides its pick.
func (u *use) release() {
	if u.cancel != nil {
		u.cancel(context.Canceled)
	}
	if u.clone != nil {
		u.over.Do(func() { u.t.tls.left(u.clone) })
	}
}

// aborted is the outcome of a round trip that did not return: a failure, whatever
// IsFailure says.
func aborted() error {
	return &registry.PanicError{Value: "registryhttp: the round trip panicked or called runtime.Goexit"}
}

// discard ends the use of an attempt that is followed by another one, with what is
// to be told about it.
func (u *use) discard(resp *http.Response, problem error) {
	if resp != nil && resp.Body != nil {
		// In real time: it is about a connection.
		stop := afterFunc(nil, discardTime, func() { resp.Body.Close() })
		gone := context.AfterFunc(u.req.Context(), func() { resp.Body.Close() })
		_, _ = io.CopyN(io.Discard, resp.Body, maxDiscard)
		stop()
		gone()
		resp.Body.Close()
	}
	u.end(problem)
}

// result is what the last attempt comes to, with what is to be told about it.
func (u *use) result(resp *http.Response, err, problem error) (*http.Response, error) {
	if err != nil {
		u.end(problem)
		return nil, err
	}
	resp.Request = u.req // as if it had been sent as it was
	if bodiless(u.req, resp) {
		u.end(problem)
		return resp, nil
	}
	resp.Body = watch(u, resp, problem)
	return resp, nil
}

// told is err for the balancer, asked when err has come: what the caller does later
// has nothing to do with it. An http.Transport returns the cause of a context
// that has ended, which need not say that it was the caller who gave up; and it is
// the caller's side, too, if the request could not be sent. A deadline says
// something about the instance, also that of a Clock, which ends a context as a
// cancel does.
func (u *use) told(err error) error {
	ctx := u.req.Context()
	gaveUp := errors.Is(ctx.Err(), context.Canceled)
	switch {
	case gaveUp && errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		if errors.Is(err, context.Canceled) {
			return context.DeadlineExceeded
		}
	case (gaveUp || u.failed.Load()) && !errors.Is(err, context.Canceled):
		return fmt.Errorf("%w: %w", context.Canceled, err)
	}
	return err
}

func or(s, def string) string {
	if s != "" {
		return s
	}
	return def
}

// hostOf is the host in the address of an instance, without brackets.
func hostOf(addr string) string {
	host := addr[:strings.LastIndexByte(addr, ':')]
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}
