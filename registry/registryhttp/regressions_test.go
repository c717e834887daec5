package registryhttp_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// HTTP/2, and many a Base, return the error of the context and not its cause.
// The caller has cancelled nothing, so it must not be told so, nor must the
// balancer: the attempt was too slow, which is a failure.
func TestRegression_AttemptTimeoutOfABaseWithoutCauses(t *testing.T) {
	bubbles(t, mockOrNil, func(t *testing.T, makeClock clockMaker) {
		mock := makeClock()
		f := newFixtureIn(t, newRegistry(t, config(mock)), roundTrip(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		}), named("a"), attemptTimeout)
		result := make(chan error)
		go func() {
			_, err := f.RoundTrip(get(t))
			result <- err
		}()
		pass(mock, timeout)
		err := <-result
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.NotErrorIs(t, err, context.Canceled)
		assert.Equal(t, failure, f.one(t))
		assert.Equal(t, uint64(1), f.member(t, "a").Failures)
	})
}

// The same with the HTTP/2 of net/http.
func TestRegression_AttemptTimeoutOverHTTP2(t *testing.T) {
	client, f := http2Pair(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		func(cfg *registryhttp.TransportConfig) { cfg.Balancer.Retry.AttemptTimeout = 50 * time.Millisecond })
	_, err := client.Get("http://orders/")
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.NotErrorIs(t, err, context.Canceled)
	assert.Equal(t, failure, f.one(t))
}

// A Base that returns nothing at all is told so also after AttemptTimeout.
func TestRegression_NothingAfterAttemptTimeout(t *testing.T) {
	for name, test := range map[string]func(*http.Request) (*http.Response, error){
		"no response": func(*http.Request) (*http.Response, error) { return nil, nil },
		"no body":     func(req *http.Request) (*http.Response, error) { return response(req, 200, nil, 0), nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
					<-req.Context().Done()
					return test(req)
				}), named("a"), attemptTimeout)
				var err error
				_, panicked := aside(func() { _, err = f.RoundTrip(get(t)) })
				assert.Nil(t, panicked)
				assert.Error(t, err)
				assert.Zero(t, f.inFlight())
			})
		})
	}
}

// The first attempt goes nowhere for want of a Base for its ServerName, the next
// one does: its body comes from GetBody, and that of the request is closed too.
func TestRegression_BodyOfAnAttemptThatWasNotSent(t *testing.T) {
	for name, second := range map[string]string{"the next is sent": "", "none is": "two.test"} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, answer(200, "good"), nil)
			for id, serverName := range map[string]string{"a": "one.test", "b": second} {
				in := instance(id)
				in.Scheme, in.ServerName = "https", serverName
				register(t, f.reg, in)
			}
			body := newUpload("payload")
			req := newRequest(t, http.MethodPut, body)
			var made []*upload
			req.GetBody = func() (io.ReadCloser, error) {
				made = append(made, newUpload("payload"))
				return made[len(made)-1], nil
			}
			resp, err := f.RoundTrip(req)
			if err == nil {
				finish(t, resp, nil)
			}
			assert.Equal(t, int64(1), body.closes.Load())
			for _, u := range made {
				assert.Equal(t, int64(1), u.closes.Load())
			}
			assert.Zero(t, f.inFlight())
		})
	}
}

