package registryhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

var (
	// bg is the context of everything that needs no other.
	bg = context.Background()

	// errReset is what a round trip ends with that got a connection.
	errReset error = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}

	// errRefused is what one ends with that got none.
	errRefused error = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
)

// orders is the service that most tests are about.
const orders = "orders"

// newRegistry makes a registry that is closed when the test is over.
func newRegistry(tb testing.TB, cfg registry.Config) *registry.Registry {
	tb.Helper()
	r, err := registry.New(cfg)
	require.NoError(tb, err)
	tb.Cleanup(func() { assert.NoError(tb, r.Close(bg)) })
	return r
}

// addr is where the instance with an ID of one letter is.
func addr(id string) string { return fmt.Sprintf("10.0.0.%d:80", id[0]-'a'+1) }

// instance is one of "orders".
func instance(id string) registry.Instance {
	return registry.Instance{Service: orders, ID: id, Addr: addr(id)}
}

// named are some instances of "orders".
func named(ids ...string) []registry.Instance {
	var all []registry.Instance
	for _, id := range ids {
		all = append(all, instance(id))
	}
	return all
}

// at is an instance of "orders" at an address.
func at(id, addr string) registry.Instance {
	return registry.Instance{Service: orders, ID: id, Addr: addr}
}

func register(tb testing.TB, r *registry.Registry, in registry.Instance) *registry.Lease {
	tb.Helper()
	l, err := r.Register(bg, in)
	require.NoError(tb, err)
	return l
}

// inOrder is a policy that tries the endpoints in the order of their IDs.
type inOrder struct{}

func (p inOrder) NewPicker(balance.Candidates, balance.Picker) balance.Picker { return p }
func (inOrder) Pick(_ balance.Query, draw int) int                            { return draw }

// An outcome is what an attempt says about its instance.
type outcome string

const (
	success outcome = "success"
	failure outcome = "failure"
	ignored outcome = "ignored"
)

// A ledger keeps what came of the attempts, as the gates of the instances are
// told it.
type ledger struct {
	mu   sync.Mutex
	done []verdict
}

type verdict struct {
	id  string
	is  outcome
	err error
}

func (l *ledger) gate(e *registry.Endpoint) balance.Gate {
	return balance.GateFunc(func(context.Context) (func(error), error) {
		return func(err error) {
			v := verdict{e.ID(), failure, err}
			switch {
			case err == nil:
				v.is = success
			case errors.Is(err, context.Canceled):
				v.is = ignored
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			l.done = append(l.done, v)
		}, nil
	})
}

// take returns the verdicts since the last call.
func (l *ledger) take() []verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	done := l.done
	l.done = nil
	return done
}

// outcomes are the verdicts since the last call as text, "id outcome" each.
func (l *ledger) outcomes() []string {
	var all []string
	for _, v := range l.take() {
		all = append(all, fmt.Sprint(v.id, " ", v.is))
	}
	return all
}

// one is the one outcome since the last call.
func (l *ledger) one(tb testing.TB) outcome {
	tb.Helper()
	done := l.take()
	require.Len(tb, done, 1, "outcomes")
	return done[0].is
}

// A fixture is a Transport and what it works on. It tries instances in the order
// of their IDs, ejects none, and tells the ledger.
type fixture struct {
	*registryhttp.Transport
	ledger
	reg *registry.Registry
}

type tweak = func(*registryhttp.TransportConfig)

func newFixture(tb testing.TB, base http.RoundTripper, ins []registry.Instance, tweaks ...tweak) *fixture {
	tb.Helper()
	return newFixtureIn(tb, newRegistry(tb, registry.Config{}), base, ins, tweaks...)
}

func newFixtureIn(tb testing.TB, r *registry.Registry, base http.RoundTripper, ins []registry.Instance, tweaks ...tweak) *fixture {
	tb.Helper()
	f := &fixture{reg: r}
	cfg := registryhttp.TransportConfig{
		Base: base,
		Balancer: balance.Config{
			Policy:  inOrder{},
			Outlier: &balance.Outlier{Consecutive: -1},
			Gate:    f.gate,
		},
	}
	for _, tweak := range tweaks {
		tweak(&cfg)
	}
	var err error
	f.Transport, err = registryhttp.NewTransport(r, cfg)
	require.NoError(tb, err)
	for _, in := range ins {
		register(tb, r, in)
	}
	return f
}

