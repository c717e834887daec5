package breakerhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
)

var errSecret = errors.New("dial tcp 10.0.0.7: password hunter2 rejected")

// serve runs one request through Middleware around a handler and returns what
// the client got.
func serve(b *breaker.Breaker, r *http.Request, handler http.HandlerFunc) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	breakerhttp.Middleware(b)(handler).ServeHTTP(w, r)
	return w
}

// G45: the handler's status is the outcome.
func TestG45_StatusDecides(t *testing.T) {
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    breaker.Outcome
		status  int
	}{
		"nothing":              {func(http.ResponseWriter, *http.Request) {}, breaker.Success, 200},
		"write":                {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("x")) }, breaker.Success, 200},
		"200":                  {status(200), breaker.Success, 200},
		"302":                  {status(302), breaker.Success, 302},
		"404":                  {status(404), breaker.Success, 404},
		"429":                  {status(429), breaker.Success, 429},
		"499":                  {status(499), breaker.Success, 499},
		"500":                  {status(500), breaker.Failure, 500},
		"503":                  {status(503), breaker.Failure, 503},
		"599":                  {status(599), breaker.Failure, 599},
		"the first counts":     {status(200, 500), breaker.Success, 200},
		"the first counts too": {status(500, 200), breaker.Failure, 500},
		"after a write": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(nil)
			w.WriteHeader(500)
		}, breaker.Success, 200},
		"after a string": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "x")
			w.WriteHeader(500)
		}, breaker.Success, 200},
		"after a flush": {func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			w.WriteHeader(500)
		}, breaker.Success, 200},
		"after a controlled flush": {func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).Flush()
			w.WriteHeader(500)
		}, breaker.Success, 200},
	} {
		t.Run(name, func(t *testing.T) {
			var l ledger
			b := newBreaker(t, func(cfg *breaker.Config) { cfg.Hooks = l.hooks() })
			w := serve(b, get(t), test.handler)
			assert.Equal(t, test.status, w.Code)
			done := l.one(t)
			assert.Equal(t, test.want, done.Outcome)
			if test.want == breaker.Failure {
				assert.Equal(t, &breakerhttp.StatusError{Code: test.status}, b.Snapshot().Cause)
			} else {
				assert.NoError(t, done.Err)
			}
		})
	}
}

func status(codes ...int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, code := range codes {
			w.WriteHeader(code)
		}
	}
}

func TestG45_InformationalStatusDecidesNothing(t *testing.T) {
	for codes, want := range map[[4]int]breaker.Outcome{
		{100, 102, 103, 200}: breaker.Success,
		{100, 102, 103, 500}: breaker.Failure,
		{103, 101, 500, 500}: breaker.Success, // 101 is the last
	} {
		var l ledger
		b := newBreaker(t, func(cfg *breaker.Config) { cfg.Hooks = l.hooks() })
		plain := &plainWriter{header: make(http.Header)}
		breakerhttp.Middleware(b)(status(codes[:]...)).ServeHTTP(plain, get(t))
		assert.Equal(t, want, l.one(t).Outcome, codes)
		assert.Equal(t, codes[:], plain.statuses, "all are passed on")
	}
}

// plainWriter is the least that an http.ResponseWriter can be.
type plainWriter struct {
	header   http.Header
	statuses []int
	text     []byte
}

func (w *plainWriter) reset()                 { w.statuses, w.text = w.statuses[:0], w.text[:0] }
func (w *plainWriter) Header() http.Header    { return w.header }
func (w *plainWriter) WriteHeader(status int) { w.statuses = append(w.statuses, status) }
func (w *plainWriter) Write(p []byte) (int, error) {
	w.text = append(w.text, p...)
	return len(p), nil
}

func TestG45_PanicIsFailure(t *testing.T) {
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		panic   any
	}{
		"panic":              {func(http.ResponseWriter, *http.Request) { panic("boom") }, "boom"},
		"http abort":         {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, http.ErrAbortHandler},
		"goexit":             {func(http.ResponseWriter, *http.Request) { exitGoroutine() }, nil},
		"after a good start": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); panic("boom") }, "boom"},
		"after a rejection": {func(w http.ResponseWriter, _ *http.Request) {
			breakerhttp.WriteRejection(w, breaker.ErrRejected)
			panic("boom")
		}, "boom"},
	} {
		t.Run(name, func(t *testing.T) {
			b, r := newBreaker(t), get(t)
			returned, value := aside(func() { serve(b, r, test.handler) })
			assert.False(t, returned)
			assert.Equal(t, test.panic, value, "it goes on")
			require.Equal(t, breaker.Open, b.State())
			assert.EqualError(t, b.Snapshot().Cause, "breakerhttp: the handler panicked or exited its goroutine")
		})
	}
}

