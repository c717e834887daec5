package registryhttp_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// Elsewhere a body that nobody closes keeps its instance busy for ever, so that
// others are preferred and a drain never ends.
func TestTrap_UnclosedBodiesLeakInFlight(t *testing.T) {
	f := newFixture(t, deliver(200, func() io.ReadCloser { return &script{} }, -1), named("a"))
	for range 100 {
		drop(t, f)
	}
	collect(t, func() bool { return f.inFlight() == 0 })
}

// Elsewhere a wrapper around the body hides that the one of a 101 can be written
// to, and WebSockets break; httputil.ReverseProxy asks for exactly this.
func TestTrap_UpgradeLosesWrite(t *testing.T) {
	conn := &duplex{ReadCloser: io.NopCloser(strings.NewReader(""))}
	f := newFixture(t, deliver(http.StatusSwitchingProtocols, func() io.ReadCloser { return conn }, 0), named("a"))
	resp, err := f.RoundTrip(get(t))
	require.NoError(t, err)
	assert.Implements(t, (*io.ReadWriteCloser)(nil), resp.Body)
	require.NoError(t, resp.Body.Close())
}

// Elsewhere the URL of the caller's request is rewritten in place, so that a
// second use of it goes to the instance of the first, and two at a time race.
func TestTrap_RequestIsModified(t *testing.T) {
	f := newFixture(t, network{"a": answer(503, ""), "b": answer(200, "")}, named("a", "b"), func(cfg *registryhttp.TransportConfig) {
		cfg.Balancer.Policy = balance.RoundRobin{}
	})
	req := get(t)
	before := pictureOf(req)
	for range 10 {
		resp, err := f.RoundTrip(req)
		finish(t, resp, err)
		require.True(t, reflect.DeepEqual(before, pictureOf(req)))
	}
}

// Elsewhere a URL whose host became an IP address asks the server for no name
// at all, and checks the certificate against the address.
func TestTrap_RewrittenHostBreaksSNI(t *testing.T) {
	v := newVhost(t, false)
	var dialled string
	base := v.base()
	base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialled = addr
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	f := newFixture(t, base, nil)
	register(t, f.reg, v.instance("a", "one.test"))
	resp, err := f.RoundTrip(get(t))
	finish(t, resp, err)
	assert.Equal(t, v.Listener.Addr().String(), dialled)
	assert.Equal(t, []string{"one.test"}, v.handshakes())
	require.NotNil(t, resp.TLS)
	assert.Equal(t, "one.test", resp.TLS.ServerName)
	assert.Equal(t, []string{"one.test"}, resp.TLS.PeerCertificates[0].DNSNames)
	assert.GreaterOrEqual(t, resp.TLS.Version, uint16(tls.VersionTLS12))
	f.CloseIdleConnections()
}

// Elsewhere (Ribbon) the next attempt may be the same instance again.
func TestTrap_RetryLandsOnTheSameInstance(t *testing.T) {
	for name, policy := range map[string]balance.Policy{
		"Random": balance.Random{}, "RoundRobin": balance.RoundRobin{}, "LeastLoaded": balance.LeastLoaded{},
		"PeakEWMA": balance.PeakEWMA{}, "Weighted": balance.Weighted{}, "Smooth": balance.Weighted{Smooth: true},
		"Maglev": balance.ConsistentHash{Table: 101}, "Rendezvous": balance.ConsistentHash{Kind: balance.Rendezvous},
		"stubborn": stubborn{},
	} {
		t.Run(name, func(t *testing.T) {
			var hosts []string
			f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
				hosts = append(hosts, req.URL.Host)
				return answer(503, "")(req)
			}), named("a", "b", "c"), retrying(3), func(cfg *registryhttp.TransportConfig) {
				cfg.Balancer.Policy = policy
				cfg.Key = func(*http.Request) uint64 { return 1 }
			})
			for range 100 {
				hosts = nil
				resp, err := f.RoundTrip(get(t))
				finish(t, resp, err)
				assert.ElementsMatch(t, []string{addr("a"), addr("b"), addr("c")}, hosts)
			}
		})
	}
}

// A stubborn policy always wants the first one.
type stubborn struct{}

func (p stubborn) NewPicker(balance.Candidates, balance.Picker) balance.Picker { return p }
func (stubborn) Pick(balance.Query, int) int                                   { return 0 }
