package registryhttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// G44: the body of a request is closed whatever happens, once, and what happens
// is no other for that.
func TestG44_RequestBodyIsClosed(t *testing.T) {
	boom := errors.New("boom")
	cause := errors.New("user left")
	refuse := func(*registry.Endpoint) balance.Gate {
		return balance.GateFunc(func(context.Context) (func(error), error) { return nil, boom })
	}
	for name, test := range map[string]struct {
		tweak   tweak
		prepare func(*fixture, *http.Request) *http.Request
		err     error // that it Is
		panics  any
		goexit  bool
	}{
		"answered": {},
		"no instance": {prepare: func(f *fixture, req *http.Request) *http.Request {
			_ = f.reg.Deregister(bg, orders, "a")
			return req
		}, err: balance.ErrNoInstances},
		"no such service": {prepare: func(_ *fixture, req *http.Request) *http.Request {
			req.URL.Host = "payment"
			return req
		}, err: balance.ErrNoInstances},
		"closed registry": {prepare: func(f *fixture, req *http.Request) *http.Request {
			_ = f.reg.Close(bg)
			return req
		}, err: registry.ErrClosed},
		"closed registry, known service": {prepare: func(f *fixture, req *http.Request) *http.Request {
			_, _ = f.Balancer(orders)
			_ = f.reg.Close(bg)
			return req
		}, err: registry.ErrClosed},
		"caller has left": {prepare: func(_ *fixture, req *http.Request) *http.Request {
			ctx, cancel := context.WithCancelCause(req.Context())
			cancel(cause)
			return req.WithContext(ctx)
		}, err: cause},
		"gate refuses": {tweak: func(cfg *registryhttp.TransportConfig) { cfg.Balancer.Gate = refuse }, err: boom},
		"bad PerService": {tweak: func(cfg *registryhttp.TransportConfig) {
			cfg.PerService = func(string) balance.Config { return balance.Config{Retry: balance.Retry{Burst: -1}} }
		}, err: nil},
		"ServiceOf panics": {tweak: func(cfg *registryhttp.TransportConfig) {
			cfg.ServiceOf = func(*http.Request) string { panic(boom) }
		}, panics: boom},
		"ServiceOf ends the goroutine": {tweak: func(cfg *registryhttp.TransportConfig) {
			cfg.ServiceOf = func(*http.Request) string { runtime.Goexit(); return "" }
		}, goexit: true},
		"Key panics": {tweak: func(cfg *registryhttp.TransportConfig) {
			cfg.Key = func(*http.Request) uint64 { panic(boom) }
		}, panics: boom},
		"Key ends the goroutine": {tweak: func(cfg *registryhttp.TransportConfig) {
			cfg.Key = func(*http.Request) uint64 { runtime.Goexit(); return 0 }
		}, goexit: true},
		"gate panics": {tweak: func(cfg *registryhttp.TransportConfig) {
			cfg.Balancer.Gate = func(*registry.Endpoint) balance.Gate {
				return balance.GateFunc(func(context.Context) (func(error), error) { panic(boom) })
			}
		}, panics: boom},
		"PerService panics": {tweak: func(cfg *registryhttp.TransportConfig) {
			cfg.PerService = func(string) balance.Config { panic(boom) }
		}, panics: boom},
		"Base fails":  {tweak: func(cfg *registryhttp.TransportConfig) { cfg.Base = fail(boom) }, err: boom},
		"Base panics": {tweak: func(cfg *registryhttp.TransportConfig) { cfg.Base = doomed(func() { panic(boom) }) }, panics: boom},
		"Base ends the goroutine": {
			tweak: func(cfg *registryhttp.TransportConfig) { cfg.Base = doomed(runtime.Goexit) }, goexit: true,
		},
		"nil URL": {prepare: func(_ *fixture, req *http.Request) *http.Request {
			req.URL = nil
			return req
		}},
		"no service": {prepare: func(_ *fixture, req *http.Request) *http.Request {
			req.URL.Host = "example.com"
			return req
		}},
		"zero Transport": {prepare: func(f *fixture, req *http.Request) *http.Request {
			f.Transport = new(registryhttp.Transport)
			return req
		}},
		"nil Transport": {prepare: func(f *fixture, req *http.Request) *http.Request {
			f.Transport = nil
			return req
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var tweaks []tweak
			if test.tweak != nil {
				tweaks = append(tweaks, test.tweak)
			}
			f := newFixture(t, answer(200, ""), named("a"), tweaks...)
			body := newUpload("payload")
			req := newRequest(t, http.MethodPost, body)
			if test.prepare != nil {
				req = test.prepare(f, req)
			}
			var err error
			returned, panicked := aside(func() {
				var resp *http.Response
				if resp, err = f.RoundTrip(req); err == nil {
					resp.Body.Close()
				}
			})
			assert.Equal(t, int64(1), body.closes.Load())
			assert.Equal(t, test.panics, panicked)
			assert.Equal(t, test.panics == nil && !test.goexit, returned)
			if test.err != nil {
				assert.ErrorIs(t, err, test.err)
			}
			assert.Zero(t, f.inFlight())
		})
	}
}

// doomed is a Base that does not return. Closing the body is still for it.
func doomed(end func()) roundTrip {
	return func(req *http.Request) (*http.Response, error) {
		defer closeBody(req)
		end()
		return nil, nil
	}
}

// G35, G44: a Base that does not return has failed, and nothing is left of it.
func TestG44_BaseDoesNotReturn(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("boom") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			var seen *http.Request
			f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
				seen = req
				end()
				return nil, nil
			}), named("a", "b"), attemptTimeout)
			returned, panicked := aside(func() { _, _ = f.RoundTrip(get(t)) })
			assert.False(t, returned)
			assert.Equal(t, map[string]any{"panic": "boom"}[name], panicked)
			assert.Equal(t, []string{"a failure"}, f.outcomes(), "no other attempt")
			assert.Zero(t, f.inFlight())
			assert.Equal(t, uint64(1), f.member(t, "a").Failures)
			assert.Error(t, seen.Context().Err())
		})
	}
}

// G44: once Base has the body, closing it is for Base to do, also later than it
// answers.
func TestG44_BodyIsBasesOnceSent(t *testing.T) {
	body := newUpload("payload")
	f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
		return response(req, 200, http.NoBody, 0), nil // still uploading
	}), named("a"))
	resp, err := f.RoundTrip(newRequest(t, http.MethodPost, body))
	finish(t, resp, err)
	assert.Zero(t, body.closes.Load())
}

// G23, G44: a caller that has left gets its cause, and nothing is sent.
func TestG44_NothingSentAfterTheEnd(t *testing.T) {
	f := newFixture(t, roundTrip(func(*http.Request) (*http.Response, error) {
		assert.Fail(t, "sent")
		return nil, io.EOF
	}), named("a"))
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("user left")
	cancel(cause)
	_, err := f.RoundTrip(get(t).WithContext(ctx))
	require.Equal(t, cause, err)
	assert.Empty(t, f.take())
}
