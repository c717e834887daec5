package breakerhttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
)

// roundTrip is an http.RoundTripper made of a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// answer is a Base that answers with a status and a body.
func answer(status int, body string, header ...string) roundTrip {
	return func(req *http.Request) (*http.Response, error) {
		return response(req, status, io.NopCloser(strings.NewReader(body)), int64(len(body)), header...), nil
	}
}

func response(req *http.Request, status int, body io.ReadCloser, length int64, header ...string) *http.Response {
	h := make(http.Header)
	for i := 0; i+1 < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: body, ContentLength: length, Request: req}
}

// handClock is moved by hand.
type handClock struct {
	mu  sync.Mutex
	now time.Time
}

func newHandClock() *handClock {
	return &handClock{now: time.Date(2024, time.March, 1, 12, 0, 0, 0, time.UTC)}
}

func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *handClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

func (c *handClock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// ledger keeps what was reported to a breaker.
type ledger struct {
	mu   sync.Mutex
	done []breaker.Completion
}

func (l *ledger) hooks() breaker.Hooks {
	return breaker.Hooks{Done: func(_ context.Context, c breaker.Completion) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.done = append(l.done, c)
	}}
}

// take returns the reports since the last take.
func (l *ledger) take() []breaker.Completion {
	l.mu.Lock()
	defer l.mu.Unlock()
	done := l.done
	l.done = nil
	return done
}

// one returns the one report since the last take.
func (l *ledger) one(t *testing.T) breaker.Completion {
	t.Helper()
	done := l.take()
	require.Len(t, done, 1, "reports")
	return done[0]
}

// fixture is a Transport whose only breaker is looked into. Three failures in a
// row open it for 10s of its clock; one good probe closes it.
type fixture struct {
	*breakerhttp.Transport
	ledger
	clock   *handClock
	breaker *breaker.Breaker
}

func newFixture(t *testing.T, base http.RoundTripper, tweaks ...func(*breakerhttp.TransportConfig)) *fixture {
	t.Helper()
	f := &fixture{clock: newHandClock()}
	cfg := breakerhttp.TransportConfig{
		Base: base,
		Key:  func(*http.Request) string { return "upstream" },
		Group: breaker.GroupConfig[string]{Config: breaker.Config{
			Trip:       breaker.ConsecutiveFailures(3),
			OpenFor:    10 * time.Second,
			CloseAfter: 1,
			Clock:      f.clock,
			Hooks:      f.hooks(),
		}},
	}
	for _, tweak := range tweaks {
		tweak(&cfg)
	}
	f.Transport = newTransport(t, cfg)
	f.breaker = f.Group().Get("upstream")
	return f
}

func newTransport(t *testing.T, cfg breakerhttp.TransportConfig) *breakerhttp.Transport {
	t.Helper()
	transport, err := breakerhttp.NewTransport(cfg)
	require.NoError(t, err)
	return transport
}

// halfOpen brings the breaker to where the next call is a probe.
func (f *fixture) halfOpen(t *testing.T) {
	t.Helper()
	f.breaker.Trip(time.Second, errors.New("by hand"))
	f.clock.Add(time.Second)
	require.Equal(t, breaker.HalfOpen, f.breaker.State())
}

func get(t *testing.T) *http.Request {
	t.Helper()
	return newRequest(t, http.MethodGet, nil)
}

func newRequest(t *testing.T, method string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://Upstream.Example/path", body)
	require.NoError(t, err)
	return req
}

// upload is a request's body that knows what becomes of it.
type upload struct {
	io.Reader
	reads, closes int
}

func newUpload(text string) *upload { return &upload{Reader: strings.NewReader(text)} }

func (u *upload) Read(p []byte) (int, error) {
	u.reads++
	return u.Reader.Read(p)
}

func (u *upload) Close() error {
	u.closes++
	return nil
}

// newBreaker opens at the first failure; one good probe closes it.
func newBreaker(t *testing.T, tweaks ...func(*breaker.Config)) *breaker.Breaker {
	t.Helper()
	cfg := breaker.Config{Trip: breaker.ConsecutiveFailures(1), CloseAfter: 1}
	for _, tweak := range tweaks {
		tweak(&cfg)
	}
	b, err := breaker.New("orders", cfg)
	require.NoError(t, err)
	return b
}

// exitGoroutine is what t.FailNow does.
func exitGoroutine() { runtime.Goexit() }

// aside runs f on a goroutine of its own and tells how that ended.
func aside(f func()) (returned bool, panicked any) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { panicked = recover() }()
		f()
		returned = true
	}()
	<-done
	return returned, panicked
}

// A read is what one Read delivers.
type read struct {
	data string
	err  error
}

// script is a Body that delivers what it is told to, then io.EOF.
type script struct {
	mu     sync.Mutex
	reads  []read
	next   int
	closes int
}

func (s *script) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	if s.next > len(s.reads) {
		return 0, io.EOF
	}
	r := s.reads[s.next-1]
	return copy(p, r.data), r.err
}

func (s *script) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closes++
	return errors.New("close failed")
}

func (s *script) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}