func TestG45_ClientGone(t *testing.T) {
	const failure, ignored, success = breaker.Failure, breaker.Ignored, breaker.Success
	why := errors.New("shutting down")
	for name, test := range map[string]struct {
		cause                  error
		ok, failing, panicking breaker.Outcome
	}{
		"still there":    {nil, success, failure, failure},
		"gone":           {context.Canceled, ignored, ignored, ignored},
		"with a cause":   {why, ignored, ignored, ignored},
		"only a timeout": {context.DeadlineExceeded, success, failure, failure},
	} {
		for i, want := range []breaker.Outcome{test.ok, test.failing, test.panicking} {
			t.Run(fmt.Sprint(name, i), func(t *testing.T) {
				var l ledger
				b := newBreaker(t, func(cfg *breaker.Config) { cfg.Hooks = l.hooks() })
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				r := get(t).WithContext(ctx)
				_, value := aside(func() {
					serve(b, r, func(w http.ResponseWriter, r *http.Request) {
						if test.cause != nil {
							cancel(test.cause)
						}
						switch i {
						case 1:
							w.WriteHeader(500)
						case 2:
							panic("boom")
						}
					})
				})
				assert.Equal(t, i == 2, value != nil)
				assert.Equal(t, want, l.one(t).Outcome)
			})
		}
	}
}

// Scenario 33: what a rejected client gets.
func TestG45_Rejected(t *testing.T) {
	clock := newHandClock()
	b := newBreaker(t, func(cfg *breaker.Config) { cfg.OpenFor, cfg.Clock = 10*time.Second, clock })
	b.Trip(10*time.Second, errSecret)
	for _, test := range []struct {
		wait time.Duration
		want string
	}{
		{0, "10"},
		{1, "10"},
		{time.Second - 1, "9"},
		{7800 * time.Millisecond, "2"}, // 1.2s left
		{200 * time.Millisecond, "1"},
		{time.Second - 1, "1"}, // 1ns left
	} {
		clock.Add(test.wait)
		w := serve(b, get(t), func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") })
		assert.Equal(t, http.StatusServiceUnavailable, w.Code)
		assert.Equal(t, []string{test.want}, w.Header()["Retry-After"])
		assert.Equal(t, "Service Unavailable\n", w.Body.String())
		assert.NotContains(t, fmt.Sprint(w.Header(), w.Body), "hunter2")
		assert.NotContains(t, fmt.Sprint(w.Header(), w.Body), b.Name())
	}
	clock.Add(1)
	assert.Equal(t, 200, serve(b, get(t), status(200)).Code)

	b.ForceOpen(errSecret)
	w := serve(b, get(t), status(200))
	assert.Equal(t, http.StatusServiceUnavailable, w.Code)
	assert.NotContains(t, w.Header(), "Retry-After", "no estimate, no header")
}

// The request of a client that left before its turn is answered for form's
// sake: silence would be a 200 in the access log of whoever wraps this.
func TestMiddleware_ContextDone(t *testing.T) {
	b := newBreaker(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := serve(b, get(t).WithContext(ctx), func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") })
	assert.Equal(t, http.StatusServiceUnavailable, w.Code)
	assert.NotContains(t, w.Header(), "Retry-After")
	assert.Zero(t, b.Snapshot().Ignored, "no call")
	assert.Zero(t, b.Snapshot().Rejected)
}

func TestWriteRejection(t *testing.T) {
	b := newBreaker(t)
	b.Trip(math.MaxInt64, errSecret)
	_, rejection := b.Allow(t.Context())
	b2 := newBreaker(t)
	b2.Trip(-1, nil)
	_, endless := b2.Allow(t.Context())
	var none *breaker.RejectedError

	for name, test := range map[string]struct {
		err   error
		want  bool
		retry string
	}{
		"rejection":      {rejection, true, "9223372037"},
		"of http.Client": {&url.Error{Op: "Get", URL: "http://stock/", Err: rejection}, true, "9223372037"},
		"joined":         {errors.Join(errDial, rejection), true, "9223372037"},
		"without end":    {endless, true, ""},
		"by hand":        {&breaker.RejectedError{Name: "x", State: breaker.Open}, true, ""},
		"sentinel":       {fmt.Errorf("no instance: %w", breaker.ErrRejected), true, ""},
		"typed nil":      {none, true, ""},
		"nil":            {nil, false, ""},
		"other":          {errDial, false, ""},
		"ErrOpen alone":  {breaker.ErrOpen, false, ""},
		"cause only":     {errSecret, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			w.Header().Set("Retry-After", "stale")
			w.Header().Set("Content-Length", "12345")
			assert.Equal(t, test.want, breakerhttp.WriteRejection(w, test.err))
			if !test.want {
				assert.Equal(t, http.Header{"Retry-After": {"stale"}, "Content-Length": {"12345"}}, w.Header())
				assert.Zero(t, w.Body.Len())
				return
			}
			assert.Equal(t, http.StatusServiceUnavailable, w.Code)
			if test.retry == "" {
				assert.NotContains(t, w.Header(), "Retry-After")
			} else {
				assert.Equal(t, []string{test.retry}, w.Header()["Retry-After"])
			}
			assert.NotContains(t, w.Header(), "Content-Length", "of an answer that was not given")
			assert.NotContains(t, fmt.Sprint(w.Header(), w.Body), "hunter2")
		})
	}
}

// wrapped is other middleware's writer, with an Unwrap method.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// opaque is one without.
type opaque struct{ http.ResponseWriter }

// A rejection that the handler passes on is not its server's failure, through
// any number of wrappers and breakers.
func TestG45_RejectionPassedOn(t *testing.T) {
	inner := newBreaker(t)
	inner.ForceOpen(nil)
	_, rejection := inner.Allow(t.Context())
	pass := func(w http.ResponseWriter, _ *http.Request) { breakerhttp.WriteRejection(w, rejection) }
	wrap := func(next http.HandlerFunc, with func(http.ResponseWriter) http.ResponseWriter) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { next(with(w), r) }
	}
	unwrappable := func(w http.ResponseWriter) http.ResponseWriter { return wrapped{wrapped{w}} }
	impenetrable := func(w http.ResponseWriter) http.ResponseWriter { return opaque{w} }
	nested := breakerhttp.Middleware(inner)(status(200)).ServeHTTP

	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    breaker.Outcome
	}{
		"direct":             {pass, breaker.Ignored},
		"wrapped":            {wrap(pass, unwrappable), breaker.Ignored},
		"opaque":             {wrap(pass, impenetrable), breaker.Failure},
		"inner breaker":      {nested, breaker.Ignored},
		"inner, wrapped":     {wrap(nested, unwrappable), breaker.Ignored},
		"another breaker by": {breakerhttp.Middleware(newBreaker(t))(http.HandlerFunc(pass)).ServeHTTP, breaker.Ignored},
		"twice": {func(w http.ResponseWriter, r *http.Request) {
			pass(w, r)
			pass(w, r)
		}, breaker.Ignored},
		"a 503 of its own": {status(503), breaker.Failure},
		"after a 503 of its own": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(503)
			pass(w, r)
		}, breaker.Failure},
		"after a 200": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			pass(w, r)
		}, breaker.Success},
		"after a hint": {func(w http.ResponseWriter, _ *http.Request) {
			breakerhttp.WriteRejection(&plainWriter{header: make(http.Header)}, rejection) // elsewhere
			w.WriteHeader(500)
		}, breaker.Failure},
		"turned into a 500": {wrap(pass, func(w http.ResponseWriter) http.ResponseWriter { return translator{wrapped{w}} }), breaker.Failure},
		"no rejection": {func(w http.ResponseWriter, _ *http.Request) {
			if !breakerhttp.WriteRejection(w, errDial) {
				w.WriteHeader(503)
			}
		}, breaker.Failure},
	} {
		t.Run(name, func(t *testing.T) {
			var l ledger
			b := newBreaker(t, func(cfg *breaker.Config) { cfg.Hooks = l.hooks() })
			serve(b, get(t), test.handler)
			assert.Equal(t, test.want, l.one(t).Outcome)
		})
	}
}

