package registryhttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// A reusable is a Base that allocates nothing: always the same response, with a
// body of one byte or none.
type reusable struct {
	resp  http.Response
	body  oneByte
	empty bool
}

type oneByte struct{ done bool }

func (b *oneByte) Read(p []byte) (int, error) {
	if b.done {
		return 0, io.EOF
	}
	b.done = true
	return copy(p, "x"), nil
}

func (*oneByte) Close() error { return nil }

func newReusable(length int64) *reusable {
	r := &reusable{resp: http.Response{StatusCode: http.StatusOK, Header: make(http.Header)}, empty: length == 0}
	r.resp.ContentLength = length
	return r
}

func (r *reusable) RoundTrip(*http.Request) (*http.Response, error) {
	r.body.done, r.resp.Body = false, &r.body
	if r.empty {
		r.resp.Body = http.NoBody
	}
	return &r.resp, nil
}

// consume makes a round trip and reads the body to its end.
func consume(rt http.RoundTripper, req *http.Request, buf []byte) error {
	resp, err := rt.RoundTrip(req)
	for err == nil {
		_, err = resp.Body.Read(buf)
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	return resp.Body.Close()
}

// plainGate admits all, and costs what the glue to a breaker costs: two
// functions.
func plainGate(*registry.Endpoint) balance.Gate {
	n := 0
	return balance.GateFunc(func(ctx context.Context) (func(error), error) {
		end := func(error) { n++ }
		return func(err error) { end(context.Cause(ctx)) }, nil
	})
}

// One round trip more than Base costs at most 8 allocations; a gate adds 2.
func TestAllocs_RoundTrip(t *testing.T) {
	if raceEnabled {
		return
	}
	for name, test := range map[string]struct {
		length int64
		gate   func(*registry.Endpoint) balance.Gate
		tweak  tweak
		most   float64
	}{
		"body":           {1, nil, nil, 8},
		"unknown length": {-1, nil, nil, 8},
		"no body":        {0, nil, nil, 8},
		"gate":           {1, plainGate, nil, 10},
		"LeastLoaded": {1, nil, func(cfg *registryhttp.TransportConfig) {
			cfg.Balancer.Policy = balance.LeastLoaded{}
		}, 8},
		"KeepHost": {1, nil, func(cfg *registryhttp.TransportConfig) { cfg.KeepHost = true }, 8},
	} {
		t.Run(name, func(t *testing.T) {
			base := newReusable(test.length)
			cfg := registryhttp.TransportConfig{Base: base, Balancer: balance.Config{Gate: test.gate}}
			if test.tweak != nil {
				test.tweak(&cfg)
			}
			r := newRegistry(t, registry.Config{})
			for _, in := range named("a", "b", "c") {
				register(t, r, in)
			}
			tr := registryhttp.MustNewTransport(r, cfg)
			req, buf := get(t), make([]byte, 8)
			require.NoError(t, consume(tr, req, buf))
			require.NoError(t, consume(base, req, buf))
			bare := testing.AllocsPerRun(200, func() { _ = consume(base, req, buf) })
			got := testing.AllocsPerRun(200, func() { _ = consume(tr, req, buf) }) - bare
			t.Logf("%v allocations more than Base", got)
			assert.LessOrEqual(t, got, test.most)
		})
	}
}

// To refuse a name costs next to nothing, whoever makes it up; what does not
// concern the registry costs nothing.
func TestAllocs_Refused(t *testing.T) {
	if raceEnabled {
		return
	}
	base, buf := newReusable(1), make([]byte, 8)
	tr := registryhttp.MustNewTransport(newRegistry(t, registry.Config{}), registryhttp.TransportConfig{Base: base})
	req := get(t)
	assert.LessOrEqual(t, testing.AllocsPerRun(200, func() { _, _ = tr.RoundTrip(req) }), 3.0)
	req.URL.Host = "example.com"
	bare := testing.AllocsPerRun(200, func() { _ = consume(base, req, buf) })
	assert.LessOrEqual(t, testing.AllocsPerRun(200, func() { _ = consume(tr, req, buf) })-bare, 0.0)
}
