package registryhttp_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// A fault is what an instance does to a call of an http.Client, and what the
// balancer has to make of it. There is no other instance.
type fault struct {
	serve func(*wire)         // for each connection
	ask   func(*http.Request) // nil: a plain GET
	tweak func(*http.Client, *http.Transport)
	end   error // cause of the cancel when the server stalls

	status   int    // zero: no response
	text     string // of the body
	err      error  // of the call or of the body; errAny: there is one
	want     []outcome
	requests int // that reached the server; zero: one; negative: whatever
}

// chunked is the beginning of a response in chunks.
const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

var (
	errAny    = errors.New("any error")
	errUpload = errors.New("disk failed")
)

func outcomes(o ...outcome) []outcome { return o }

// once serves one request of a connection.
func once(f func(*wire)) func(*wire) {
	return func(w *wire) {
		if w.request() != nil {
			f(w)
		}
	}
}

// say answers with these very bytes and hangs up.
func say(text string) func(*wire) { return once(func(w *wire) { w.send(text) }) }

// each serves all requests of a connection.
func each(f func(*wire, *http.Request)) func(*wire) {
	return func(w *wire) {
		for req := w.request(); req != nil; req = w.request() {
			f(w, req)
		}
	}
}

func always(status int, body string, header ...string) func(*wire) {
	return each(func(w *wire, _ *http.Request) { w.answer(status, body, header...) })
}

// redirect leads from / to /next, and serves that.
func redirect(status int, next func(*wire, *http.Request)) func(*wire) {
	return each(func(w *wire, req *http.Request) {
		if req.URL.Path == "/next" {
			next(w, req)
		} else {
			w.answer(status, "moved", "Location", "/next")
		}
	})
}

// post sends a body that cannot be sent again.
func post(body io.Reader) func(*http.Request) {
	return func(req *http.Request) { req.Method, req.Body = http.MethodPost, io.NopCloser(body) }
}

// repeatable sends one that can.
func repeatable(text string) func(*http.Request) {
	return func(req *http.Request) {
		post(strings.NewReader(text))(req)
		req.ContentLength = int64(len(text))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
	}
}

