package breakerhttp_test

import (
	"net/http"
	"testing"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
)

func benchRequest(b *testing.B) *http.Request {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://upstream/path", nil)
	if err != nil {
		b.Fatal(err)
	}
	return req
}

// BenchmarkBase is what BenchmarkTransport is to be compared with.
func BenchmarkBase(b *testing.B) {
	base, req, buf := newReusable(1), benchRequest(b), make([]byte, 8)
	b.ReportAllocs()
	for b.Loop() {
		if err := consume(base, req, buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTransport(b *testing.B) {
	for name, group := range map[string]breaker.GroupConfig[string]{"consecutive": {}, "rates": rated()} {
		b.Run(name, func(b *testing.B) {
			transport := breakerhttp.MustNewTransport(breakerhttp.TransportConfig{Base: newReusable(1), Group: group})
			req, buf := benchRequest(b), make([]byte, 8)
			b.ReportAllocs()
			for b.Loop() {
				if err := consume(transport, req, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkTransportRejected(b *testing.B) {
	transport := breakerhttp.MustNewTransport(breakerhttp.TransportConfig{Base: newReusable(1)})
	transport.Group().Get("upstream").ForceOpen(nil)
	req := benchRequest(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := transport.RoundTrip(req); err == nil {
			b.Fatal("admitted")
		}
	}
}

// The ResponseWriter has the methods of one of HTTP/1.
func BenchmarkMiddleware(b *testing.B) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	guarded := breakerhttp.Middleware(breaker.MustNew("server", breaker.Config{}))(handler)
	calls := 0
	for name, h := range map[string]http.Handler{"without": handler, "with": guarded} {
		b.Run(name, func(b *testing.B) {
			w, req := able(true, true, true, &calls), benchRequest(b)
			plain := w.(interface{ reset() })
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, req)
				plain.reset()
			}
		})
	}
}