// translator makes every failure a 500.
type translator struct{ wrapped }

func (t translator) WriteHeader(status int) {
	if status >= 500 {
		status = 500
	}
	t.wrapped.WriteHeader(status)
}

// The breaker's classifier is for errors of calls; what a handler answers is
// not one.
func TestMiddleware_ClassifyIsNotAsked(t *testing.T) {
	b := newBreaker(t, func(cfg *breaker.Config) {
		cfg.Classify = func(context.Context, error) breaker.Outcome {
			t.Error("asked")
			return breaker.Ignored
		}
	})
	serve(b, get(t), status(500))
	assert.Equal(t, breaker.Open, b.State())
}

func TestMiddleware_Misuse(t *testing.T) {
	assert.PanicsWithError(t, "breakerhttp: nil *breaker.Breaker", func() { breakerhttp.Middleware(nil) })
	assert.PanicsWithError(t, "breaker: zero Breaker, use New", func() { breakerhttp.Middleware(new(breaker.Breaker)) })
	assert.PanicsWithError(t, "breakerhttp: nil http.Handler", func() { breakerhttp.Middleware(newBreaker(t))(nil) })
}

// http.TimeoutHandler inside answers for the handler that hangs.
func TestMiddleware_TimeoutHandlerInside(t *testing.T) {
	b := newBreaker(t)
	release := make(chan struct{})
	defer close(release)
	hang := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release })
	w := httptest.NewRecorder()
	breakerhttp.Middleware(b)(http.TimeoutHandler(hang, time.Nanosecond, "")).ServeHTTP(w, get(t))
	assert.Equal(t, http.StatusServiceUnavailable, w.Code)
	assert.Equal(t, breaker.Open, b.State())
}
