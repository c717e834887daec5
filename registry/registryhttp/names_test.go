package registryhttp_test

import (
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// perService counts the calls of PerService by name.
type perService struct {
	mu    sync.Mutex
	calls map[string]int
}

func (p *perService) tweak(cfg *registryhttp.TransportConfig) {
	general := cfg.Balancer
	p.calls = make(map[string]int)
	cfg.PerService = func(service string) balance.Config {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.calls[service]++
		return general
	}
}

// Names that nobody has registered are refused and forgotten, however many there
// are: they may come from outside.
func TestUnknownNames(t *testing.T) {
	var p perService
	f := newFixture(t, answer(200, ""), nil, p.tweak)
	const names = 100_000
	req := get(t)
	refuse := func(i int) {
		req.URL.Host = fmt.Sprint("made-up-", i)
		_, err := f.RoundTrip(req)
		require.ErrorIs(t, err, balance.ErrNoInstances)
	}
	refuse(0)
	before := heap()
	for i := range names {
		refuse(i)
	}
	assert.Less(t, heap()-before, int64(names*10), "bytes: not even a pointer for each")
	assert.Empty(t, p.calls)
	assert.Zero(t, f.reg.Stats().Services)
}

// heap is what is in use on it.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// PerService is asked once for each service, also if many calls come first.
func TestPerService(t *testing.T) {
	var p perService
	f := newFixture(t, answer(200, ""), append(named("a"), in("payment", "p")), p.tweak)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, service := range []string{orders, "payment"} {
				req := get(t)
				req.URL.Host = service
				resp, err := f.RoundTrip(req)
				if assert.NoError(t, err) {
					resp.Body.Close()
				}
			}
		})
	}
	wg.Wait()
	assert.Equal(t, map[string]int{orders: 1, "payment": 1}, p.calls)
}

// PerService says it all: Balancer is not looked at, and its zero fields mean
// the same.
func TestPerService_InPlaceOfBalancer(t *testing.T) {
	f := newFixture(t, answer(500, ""), named("a", "b"), func(cfg *registryhttp.TransportConfig) {
		cfg.Balancer.Retry.Burst = -1 // which would be refused
		cfg.PerService = func(string) balance.Config { return balance.Config{Policy: inOrder{}} }
	})
	for range 5 {
		assert.Empty(t, ask(t, f))
	}
	assert.True(t, f.member(t, "a").Ejected, "an Outlier is on by default")
}

// A config that PerService gets wrong is the error of each call of that service,
// and of no other.
func TestPerService_Invalid(t *testing.T) {
	calls := 0
	f := newFixture(t, answer(200, ""), append(named("a"), in("payment", "p")), func(cfg *registryhttp.TransportConfig) {
		general := cfg.Balancer
		cfg.PerService = func(service string) balance.Config {
			if service != orders {
				return general
			}
			calls++
			return balance.Config{Retry: balance.Retry{Burst: -1}, SpillBelow: 2}
		}
	})
	for range 3 {
		body := newUpload("payload")
		_, err := f.RoundTrip(newRequest(t, http.MethodPost, body))
		require.ErrorContains(t, err, `PerService("orders")`)
		assert.ErrorContains(t, err, "Retry.Burst is -1")
		assert.ErrorContains(t, err, "SpillBelow is 2")
		assert.Equal(t, int64(1), body.closes.Load())
		_, err = f.Balancer(orders)
		require.ErrorContains(t, err, `PerService("orders")`)
	}
	assert.Equal(t, 1, calls)
	req := get(t)
	req.URL.Host = "payment"
	resp, err := f.RoundTrip(req)
	finish(t, resp, err)
}

// Balancer is the one that calls go through, the same each time, and can be had
// before the service has an instance.
func TestTransport_Balancer(t *testing.T) {
	f := newFixture(t, answer(200, ""), nil)
	b, err := f.Balancer(orders)
	require.NoError(t, err)
	register(t, f.reg, instance("a"))
	assert.Empty(t, ask(t, f))
	again, err := f.Balancer(orders)
	require.NoError(t, err)
	assert.Same(t, b, again)
	for m := range b.Members() {
		assert.Equal(t, uint64(1), m.Endpoint.Picks())
	}
	other, err := f.Balancer("payment")
	require.NoError(t, err)
	assert.NotSame(t, b, other)
}

// In-flight belongs to the endpoint: what others do with it counts here too.
func TestTransport_SharesInFlight(t *testing.T) {
	f := newFixture(t, answer(200, "text"), named("a", "b"), func(cfg *registryhttp.TransportConfig) {
		cfg.Balancer.Policy = balance.LeastLoaded{Choices: -1}
	})
	other, err := balance.New(f.reg.Service(orders), balance.Config{Policy: inOrder{}})
	require.NoError(t, err)
	p, err := other.Pick(bg)
	require.NoError(t, err)
	defer p.Done(nil)
	for range 5 {
		assert.Equal(t, "text", ask(t, f))
	}
	for _, v := range f.take() {
		assert.Equal(t, "b", v.id)
	}
}

// Many callers at once, instances that come and go, for the race detector.
func TestConcurrentCalls(t *testing.T) {
	f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
		if req.URL.Host == addr("a") {
			return answer(503, "sick")(req)
		}
		return answer(200, "text")(req)
	}), named("a", "b", "c"), func(cfg *registryhttp.TransportConfig) { cfg.Balancer.Policy = nil })
	var calls atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				resp, err := f.RoundTrip(get(t))
				if assert.NoError(t, err) {
					resp.Body.Close()
				}
				calls.Add(1)
			}
		})
	}
	wg.Go(func() {
		for range 100 {
			l, err := f.reg.Register(bg, instance("d"))
			if assert.NoError(t, err) {
				assert.NoError(t, l.Deregister())
			}
		}
	})
	wg.Wait()
	assert.Equal(t, int64(1600), calls.Load())
	assert.Zero(t, f.inFlight())
}

var _ http.RoundTripper = (*registryhttp.Transport)(nil)

// The registry of a Transport may have names in any number.
func TestManyServices(t *testing.T) {
	f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
		return answer(200, req.URL.Host)(req)
	}), nil)
	for i := range 100 {
		name := fmt.Sprint("s", i)
		register(t, f.reg, registry.Instance{Service: name, Addr: fmt.Sprintf("10.0.1.%d:80", i)})
		req := get(t)
		req.URL.Host = name
		resp, err := f.RoundTrip(req)
		assert.Equal(t, fmt.Sprintf("10.0.1.%d:80", i), finish(t, resp, err))
	}
}
