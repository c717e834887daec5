package breakerbench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/failsafehttp"
	"github.com/sony/gobreaker/v2"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

const bodyBytes = 4

// noNetwork answers at once, with the status it is set to.
type noNetwork struct{ status int }

// answer is a response and its body in one piece of memory.
type answer struct {
	http.Response
	left int
}

func (t *noNetwork) RoundTrip(req *http.Request) (*http.Response, error) {
	a := &answer{left: bodyBytes}
	a.StatusCode, a.ContentLength, a.Request, a.Body = t.status, bodyBytes, req, a
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

// transport is a case that makes requests and reads the bodies to the end.
func transport(name string, wrap func(base http.RoundTripper) http.RoundTripper, rejected error) bench.Case {
	return bench.Case{Name: name, New: func() bench.Run {
		base := &noNetwork{status: http.StatusOK}
		rt := wrap(base)
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://service.example/", nil)
		if err != nil {
			panic(err)
		}
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
		return bench.Run{Loop: loop, Check: func(int) error {
			if rejected == nil {
				return nil
			}
			base.status = http.StatusServiceUnavailable
			loop(limit + 1)
			_, err := rt.RoundTrip(req)
			return want(errors.Is(err, rejected), "not rejected after failures: %v", err)
		}}
	}}
}

func noTransport() bench.Case {
	return transport("Base alone", func(base http.RoundTripper) http.RoundTripper { return base }, nil)
}

func oursTransport() bench.Case {
	return transport("mainstay Transport", func(base http.RoundTripper) http.RoundTripper {
		return breakerhttp.MustNewTransport(breakerhttp.TransportConfig{
			Base:  base,
			Group: breaker.GroupConfig[string]{Config: oursStreak},
		})
	}, breaker.ErrOpen)
}

// gobreakerTransport is the glue that its users write.
type gobreakerTransport struct {
	base http.RoundTripper
	cb   *gobreaker.CircuitBreaker[*http.Response]
}

func (t *gobreakerTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.cb.Execute(func() (*http.Response, error) {
		resp, err := t.base.RoundTrip(req)
		if err == nil && resp.StatusCode >= http.StatusInternalServerError {
			return nil, errors.Join(fmt.Errorf("status %d", resp.StatusCode), resp.Body.Close())
		}
		return resp, err
	})
}

func gobreakerRoundTrip() bench.Case {
	return transport("gobreaker in a RoundTripper", func(base http.RoundTripper) http.RoundTripper {
		return &gobreakerTransport{base, gobreaker.NewCircuitBreaker[*http.Response](gobreakerStreak())}
	}, gobreaker.ErrOpenState)
}

func failsafeRoundTrip() bench.Case {
	return transport("failsafehttp RoundTripper", func(base http.RoundTripper) http.RoundTripper {
		return failsafehttp.NewRoundTripper(base, circuitbreaker.NewBuilder[*http.Response]().
			HandleIf(func(resp *http.Response, err error) bool {
				return err != nil || resp.StatusCode >= http.StatusInternalServerError
			}).
			WithFailureThreshold(limit).WithDelay(openFor).WithSuccessThreshold(3).Build())
	}, circuitbreaker.ErrOpen)
}

func transports() bench.Group {
	return bench.Group{Name: "HTTP client", Rows: []bench.Row{{
		Name: "RoundTrip over a Base that answers at once",
		Note: "The body is read to its end and closed; all by one host. Of ours the end of the body is the outcome, of the others the header; " +
			"ours has a breaker per host, the others have one.",
		Ours:   oursTransport(),
		Limit:  time.Microsecond,
		Allocs: 1,
		Net:    true,
		Others: []bench.Other{
			{Case: noTransport(), Floor: true},
			{Case: gobreakerRoundTrip(), Why: "It looks at the header only and keeps no key."},
			{Case: failsafeRoundTrip()},
		},
	}}}
}
