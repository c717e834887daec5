package registryhttp_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

func benchTransport(b *testing.B, base http.RoundTripper, cfg balance.Config) *registryhttp.Transport {
	b.Helper()
	r := newRegistry(b, registry.Config{})
	for _, in := range named("a", "b", "c", "d", "e") {
		register(b, r, in)
	}
	return registryhttp.MustNewTransport(r, registryhttp.TransportConfig{Base: base, Balancer: cfg})
}

func benchRoundTrip(b *testing.B, rt http.RoundTripper) {
	b.Helper()
	req, buf := get(b), make([]byte, 8)
	b.ReportAllocs()
	for b.Loop() {
		if err := consume(rt, req, buf); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBase is what BenchmarkTransport is to be compared with.
func BenchmarkBase(b *testing.B) {
	b.Run("body", func(b *testing.B) { benchRoundTrip(b, newReusable(1)) })
	b.Run("no body", func(b *testing.B) { benchRoundTrip(b, newReusable(0)) })
}

func BenchmarkTransport(b *testing.B) {
	for name, test := range map[string]struct {
		length int64
		cfg    balance.Config
	}{
		"body":         {1, balance.Config{}},
		"no body":      {0, balance.Config{}},
		"gate":         {1, balance.Config{Gate: plainGate}},
		"timeout":      {1, balance.Config{Retry: balance.Retry{AttemptTimeout: time.Hour}}},
		"LeastLoaded":  {1, balance.Config{Policy: balance.LeastLoaded{}}},
		"no body gate": {0, balance.Config{Gate: plainGate}},
	} {
		b.Run(name, func(b *testing.B) { benchRoundTrip(b, benchTransport(b, newReusable(test.length), test.cfg)) })
	}
}

// The same from all processors, each with a Base of its own.
func BenchmarkTransportParallel(b *testing.B) {
	tr := benchTransport(b, roundTrip(func(req *http.Request) (*http.Response, error) {
		return newReusable(1).RoundTrip(req)
	}), balance.Config{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		req, buf := get(b), make([]byte, 8)
		for pb.Next() {
			if err := consume(tr, req, buf); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// A name that nobody has registered.
func BenchmarkTransportUnknown(b *testing.B) {
	tr, req := benchTransport(b, newReusable(1), balance.Config{}), get(b)
	req.URL.Host = "payment"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tr.RoundTrip(req); err == nil {
			b.Fatal("found")
		}
	}
}