// retrying allows this many attempts, as often as it takes.
func retrying(attempts int) tweak {
	return func(cfg *registryhttp.TransportConfig) {
		cfg.Balancer.Retry.Attempts, cfg.Balancer.Retry.Budget = attempts, -1
	}
}

// inFlight are the calls under way of the instances of "orders", in all.
func (f *fixture) inFlight() int {
	n := 0
	for e := range f.reg.Service(orders).Snapshot().All() {
		n += e.InFlight()
	}
	return n
}

// stats are those of the balancer of "orders".
func (f *fixture) stats(tb testing.TB) balance.Stats {
	tb.Helper()
	b, err := f.Balancer(orders)
	require.NoError(tb, err)
	return b.Stats()
}

// member is an instance of "orders" as its balancer sees it.
func (f *fixture) member(tb testing.TB, id string) balance.Member {
	tb.Helper()
	b, err := f.Balancer(orders)
	require.NoError(tb, err)
	for m := range b.Members() {
		if m.Endpoint.ID() == id {
			return m
		}
	}
	require.FailNow(tb, "no member", id)
	return balance.Member{}
}

// roundTrip is an http.RoundTripper made of a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// network is a Base that goes by the instance; where there is none it refuses.
type network map[string]roundTrip

func (n network) RoundTrip(req *http.Request) (*http.Response, error) {
	for id, f := range n {
		if addr(id) == req.URL.Host {
			return f(req)
		}
	}
	closeBody(req)
	return nil, errRefused
}

// closeBody does what a Base has to do with a body that it does not read.
func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

// answer is a Base that answers with a status and a body.
func answer(status int, body string, header ...string) roundTrip {
	return deliver(status, func() io.ReadCloser { return io.NopCloser(strings.NewReader(body)) }, int64(len(body)), header...)
}

// deliver is a Base that answers with a body made for each answer.
func deliver(status int, body func() io.ReadCloser, length int64, header ...string) roundTrip {
	return func(req *http.Request) (*http.Response, error) {
		closeBody(req)
		return response(req, status, body(), length, header...), nil
	}
}

// fail is a Base that fails.
func fail(err error) roundTrip {
	return func(req *http.Request) (*http.Response, error) {
		closeBody(req)
		return nil, err
	}
}

func response(req *http.Request, status int, body io.ReadCloser, length int64, header ...string) *http.Response {
	h := make(http.Header)
	for i := 0; i+1 < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: body, ContentLength: length, Request: req}
}

func get(tb testing.TB) *http.Request {
	tb.Helper()
	return newRequest(tb, http.MethodGet, nil)
}

func newRequest(tb testing.TB, method string, body io.Reader) *http.Request {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, "http://orders/42?q=1", body)
	require.NoError(tb, err)
	return req
}

// finish reads a response to its end.
func finish(tb testing.TB, resp *http.Response, err error) string {
	tb.Helper()
	require.NoError(tb, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(tb, err)
	require.NoError(tb, resp.Body.Close())
	return string(text)
}

// An upload is a request's body that knows what becomes of it.
type upload struct {
	io.Reader
	reads, closes atomic.Int64
}

func newUpload(text string) *upload { return &upload{Reader: strings.NewReader(text)} }

func (u *upload) Read(p []byte) (int, error) {
	u.reads.Add(1)
	return u.Reader.Read(p)
}

func (u *upload) Close() error {
	u.closes.Add(1)
	return nil
}

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

// bubbles runs a test once for each case, each in a bubble and subtest of its own.
func bubbles[C any](t *testing.T, cases map[string]C, f func(*testing.T, C)) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { f(t, c) }) })
	}
}

type clockMaker = func() *clock.Mock

// mockOrNil are the clocks that tests about time are run with.
var mockOrNil = map[string]clockMaker{
	"system time": func() *clock.Mock { return nil },
	"Mock":        clock.NewMock,
}

// config is one of a registry with a clock, or with system time.
func config(mock *clock.Mock) registry.Config {
	if mock == nil {
		return registry.Config{}
	}
	return registry.Config{Clock: mock}
}