var faults = map[string]fault{
	// Nothing comes.
	"refused": {
		serve: func(*wire) {},
		tweak: func(_ *http.Client, tr *http.Transport) {
			tr.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, errRefused }
		},
		err: errRefused, want: outcomes(failure), requests: -1,
	},
	"closed before the header": {serve: say(""), err: io.EOF, want: outcomes(failure)},
	"reset before the header":  {serve: once((*wire).reset), err: errAny, want: outcomes(failure)},
	"closed in the header":     {serve: say("HTTP/1.1 200 OK\r\nContent-Le"), err: errAny, want: outcomes(failure)},
	"slow header, deadline": {
		serve: once(func(w *wire) { w.server.cancel(); w.wait() }), end: context.DeadlineExceeded,
		err: context.DeadlineExceeded, want: outcomes(failure), // as with a Clock, whose deadlines are cancels
	},
	"slow header, caller gives up": {
		serve: once(func(w *wire) { w.server.cancel(); w.wait() }), end: context.Canceled,
		err: context.Canceled, want: outcomes(ignored),
	},
	"slow header, caller gives up, with a cause": {
		serve: once(func(w *wire) { w.server.cancel(); w.wait() }), end: errUpload,
		err: errUpload, want: outcomes(ignored),
	},
	"slow header, timeout of the client": {
		serve: (*wire).wait,
		tweak: func(c *http.Client, _ *http.Transport) { c.Timeout = 20 * time.Millisecond },
		err:   context.DeadlineExceeded, want: outcomes(failure), requests: -1,
	},
	"slow header, timeout of Base": {
		serve: once((*wire).wait),
		tweak: func(_ *http.Client, tr *http.Transport) { tr.ResponseHeaderTimeout = time.Millisecond },
		err:   errAny, want: outcomes(failure), requests: -1,
	},

	// Something else comes.
	"not HTTP":         {serve: say("SSH-2.0-OpenSSH_9.6\r\n"), err: errAny, want: outcomes(failure)},
	"malformed status": {serve: say("HTTP/1.1 OK\r\n\r\n"), err: errAny, want: outcomes(failure)},
	"endless header": {
		serve: once(func(w *wire) {
			w.send("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<16) + "\r\n\r\n")
			w.wait()
		}),
		tweak: func(_ *http.Client, tr *http.Transport) { tr.MaxResponseHeaderBytes = 1 << 12 },
		err:   errAny, want: outcomes(failure),
	},
	"not TLS": {
		serve: func(w *wire) { w.send("HTTP/1.1 400 Bad Request\r\n\r\n"); w.wait() },
		ask:   func(req *http.Request) { req.URL.Scheme = "https" },
		err:   http.ErrSchemeMismatch, want: outcomes(failure), requests: -1,
	},

	// The body comes, in all the ways it may.
	"complete":           {serve: always(200, "text"), status: 200, text: "text", want: outcomes(success)},
	"ended by the close": {serve: say("HTTP/1.0 200 OK\r\n\r\ntext"), status: 200, text: "text", want: outcomes(success)},
	"empty":              {serve: say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), status: 200, want: outcomes(success)},
	"chunked, trailer":   {serve: say(chunked + "4\r\ntext\r\n0\r\nX-Sum: 1\r\n\r\n"), status: 200, text: "text", want: outcomes(success)},
	"after 100 and 103":  {serve: say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + half + "-more"), status: 200, text: "text-more", want: outcomes(success)},
	"slow body": {
		serve:  once(func(w *wire) { w.send(half); <-w.server.received; w.send("-more") }),
		status: 200, text: "text-more", want: outcomes(success),
	},
	"no content": {serve: say("HTTP/1.1 204 No Content\r\n\r\n"), status: 204, want: outcomes(success)},
	"HEAD":       {serve: say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), ask: func(req *http.Request) { req.Method = http.MethodHead }, status: 200, want: outcomes(success)},
	"answer to half a POST": {
		serve: func(w *wire) { w.header(); w.answer(413, "too much"); w.wait() },
		ask:   post(endless{}), status: 413, text: "too much", want: outcomes(success),
	},

	// The body does not come, or not all of it.
	"truncated":          {serve: say(half), status: 200, text: "text", err: io.ErrUnexpectedEOF, want: outcomes(failure)},
	"truncated chunk":    {serve: say(chunked + "9\r\ntext"), status: 200, text: "text", err: io.ErrUnexpectedEOF, want: outcomes(failure)},
	"last chunk missing": {serve: say(chunked + "4\r\ntext\r\n"), status: 200, text: "text", err: io.ErrUnexpectedEOF, want: outcomes(failure)},
	"malformed chunk":    {serve: say(chunked + "4\r\ntext\r\nxyz\r\n"), status: 200, text: "text", err: errAny, want: outcomes(failure)},
	"gzip that is none":  {serve: always(200, "text", "Content-Encoding", "gzip"), status: 200, err: errAny, want: outcomes(failure)},
	"reset in the body": {
		serve:  once(func(w *wire) { w.send(half); <-w.server.received; w.reset() }),
		status: 200, text: "text", err: errAny, want: outcomes(failure),
	},
	"slow body, caller gives up": {
		serve: once(func(w *wire) { w.send(half); w.stall() }), end: context.Canceled,
		status: 200, text: "text", err: context.Canceled, want: outcomes(ignored),
	},
	"slow body, caller gives up, with a cause": {
		serve: once(func(w *wire) { w.send(half); w.stall() }), end: errUpload,
		status: 200, text: "text", err: errUpload, want: outcomes(ignored),
	},

	// The instance says no.
	"500":         {serve: always(500, "text"), status: 500, text: "text", want: outcomes(failure)},
	"503":         {serve: always(503, "text"), status: 503, text: "text", want: outcomes(failure)},
	"404":         {serve: always(404, "text"), status: 404, text: "text", want: outcomes(success)},
	"429":         {serve: always(429, "text"), status: 429, text: "text", want: outcomes(failure)},
	"503 cut off": {serve: say("HTTP/1.1 503 X\r\nContent-Length: 9\r\n\r\ntext"), status: 503, text: "text", err: io.ErrUnexpectedEOF, want: outcomes(failure)},

	// One call of the client is several of the balancer.
	"redirect": {
		serve:  redirect(302, func(w *wire, _ *http.Request) { w.answer(200, "text") }),
		status: 200, text: "text", want: outcomes(success, success), requests: 2,
	},
	"redirect into a failure": {
		serve:  redirect(301, func(w *wire, _ *http.Request) { w.answer(500, "text") }),
		status: 500, text: "text", want: outcomes(success, failure), requests: 2,
	},
	"redirect into silence": {
		serve: redirect(301, func(w *wire, _ *http.Request) { w.hangUp() }),
		err:   errAny, want: outcomes(success, failure), requests: -1,
	},
	"redirect with a body": {
		serve: redirect(307, func(w *wire, req *http.Request) { w.answer(200, req.Method) }),
		ask:   repeatable("payload"), status: 200, text: "POST", want: outcomes(success, success), requests: 2,
	},
	"redirect with a body that is gone": {
		serve: redirect(307, func(w *wire, req *http.Request) { w.answer(200, req.Method) }),
		ask:   post(strings.NewReader("payload")), status: 307, text: "moved", want: outcomes(success),
	},
	"redirect in a circle": {
		serve: redirect(302, func(w *wire, _ *http.Request) { w.answer(302, "", "Location", "/next") }),
		err:   errAny, want: outcomes(success, success, success, success, success, success, success, success, success, success),
		requests: 10,
	},

	// The caller's own troubles. That of its body cannot be told from the
	// instance's.
	"upload fails": {
		serve: func(w *wire) { w.request() },
		ask:   post(io.MultiReader(strings.NewReader("pay"), iotest.ErrReader(errUpload))),
		err:   errUpload, want: outcomes(ignored), requests: -1, // it is the caller's side
	},
}

