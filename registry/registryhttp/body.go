package registryhttp

import (
	"io"
	"net/http"
	"runtime"
	"sync/atomic"

	"github.com/mainstay-go/mainstay/registry/balance"
)

// A body is a response's Body that ends the use of the instance when it is over.
//
// Read and Close may run concurrently, as with the Bodies of net/http: Close is
// how one goroutine gets another out of a Read that hangs. The pick settles
// which of them counts.
type body struct {
	from    io.ReadCloser
	use     *use
	outcome error        // if nothing goes wrong with the body
	left    atomic.Int64 // of Content-Length; if that is unknown, negative after the first data at the latest
	guard   atomic.Pointer[guard]
}

// A guard gives a pick back when it is garbage. To make one costs more than all
// else about a body, so they are used again: a body has one until it is over, and
// nobody else refers to that meanwhile.
type guard struct{ held *held }

// Held is what a guard has. It is apart, since the cleanup refers to it.
type held struct {
	pick balance.Pick
	live atomic.Bool // written after pick, and looked at before
}

func newGuard() any {
	g := &guard{&held{}}
	runtime.AddCleanup(g, (*held).abandon, g.held)
	return g
}

func (h *held) abandon() {
	if h.live.Load() {
		h.pick.Abandon()
	}
}

// unguard is for a body that is over, or about to be.
func (b *body) unguard() {
	if g := b.guard.Swap(nil); g != nil {
		g.held.live.Store(false)
		g.held.pick = balance.Pick{}
		b.use.t.guards.Put(g)
	}
}

// A duplex is a body one can write to, that of 101 Switching Protocols.
type duplex struct {
	*body
	io.Writer
}

// CloseWrite passes a half-close on, for proxies of such connections.
func (d *duplex) CloseWrite() error {
	if c, ok := d.Writer.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return http.ErrNotSupported
}

// watch wraps the body of a response.
//
// Somebody who forgets to close it leaks a connection, which is bad enough; so
// that the instance does not look busy for ever, and a drain does not wait for
// ever, the pick is given back when the body is garbage. The context of the attempt
// is left alone: to end it would wake goroutines, see [balance.Pick.Abandon].
func watch(u *use, resp *http.Response, outcome error) io.ReadCloser {
	b := &body{from: resp.Body, use: u, outcome: outcome}
	b.left.Store(resp.ContentLength)
	g := u.t.guards.Get().(*guard)
	g.held.pick = u.pick
	g.held.live.Store(true)
	b.guard.Store(g)
	if w, ok := resp.Body.(io.Writer); ok {
		return &duplex{b, w}
	}
	return b
}

// Read ends the use at the end of the body, or at what kept it from getting
// there. Not every reader looks for io.EOF once it has all of Content-Length, so
// that is an end too.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	left := b.left.Add(-int64(n))
	switch {
	case err == io.EOF:
		b.unguard()
		b.use.end(b.outcome)
	case left == 0 && n > 0: // trailers may follow, so the context goes on
		b.unguard()
		b.use.pick.DoneAfter(b.outcome, b.use.latency)
	case err != nil:
		b.unguard()
		b.use.end(b.use.told(err))
	}
	return n, err
}

// Close ends the pick first: a Read in another goroutine will fail because of it.
func (b *body) Close() (err error) {
	defer b.use.release()
	defer func() { err = b.from.Close() }() // also if what follows panics
	b.unguard()
	b.use.pick.DoneAfter(b.outcome, b.use.latency)
	return nil
}

// bodiless reports whether a response has no body that could still go wrong.
func bodiless(req *http.Request, resp *http.Response) bool {
	if resp.Body == nil || resp.Body == http.NoBody || req.Method == http.MethodHead {
		return true
	}
	return resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified
}
