package breakerhttp_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
)

// Whatever panics or exits the goroutine, the permit is given back as a failure
// and the next request finds a free slot.
func TestTransport_PanicGivesPermitBack(t *testing.T) {
	download := &script{reads: []read{{"x", io.EOF}}}
	answered := roundTrip(func(req *http.Request) (*http.Response, error) {
		return response(req, http.StatusOK, download, -1), nil
	})
	classify := func(f func()) func(*breakerhttp.TransportConfig) {
		return func(cfg *breakerhttp.TransportConfig) {
			cfg.Classify = func(*http.Request, *http.Response, error) breaker.Outcome {
				f()
				return breaker.Success
			}
		}
	}
	boom := func() { panic("boom") }
	exit := func() { exitGoroutine() }

	for name, test := range map[string]struct {
		base  roundTrip
		tweak func(*breakerhttp.TransportConfig)
		panic any
	}{
		"Base panics":     {func(*http.Request) (*http.Response, error) { panic("boom") }, nil, "boom"},
		"Base exits":      {func(*http.Request) (*http.Response, error) { exitGoroutine(); return nil, nil }, nil, nil},
		"Classify panics": {answered, classify(boom), "boom"},
		"Classify exits":  {answered, classify(exit), nil},
		"of an error":     {broken, classify(boom), "boom"},
		"breaker's panics": {broken, func(cfg *breakerhttp.TransportConfig) {
			cfg.Group.Config.Classify = func(context.Context, error) breaker.Outcome { panic("boom") }
		}, "boom"},
	} {
		t.Run(name, func(t *testing.T) {
			download.closes = 0
			tweak := test.tweak
			if tweak == nil {
				tweak = func(*breakerhttp.TransportConfig) {}
			}
			f := newFixture(t, test.base, tweak)
			f.halfOpen(t)
			req := get(t)

			returned, value := aside(func() { _, _ = f.RoundTrip(req) })
			assert.False(t, returned)
			assert.Equal(t, test.panic, value, "the panic goes on")
			done := f.one(t)
			assert.Equal(t, breaker.Failure, done.Outcome)
			assert.True(t, done.Probe)
			assert.Equal(t, breaker.Open, f.breaker.State(), "the probe has failed")
			assert.Error(t, f.breaker.Snapshot().Cause)
			assert.Zero(t, f.breaker.Snapshot().Probes)
			if name[0] == 'C' {
				assert.Equal(t, 1, download.closes, "nobody else can close the response")
			}
		})
	}
}

// A panic before the call begins is no outcome; the request's body is closed
// all the same.
func TestTransport_PanicBeforeTheCall(t *testing.T) {
	boom := func(*http.Request) string { panic("boom") }
	f := newFixture(t, roundTrip(broken), func(cfg *breakerhttp.TransportConfig) { cfg.Key = boom })
	chooser := newTransport(t, breakerhttp.TransportConfig{
		Choose: func(*http.Request) *breaker.Breaker { panic("boom") },
	})
	for name, transport := range map[string]*breakerhttp.Transport{"Key": f.Transport, "Choose": chooser} {
		body := newUpload("payload")
		req := newRequest(t, http.MethodPost, body)
		assert.PanicsWithValue(t, "boom", func() { _, _ = transport.RoundTrip(req) }, name)
		assert.Equal(t, 1, body.closes, name)
	}
	assert.Empty(t, f.take())
}

// A deferred closing must not close what Base has to close, nor what it has
// handed to a goroutine.
func TestTransport_BodyIsBasesOnceItIsCalled(t *testing.T) {
	for name, choose := range map[string]func(*http.Request) *breaker.Breaker{
		"guarded":   nil,
		"unguarded": func(*http.Request) *breaker.Breaker { return nil },
	} {
		transport := newTransport(t, breakerhttp.TransportConfig{
			Choose: choose,
			Base:   roundTrip(func(*http.Request) (*http.Response, error) { panic("boom") }),
		})
		body := newUpload("payload")
		req := newRequest(t, http.MethodPost, body)
		assert.Panics(t, func() { _, _ = transport.RoundTrip(req) }, name)
		assert.Zero(t, body.closes, name)
	}
}

func TestTransport_Misuse(t *testing.T) {
	noURL := newRequest(t, http.MethodPost, nil)
	noURL.URL = nil
	good := newFixture(t, answer(200, "ok"))
	chooser := newTransport(t, breakerhttp.TransportConfig{
		Base:   answer(200, "ok"),
		Choose: func(*http.Request) *breaker.Breaker { return new(breaker.Breaker) },
	})

	for name, test := range map[string]struct {
		transport *breakerhttp.Transport
		req       *http.Request
		want      string
	}{
		"nil request":    {good.Transport, nil, "breakerhttp: nil *http.Request"},
		"nil URL":        {good.Transport, noURL, "breakerhttp: nil Request.URL"},
		"nil Transport":  {nil, newRequest(t, http.MethodPost, nil), "breakerhttp: zero Transport, use NewTransport"},
		"zero Transport": {new(breakerhttp.Transport), newRequest(t, http.MethodPost, nil), "breakerhttp: zero Transport, use NewTransport"},
		"zero Breaker":   {chooser, newRequest(t, http.MethodPost, nil), "breaker: zero Breaker, use New"},
	} {
		t.Run(name, func(t *testing.T) {
			body := newUpload("payload")
			if test.req != nil {
				test.req.Body = body
			}
			resp, err := test.transport.RoundTrip(test.req)
			assert.Nil(t, resp)
			assert.EqualError(t, err, test.want)
			if test.req != nil {
				assert.Equal(t, 1, body.closes)
			}
		})
	}
	assert.Empty(t, good.take(), "misuse is counted nowhere")
}

// A Base that breaks its contract gets no better than it gives.
func TestTransport_BrokenBase(t *testing.T) {
	t.Run("nothing at all", func(t *testing.T) {
		f := newFixture(t, roundTrip(func(*http.Request) (*http.Response, error) { return nil, nil }))
		resp, err := f.RoundTrip(get(t))
		assert.Nil(t, resp)
		require.EqualError(t, err, "breakerhttp: breakerhttp_test.roundTrip returned neither a response nor an error")
		assert.Equal(t, breaker.Failure, f.one(t).Outcome)
	})
	t.Run("both", func(t *testing.T) {
		both := &http.Response{StatusCode: http.StatusOK}
		f := newFixture(t, roundTrip(func(*http.Request) (*http.Response, error) { return both, errDial }))
		resp, err := f.RoundTrip(get(t))
		assert.Same(t, both, resp)
		assert.Equal(t, errDial, err)
		assert.Equal(t, breaker.Failure, f.one(t).Outcome)
	})
	t.Run("no header, no body", func(t *testing.T) {
		f := newFixture(t, roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusServiceUnavailable}, nil
		}))
		resp, err := f.RoundTrip(get(t))
		require.NoError(t, err)
		assert.Nil(t, resp.Body)
		assert.Equal(t, breaker.Failure, f.one(t).Outcome)
	})
}