// endless is an upload that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// Section by section of HTTP: what goes wrong on the wire is judged as the
// guarantees say, told once, and leaves no connection and no call behind.
func TestFaults(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := &http.Transport{}
			f := newFixture(t, base, nil)
			client := &http.Client{Transport: f}
			if fault.tweak != nil {
				fault.tweak(client, base)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			server, received := newFaultServer(t, base, fault.serve), make(chan struct{})
			server.received, server.cancel = received, func() { cancel(fault.end) }
			register(t, f.reg, server.instance("a"))

			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://orders/", nil)
			require.NoError(t, err)
			if fault.ask != nil {
				fault.ask(req)
			}
			status, text, err := call(client, req, received)

			assert.Equal(t, fault.status, status)
			assert.Equal(t, fault.text, text)
			switch {
			case errors.Is(fault.err, errAny):
				assert.Error(t, err)
			case fault.err != nil:
				assert.ErrorIs(t, err, fault.err)
			default:
				assert.NoError(t, err)
			}
			var got []outcome
			for _, done := range f.take() {
				got = append(got, done.is)
			}
			assert.Equal(t, fault.want, got)
			assert.Zero(t, f.inFlight())
			if fault.requests >= 0 {
				assert.Equal(t, max(fault.requests, 1), int(server.requests.Load()), "requests")
			}
		})
	}
}

// call makes a call and reads its body, telling when the first bytes are there.
func call(client *http.Client, req *http.Request, received chan<- struct{}) (status int, text string, err error) {
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	buf := make([]byte, 4)
	n, err := io.ReadFull(resp.Body, buf)
	close(received)
	if errors.Is(err, io.EOF) {
		return resp.StatusCode, "", nil
	}
	if err != nil {
		return resp.StatusCode, string(buf[:n]), err
	}
	rest, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(buf) + string(rest), err
}

// A deadline of the caller's in the middle of a body is a failure: it is the
// instance that was too slow.
func TestFaults_SlowBodyDeadline(t *testing.T) {
	base := &http.Transport{}
	f := newFixture(t, base, nil)
	server := newFaultServer(t, base, once(func(w *wire) { w.send(half); w.wait() }))
	register(t, f.reg, server.instance("a"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://orders/", nil)
	require.NoError(t, err)
	_, _, err = call(&http.Client{Transport: f}, req, make(chan struct{}))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Equal(t, failure, f.one(t))
}

// away is another instance in the tests about moving on.
func away(serve func(*wire)) func(*testing.T, *http.Transport, *registry.Registry, string) *faultServer {
	return func(t *testing.T, base *http.Transport, r *registry.Registry, id string) *faultServer {
		t.Helper()
		server := newFaultServer(t, base, serve)
		register(t, r, server.instance(id))
		return server
	}
}