// User code that is asked about another attempt may panic: the attempt before is
// over then, its response closed, and nothing stays in flight (G35).
func TestRegression_PanicBetweenAttempts(t *testing.T) {
	calls := 0
	for name, test := range map[string]struct {
		tweak tweak
		body  func() (io.ReadCloser, error)
	}{
		"Retry.If": {tweak: func(cfg *registryhttp.TransportConfig) {
			cfg.Balancer.Retry.If = func(error) bool { panic("boom") }
		}},
		"Retry.If ends the goroutine": {tweak: func(cfg *registryhttp.TransportConfig) {
			cfg.Balancer.Retry.If = func(error) bool { runtime.Goexit(); return true }
		}},
		"GetBody": {body: func() (io.ReadCloser, error) { panic("boom") }},
		"gate": {tweak: func(cfg *registryhttp.TransportConfig) {
			cfg.Balancer.Gate = func(*registry.Endpoint) balance.Gate {
				return balance.GateFunc(func(context.Context) (func(error), error) {
					if calls++; calls == 2 {
						panic("boom")
					}
					return nil, nil
				})
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			calls = 0
			sorry := &script{}
			var tweaks []tweak
			if test.tweak != nil {
				tweaks = append(tweaks, test.tweak)
			}
			f := newFixture(t, deliver(503, func() io.ReadCloser { return sorry }, -1), named("a", "b"), tweaks...)
			req := newRequest(t, http.MethodPut, newUpload("payload"))
			req.GetBody = func() (io.ReadCloser, error) { return newUpload("payload"), nil }
			if test.body != nil {
				req.GetBody = test.body
			}
			returned, _ := aside(func() { _, _ = f.RoundTrip(req) })
			require.False(t, returned)
			assert.Zero(t, f.inFlight())
			_, closes := sorry.seen()
			assert.Positive(t, closes, "the response that nobody gets")
		})
	}
}

// After a panic in PerService the service has no balancer: not one that is nil
// without an error.
func TestRegression_PerServicePanics(t *testing.T) {
	f := newFixture(t, answer(200, ""), named("a"), func(cfg *registryhttp.TransportConfig) {
		cfg.PerService = func(string) balance.Config { panic("boom") }
	})
	for range 2 {
		var b *balance.Balancer
		var err error
		returned, _ := aside(func() { b, err = f.Balancer(orders) })
		assert.True(t, !returned || err != nil || b != nil, "Balancer returned nil, nil")
		returned, _ = aside(func() { _, err = f.RoundTrip(get(t)) })
		if returned {
			assert.ErrorContains(t, err, "PerService")
		}
	}
}

// The error of the caller's own body may be that of a dial, if it is a download
// from somewhere else: the request was sent all the same, and a POST must not be
// sent twice.
func TestRegression_BodyThatFailsToDial(t *testing.T) {
	base := &http.Transport{}
	f := newFixture(t, base, nil)
	first := away(func(w *wire) { w.request() })(t, base, f.reg, "a")
	second := away(always(200, ""))(t, base, f.reg, "b")
	broken := func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat("pay", 10_000)), iotest.ErrReader(errRefused))), nil
	}
	req := newRequest(t, http.MethodPost, nil)
	req.Body, _ = broken()
	req.GetBody = broken
	req.ContentLength = -1 // in chunks
	_, err := f.RoundTrip(req)
	require.ErrorIs(t, err, errRefused)
	assert.Equal(t, []string{"a ignored"}, f.outcomes(), "no second attempt, and nobody's fault here")
	assert.LessOrEqual(t, first.requests.Load(), int64(1))
	assert.Zero(t, second.requests.Load())
}

// A check that has passed in time is not blamed for one beside it that hangs.
func TestRegression_PassingCheckBesideAHangingOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := checks{"hangs": func(ctx context.Context) error { <-ctx.Done(); time.Sleep(time.Second); return nil }}
		for i := range 20 {
			all[fmt.Sprint("passes ", i)] = func(context.Context) error { return nil }
		}
		h := newHandler(t, newRegistry(t, registry.Config{}), registryhttp.HandlerConfig{Checks: all})
		assert.Equal(t, map[string]string{"check hangs": "timed out"}, ready(t, h))
		time.Sleep(time.Minute)
	})
}

// A check that hangs for good costs nothing more for each time it is asked for.
func TestRegression_HangingCheckKeepsNothing(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	h := newHandler(t, newRegistry(t, registry.Config{}), registryhttp.HandlerConfig{
		Timeout: 1,
		Checks:  checks{"db": func(context.Context) error { <-release; return nil }},
	})
	w, req := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil)
	h.ServeHTTP(w, req)
	before := heap()
	const requests = 20_000
	for range requests {
		w.Body.Reset()
		h.ServeHTTP(w, req)
	}
	assert.Less(t, heap()-before, int64(requests*10), "bytes")
	runtime.KeepAlive(h)
}

