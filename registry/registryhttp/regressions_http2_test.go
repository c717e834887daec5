package registryhttp_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// The config is copied: what the caller does with its Outlier later changes nothing.
func TestRegression_OutlierIsCopied(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	o := balance.Outlier{Consecutive: -1}
	tr := registryhttp.MustNewTransport(r, registryhttp.TransportConfig{Base: answer(500, "x"), Balancer: balance.Config{Outlier: &o, Retry: balance.Retry{Attempts: -1}}})
	o.Consecutive = 1
	for _, in := range named("a", "b") {
		register(t, r, in)
	}
	for range 4 {
		resp, err := tr.RoundTrip(get(t))
		finish(t, resp, err)
	}
	b, _ := tr.Balancer(orders)
	assert.Zero(t, b.Stats().Ejected)
}

// An HTTP/2 server that ends the stream in a frame of its own, as proxies do, without any sleep.
func TestRegression_HTTP2OftenWrong(t *testing.T) {
	client, _ := http2Pair(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		_, _ = io.WriteString(w, "hello")
		w.(http.Flusher).Flush()
	}, func(cfg *registryhttp.TransportConfig) { cfg.Balancer.Retry.AttemptTimeout = time.Minute })
	bad := 0
	for range 300 {
		resp, err := client.Get("http://orders/")
		if err != nil {
			bad++
			continue
		}
		if _, err = io.ReadAll(resp.Body); err != nil {
			bad++
		}
		resp.Body.Close()
	}
	assert.Zero(t, bad)
	_ = httptest.NewServer
}
