package migration

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

type Prices struct {
	urls   []string // http://10.0.0.1:8080 and so on, from a flag
	next   atomic.Uint32
	client *http.Client
}

func (p *Prices) Get(ctx context.Context, path string) (resp *http.Response, err error) {
	for range 2 { // one more chance, with the next one
		url := p.urls[p.next.Add(1)%uint32(len(p.urls))] + path
		req, bad := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if bad != nil {
			return nil, bad
		}
		resp, err = p.client.Do(req)
		if err == nil && resp.StatusCode < http.StatusInternalServerError {
			return resp, nil
		}
		if err == nil {
			resp.Body.Close()
			err = errors.New(resp.Status)
		}
	}
	return nil, err
}

// byName is a client that knows the instances of prices.
func byName(ctx context.Context, reg *registry.Registry, base http.RoundTripper) (*http.Client, error) {
	_, err := reg.RegisterWith(ctx, registry.RegisterConfig{},
		registry.Instance{Service: "prices", Addr: "10.0.0.1:8080"},
		registry.Instance{Service: "prices", Addr: "10.0.0.2:8080"},
		registry.Instance{Service: "prices", Addr: "10.0.0.3:8080"},
	)
	if err != nil {
		return nil, err
	}
	client := &http.Client{
		Transport: registryhttp.MustNewTransport(reg, registryhttp.TransportConfig{Base: base}),
		Timeout:   5 * time.Second,
	}
	return client, nil
}

func price(ctx context.Context, client *http.Client) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://prices/eur", http.NoBody)
	if err != nil {
		return nil, err
	}
	return client.Do(req)
}

// A rack are the three machines. Those that are down refuse at once, those that are
// slow take as long as told, the rest 10 ms.
type rack struct {
	down  map[string]bool
	slow  map[string]time.Duration
	asked map[string]int
	hosts []string // as the last request had it: of its URL, and its header
}

func (r *rack) RoundTrip(req *http.Request) (*http.Response, error) {
	host := req.URL.Host
	r.asked[host]++
	r.hosts = []string{host, req.Host}
	if r.down[host] {
		return nil, errors.New("connection refused")
	}
	time.Sleep(max(r.slow[host], 10*time.Millisecond))
	code := http.StatusOK
	if req.URL.Path == "/broken" {
		code = http.StatusServiceUnavailable
	}
	return &http.Response{
		StatusCode: code, Status: http.StatusText(code), Request: req,
		Body: io.NopCloser(strings.NewReader("ok")), Header: make(http.Header), ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

// One of the three is down, or slow, for 600 calls in a minute: how often it is
// asked, and how many calls fail.
func TestURLs(t *testing.T) {
	const bad = "10.0.0.2:8080"
	for name, c := range map[string]struct {
		rack        rack
		most, least int // after; before it is a third
	}{
		"down": {rack{down: map[string]bool{bad: true}}, 20, 5},
		"slow": {rack{slow: map[string]time.Duration{bad: time.Second}}, 30, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				before, after := c.rack, c.rack
				before.asked, after.asked = make(map[string]int), make(map[string]int)
				old := &Prices{client: &http.Client{Transport: &before}, urls: []string{
					"http://10.0.0.1:8080", "http://" + bad, "http://10.0.0.3:8080",
				}}
				reg := registry.MustNew(registry.Config{})
				client, err := byName(t.Context(), reg, &after)
				require.NoError(t, err)
				for range 600 {
					read(t)(old.Get(t.Context(), "/eur"))
					read(t)(price(t.Context(), client))
					time.Sleep(100 * time.Millisecond)
				}
				assert.GreaterOrEqual(t, before.asked[bad], 200)
				assert.LessOrEqual(t, after.asked[bad], c.most)
				assert.GreaterOrEqual(t, after.asked[bad], c.least)
				require.NoError(t, reg.Close(t.Context()))
			})
		})
	}
}

// read wants a good answer.
func read(t *testing.T) func(*http.Response, error) {
	t.Helper()
	return func(resp *http.Response, err error) {
		t.Helper()
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		_, err = io.Copy(io.Discard, resp.Body)
		assert.NoError(t, err)
		assert.NoError(t, resp.Body.Close())
	}
}

// What a request looks like to the other side, and what is left alone.
func TestURLsRequests(t *testing.T) {
	withURLs(t, func(t *testing.T, _ *registry.Registry, client *http.Client, r *rack) {
		read(t)(price(t.Context(), client))
		assert.Regexp(t, `^10\.0\.0\.[123]:8080$`, r.hosts[0])
		assert.Equal(t, r.hosts[0], r.hosts[1], "the Host header")

		clear(r.asked)
		read(t)(client.Get("http://10.0.0.9:8080/eur")) // with a dot or a port: as it is
		assert.Equal(t, map[string]int{"10.0.0.9:8080": 1}, r.asked)

		resp, err := client.Get("http://prices/broken") // before: an error
		require.NoError(t, err)
		assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
		assert.NoError(t, resp.Body.Close())
		assert.Len(t, r.asked, 3, "two of the service")

		_, err = client.Get("http://rates/eur")
		assert.ErrorIs(t, err, balance.ErrNoInstances)

		clear(r.asked)
		r.down = map[string]bool{"10.0.0.1:8080": true, "10.0.0.2:8080": true, "10.0.0.3:8080": true}
		resp, err = client.Post("http://prices/", "text/plain", strings.NewReader("1"))
		if !assert.Error(t, err, "it may have arrived, so it is not sent again") {
			resp.Body.Close()
		}
		assert.Len(t, r.asked, 1)
	})
}

// What is registered here and what a feed brings add up, by address; what is registered
// here stays when the feed has it no more.
func TestURLsAndAFeed(t *testing.T) {
	withURLs(t, func(t *testing.T, reg *registry.Registry, _ *http.Client, _ *rack) {
		zones := func() map[string]string {
			zones := make(map[string]string)
			for e := range reg.Service("prices").Snapshot().All() {
				zones[e.Addr()] = e.Zone()
			}
			return zones
		}
		list := map[string]string{"10.0.0.1:8080": "", "10.0.0.2:8080": "", "10.0.0.3:8080": ""}
		assert.Equal(t, list, zones())
		ctx, stop := context.WithCancel(t.Context())
		go reg.Feed(ctx, "dns", registry.Static(
			registry.Instance{Service: "prices", Addr: "10.0.0.3:8080", Zone: "eu-1"},
			registry.Instance{Service: "prices", Addr: "10.0.0.4:8080", Zone: "eu-1"},
		))
		synctest.Wait()
		both := maps.Clone(list)
		both["10.0.0.4:8080"] = "eu-1"
		assert.Equal(t, both, zones())
		lease, err := reg.Register(t.Context(), registry.Instance{Service: "prices", Addr: "10.0.0.3:8080"})
		require.NoError(t, err)
		require.NoError(t, lease.Deregister())
		both["10.0.0.3:8080"] = "eu-1"
		assert.Equal(t, both, zones())
		stop()
		synctest.Wait()
		delete(list, "10.0.0.3:8080")
		assert.Equal(t, list, zones())
	})
}

// withURLs runs a test with a client whose list is that of the page.
func withURLs(t *testing.T, test func(t *testing.T, reg *registry.Registry, client *http.Client, r *rack)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		reg := registry.MustNew(registry.Config{})
		r := &rack{asked: make(map[string]int)}
		client, err := byName(t.Context(), reg, r)
		require.NoError(t, err)
		test(t, reg, client, r)
		require.NoError(t, reg.Close(t.Context()))
	})
}
