package breakerhttp_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
)

func TestTransport_BreakerPerHost(t *testing.T) {
	transport := newTransport(t, breakerhttp.TransportConfig{Base: roundTrip(broken)})
	for _, address := range []string{
		"http://payment/a", "https://PAYMENT/b?q", "http://user@Payment/", // one
		"http://payment:8080/", "http://stock/", "mailto:nobody",
	} {
		u, err := url.Parse(address)
		require.NoError(t, err)
		_, err = transport.RoundTrip(&http.Request{URL: u})
		require.Equal(t, errDial, err)
	}
	failures := make(map[string]uint64)
	for key, b := range transport.Group().All() {
		assert.Equal(t, key, b.Name())
		failures[key] = b.Snapshot().Failures
	}
	assert.Equal(t, map[string]uint64{"payment": 3, "payment:8080": 1, "stock": 1, "": 1}, failures)
}

func TestTransport_Choose(t *testing.T) {
	b := newBreaker(t)
	base := &idler{roundTrip: broken}
	transport := newTransport(t, breakerhttp.TransportConfig{
		Base: base,
		Choose: func(req *http.Request) *breaker.Breaker {
			if req.Method == http.MethodPost {
				return b
			}
			return nil
		},
	})
	assert.Nil(t, transport.Group())
	for range 2 {
		_, err := transport.RoundTrip(get(t))
		require.Equal(t, errDial, err)
	}
	require.Equal(t, breaker.Closed, b.State(), "unguarded")
	_, err := transport.RoundTrip(newRequest(t, http.MethodPost, nil))
	require.Equal(t, errDial, err)
	_, err = transport.RoundTrip(newRequest(t, http.MethodPost, nil))
	require.ErrorIs(t, err, breaker.ErrOpen)

	(&http.Client{Transport: transport}).CloseIdleConnections()
	assert.Equal(t, 1, base.closed, "forwarded")
	newTransport(t, breakerhttp.TransportConfig{Base: answer(200, "")}).CloseIdleConnections()
}

func TestNewTransport_Defaults(t *testing.T) {
	transport := breakerhttp.MustNewTransport(breakerhttp.TransportConfig{})
	require.NotNil(t, transport.Group())
	assert.Zero(t, transport.Group().Len())

	// Base is http.DefaultTransport: it is what refuses this scheme.
	_, err := transport.RoundTrip(&http.Request{URL: &url.URL{Scheme: "gopher", Host: "h"}, Header: http.Header{}})
	require.ErrorContains(t, err, "unsupported protocol scheme")
}

func TestNewTransport_Problems(t *testing.T) {
	bad := breaker.Config{Jitter: 2, Probes: 65}
	for name, test := range map[string]struct {
		cfg  breakerhttp.TransportConfig
		want []string
	}{
		"group": {
			breakerhttp.TransportConfig{Group: breaker.GroupConfig[string]{Config: bad}},
			[]string{"breakerhttp: Group.Config: breaker: Jitter is 2, ", "breakerhttp: Group.Config: breaker: Probes is 65, "},
		},
		"choose": {
			breakerhttp.TransportConfig{
				Choose: func(*http.Request) *breaker.Breaker { return nil },
				Key:    func(*http.Request) string { return "" },
				Group:  breaker.GroupConfig[string]{Max: 7},
			},
			[]string{"breakerhttp: Key is set, want nil with Choose", "breakerhttp: Group is set, want zero with Choose"},
		},
		"choose and a name": {
			breakerhttp.TransportConfig{
				Choose: func(*http.Request) *breaker.Breaker { return nil },
				Group:  breaker.GroupConfig[string]{Name: func(string) string { return "" }},
			},
			[]string{"breakerhttp: Group is set, want zero with Choose"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			transport, err := breakerhttp.NewTransport(test.cfg)
			assert.Nil(t, transport)
			require.Error(t, err)
			for _, want := range test.want {
				assert.ErrorContains(t, err, want)
			}
			for _, line := range strings.Split(err.Error(), "\n") {
				assert.True(t, strings.HasPrefix(line, "breakerhttp: "), line)
			}
			assert.PanicsWithError(t, err.Error(), func() { breakerhttp.MustNewTransport(test.cfg) })
		})
	}
	// Nothing here is an error: negative means ignored.
	newTransport(t, breakerhttp.TransportConfig{MaxRetryAfter: -1})
}

type idler struct {
	roundTrip
	closed int
}

func (i *idler) CloseIdleConnections() { i.closed++ }

// A key is free text, and there may be any number of them.
func TestTransport_HostileKeys(t *testing.T) {
	keys := []string{"", "\x00", "a\nb", "\xff\xfe", "../../etc/passwd", "CON", "<script>", strings.Repeat("k", 1<<20)}
	for _, key := range keys {
		transport := newTransport(t, breakerhttp.TransportConfig{
			Base:  roundTrip(broken),
			Key:   func(*http.Request) string { return key },
			Group: breaker.GroupConfig[string]{Config: breaker.Config{Trip: breaker.ConsecutiveFailures(1)}},
		})
		_, err := transport.RoundTrip(get(t))
		require.Equal(t, errDial, err)
		_, err = transport.RoundTrip(get(t))
		var rejection *breaker.RejectedError
		require.ErrorAs(t, err, &rejection)
		assert.Equal(t, key, rejection.Name)
		assert.NotContains(t, err.Error(), "\n", "quoted")
	}

	transport := newTransport(t, breakerhttp.TransportConfig{
		Base:  answer(200, ""),
		Group: breaker.GroupConfig[string]{Max: 10},
	})
	for i := range 2000 {
		req := &http.Request{URL: &url.URL{Scheme: "http", Host: fmt.Sprint("host-", i)}}
		_, err := transport.RoundTrip(req)
		require.NoError(t, err)
	}
	assert.LessOrEqual(t, transport.Group().Len(), 20, "forgotten when there are too many")
}