// A lazyClock never runs a timer.
type lazyClock struct{ *clock.Mock }

func (c lazyClock) AfterFunc(time.Duration, func()) *clock.Timer {
	return clock.NewMock().AfterFunc(time.Hour, func() {})
}

// A lease whose time is over is lost, even if no timer has run (G8, G9).
func TestRegression_ExpiredLeaseIsNotReady(t *testing.T) {
	c := lazyClock{clock.NewMock()}
	r := newRegistry(t, registry.Config{Clock: c})
	in := instance("a")
	in.TTL = 10 * time.Second
	h := newHandler(t, r, registryhttp.HandlerConfig{Leases: []*registry.Lease{register(t, r, in)}})
	c.Add(10*time.Second - 1)
	assert.Empty(t, ready(t, h))
	c.Add(1)
	assert.Equal(t, map[string]string{"lease orders a": "ended"}, ready(t, h))
}

// A clone of HTTP/2 that has to make room while a stream is open does not keep
// its connection for ever: nobody could close it any more.
func TestRegression_HTTP2CloneInUseMakesRoom(t *testing.T) {
	v := newVhost(t, true)
	base := v.base()
	base.ForceAttemptHTTP2 = true
	f := newFixture(t, base, nil, byPath, maxTLSNames(1))
	for _, name := range []string{"one", "two"} {
		in := v.instance(name, name+".test")
		in.Service = name
		register(t, f.reg, in)
	}
	first, second := get(t), get(t)
	first.URL.Path, second.URL.Path = "/one", "/two"
	first.Header.Set("X-Wait", "1")
	busy, err := f.RoundTrip(first)
	require.NoError(t, err)
	resp, err := f.RoundTrip(second)
	finish(t, resp, err)
	close(v.more)
	assert.Equal(t, "HTTP/2.0 one.test one.test", finish(t, busy, nil))
	f.CloseIdleConnections()
	v.awaitConnections(t, 0)
}

// A Base that is plain &http.Transport{} speaks HTTP/2. Its Clone offers it too,
// but does not speak it unless ForceAttemptHTTP2 is set (a trap of net/http), so
// that every request fails to a server that accepts the offer.
func TestRegression_CloneOfAPlainTransportSpeaksHTTP2(t *testing.T) {
	v := newVhost(t, true)
	base := &http.Transport{}
	base.CloseIdleConnections() // from here on it has the TLSClientConfig that it makes for HTTP/2
	require.NotNil(t, base.TLSClientConfig)
	base.TLSClientConfig.RootCAs = v.roots // in place of a certificate of a known authority
	f := newFixture(t, base, nil)
	register(t, f.reg, v.instance("a", "one.test"))
	resp, err := f.RoundTrip(get(t))
	assert.Equal(t, "HTTP/2.0 one.test one.test", finish(t, resp, err))
	f.CloseIdleConnections()
}

// A Base with a dialer of its own does not speak HTTP/2 unless it is told to, and
// neither do its clones: HTTP/2 is Base's.
func TestRegression_CloneDoesNotTurnHTTP2On(t *testing.T) {
	v := newVhost(t, true)
	offered := []string{"none"}
	next := v.TLS.GetConfigForClient
	v.TLS.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		offered = hello.SupportedProtos
		return next(hello)
	}
	base := &http.Transport{DialContext: new(net.Dialer).DialContext}
	_, err := base.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+v.Listener.Addr().String(), nil))
	require.Error(t, err, "nobody has told it to trust this server")
	require.Empty(t, offered)
	f := newFixture(t, base, nil)
	register(t, f.reg, v.instance("a", "one.test"))
	_, err = f.RoundTrip(get(t))
	require.Error(t, err)
	assert.Empty(t, offered)
}
