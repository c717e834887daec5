package breakerhttp

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/mainstay-go/mainstay/breaker"
)

// A body is a response's Body that reports the call when it is over. It is made
// before the call begins, for its permit, so that a guarded round trip costs
// one allocation.
//
// Read and Close may run concurrently, as with the Bodies of net/http: Close is
// how one goroutine gets another out of a Read that hangs. The permit settles
// which of them reports.
//
// It has no WriteTo although a Body of somebody's RoundTripper may: every Read
// has to be seen, and io.Copy does without.
type body struct {
	from   io.ReadCloser
	ctx    context.Context //nolint:containedctx // of the request, whose deadline may explain an error
	permit breaker.Permit
	left   atomic.Int64    // of Content-Length; if that is unknown, negative after the first data at the latest
	early  breaker.Outcome // of a Close before the end
}

// watch has the response's Body report the call.
func (b *body) watch(resp *http.Response, early breaker.Outcome) {
	b.from, b.early = resp.Body, early
	b.left.Store(resp.ContentLength)
	resp.Body = b
}

// Read reports the end of the body, or what kept it from getting there. Not
// every reader looks for io.EOF once it has all of Content-Length, so that is
// an end too.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	left := b.left.Add(-int64(n))
	switch {
	case err == io.EOF, left == 0 && n > 0:
		b.permit.Record(breaker.Success, nil)
	case err != nil:
		b.permit.Done(explained(b.ctx, err)) // so that the caller's cancel is no failure
	case n > 0:
		b.permit.Progress()
	}
	return n, err
}

// Close reports first: a Read in another goroutine will fail because of it.
// Nothing is left of a body that was announced as empty.
func (b *body) Close() error {
	o := b.early
	if b.left.Load() == 0 {
		o = breaker.Success
	}
	b.permit.Record(o, nil)
	return b.from.Close()
}

// bodiless reports whether a response has no body that could still go wrong, or
// one that must not be touched: that of a CONNECT, and what one can also write
// to (101 Switching Protocols), is a connection, whose length of life says
// nothing; behind a wrapper it would be an io.Writer no more.
func bodiless(req *http.Request, resp *http.Response) bool {
	if resp.Body == nil || resp.Body == http.NoBody || req.Method == http.MethodHead {
		return true
	}
	if req.Method == http.MethodConnect && resp.StatusCode/100 == 2 {
		return true
	}
	switch resp.StatusCode {
	case http.StatusNoContent, http.StatusNotModified, http.StatusSwitchingProtocols:
		return true
	}
	_, tunnel := resp.Body.(io.Writer)
	return tunnel
}
