package registrybench

import (
	"context"
	"io"
	"net/http"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

const bodyBytes = 4

// noNetwork answers at once, and counts by host.
type noNetwork struct{ hosts map[string]int }

// answer is a response and its body in one piece of memory.
type answer struct {
	http.Response
	left int
}

func (t *noNetwork) RoundTrip(req *http.Request) (*http.Response, error) {
	t.hosts[req.URL.Host]++
	a := &answer{left: bodyBytes}
	a.StatusCode, a.ContentLength, a.Request, a.Body = http.StatusOK, bodyBytes, req, a
	return &a.Response, nil
}

func (a *answer) Read(p []byte) (int, error) {
	if a.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), a.left)
	a.left -= n
	return n, nil
}

func (a *answer) Close() error { return nil }

// transport is a case that makes requests and reads the bodies to the end. hosts
// is how many there have to be in the end.
func transport(name string, hosts int, wrap func(base http.RoundTripper) (http.RoundTripper, func())) bench.Case {
	return bench.Case{Name: name, New: func() bench.Run {
		base := &noNetwork{hosts: make(map[string]int)}
		rt, closing := wrap(base)
		req := got(http.NewRequestWithContext(background, http.MethodGet, "http://"+service+"/", nil))
		buf := make([]byte, 512)
		loop := func(n int) (passed, failed int) {
			for range n {
				resp, err := rt.RoundTrip(req)
				if err != nil {
					failed++
					continue
				}
				n := 0
				for err == nil {
					var read int
					read, err = resp.Body.Read(buf)
					n += read
				}
				if resp.Body.Close() == nil && n == bodyBytes {
					passed++
				}
			}
			return passed, failed
		}
		return bench.Run{Loop: loop, Close: closing, Check: func(n int) error {
			requests := 0
			for _, count := range base.hosts {
				requests += count
			}
			if requests != n {
				return want(false, "there were %d requests, not %d", requests, n)
			}
			loop(1000)
			return want(len(base.hosts) >= hosts, "%d hosts had requests, not %d: %v", len(base.hosts), hosts, base.hosts)
		}}
	}}
}

func baseAlone() bench.Case {
	return transport("Base alone", 1, func(base http.RoundTripper) (http.RoundTripper, func()) { return base, nil })
}

func oursTransport(name string, cfg func() balance.Config) bench.Case {
	return transport(name, 2, func(base http.RoundTripper) (http.RoundTripper, func()) {
		r, _ := ours(fleet{n: 10}, 0)
		return registryhttp.MustNewTransport(r, registryhttp.TransportConfig{Base: base, Balancer: cfg()}), closes(r)
	})
}

// oursGated has a breaker for each instance, as the documentation shows.
func oursGated() balance.Config {
	breakers := breaker.MustNewGroup(breaker.GroupConfig[string]{})
	return balance.Config{Gate: func(e *registry.Endpoint) balance.Gate {
		return balance.GateFunc(func(ctx context.Context) (func(error), error) {
			p, err := breakers.Get(e.Addr()).Allow(ctx)
			return p.Done, err
		})
	}}
}
