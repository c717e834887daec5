package registryhttp_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

func maxTLSNames(n int) tweak {
	return func(cfg *registryhttp.TransportConfig) { cfg.MaxTLSNames = n }
}

// byPath takes the path for the name of the service.
func byPath(cfg *registryhttp.TransportConfig) {
	cfg.ServiceOf = func(req *http.Request) string { return strings.TrimPrefix(req.URL.Path, "/") }
}

// ask gets http://orders/ and returns what the server says.
func ask(t *testing.T, f *fixture) string {
	t.Helper()
	resp, err := f.RoundTrip(get(t))
	return finish(t, resp, err)
}

// G45: the ServerName is what the certificate is asked for and checked against,
// although the address is an IP.
func TestG45_ServerNameWithAnIP(t *testing.T) {
	v := newVhost(t, false)
	base := v.base()
	f := newFixture(t, base, nil)
	register(t, f.reg, v.instance("a", "one.test"))
	assert.Equal(t, "HTTP/1.1 one.test one.test", ask(t, f))
	assert.Equal(t, []string{"one.test"}, v.handshakes())
	assert.Empty(t, base.TLSClientConfig.ServerName, "Base is left alone")
	f.CloseIdleConnections()
}

// G45: two names at one address do not share connections: that would be the
// wrong certificate for one of them.
func TestG45_TwoNamesAtOneAddress(t *testing.T) {
	v := newVhost(t, false)
	f := newFixture(t, v.base(), nil, byPath)
	for _, name := range []string{"one", "two"} {
		in := v.instance(name, name+".test")
		in.Service = name
		register(t, f.reg, in)
	}
	for range 3 {
		for _, name := range []string{"one", "two"} {
			req := get(t)
			req.URL.Path = "/" + name
			resp, err := f.RoundTrip(req)
			assert.Equal(t, fmt.Sprintf("HTTP/1.1 %s.test %s.test", name, name), finish(t, resp, err))
		}
	}
	assert.Equal(t, []string{"one.test", "two.test"}, v.handshakes(), "connections are used again")
	f.CloseIdleConnections()
}

// G45: a certificate for another name is refused, with and without ServerName.
func TestG45_WrongCertificate(t *testing.T) {
	for name, serverName := range map[string]string{"other name": "wrong.test", "no ServerName": ""} {
		t.Run(name, func(t *testing.T) {
			v := newVhost(t, false)
			f := newFixture(t, v.base(), nil)
			register(t, f.reg, v.instance("a", serverName))
			_, err := f.RoundTrip(get(t))
			var mismatch x509.HostnameError
			require.ErrorAs(t, err, &mismatch)
			assert.Equal(t, failure, f.one(t))
			assert.Zero(t, f.inFlight())
		})
	}
}

// G45: a Base of another type cannot do that: the error says which instance and
// which type, and nothing is sent.
func TestG45_OtherBase(t *testing.T) {
	v := newVhost(t, false)
	sent := false
	f := newFixture(t, roundTrip(func(*http.Request) (*http.Response, error) {
		sent = true
		return nil, io.EOF
	}), nil)
	register(t, f.reg, v.instance("the one", "one.test"))
	body := newUpload("payload")
	_, err := f.RoundTrip(newRequest(t, http.MethodPost, body))
	require.ErrorContains(t, err, `"the one"`)
	require.ErrorContains(t, err, `"one.test"`)
	require.ErrorContains(t, err, "registryhttp_test.roundTrip")
	assert.False(t, sent)
	assert.Equal(t, int64(1), body.closes.Load())
	assert.Zero(t, f.inFlight())
	assert.Empty(t, v.handshakes())
}

// G45: it is an error only where it matters.
func TestG45_OtherBaseWillDo(t *testing.T) {
	for name, test := range map[string]struct{ addr, serverName, scheme string }{
		"plain HTTP":        {"10.0.0.1:80", "one.test", "http"},
		"caller's scheme":   {"10.0.0.1:80", "one.test", ""},
		"no ServerName":     {"10.0.0.1:443", "", "https"},
		"same as the host":  {"one.test:443", "one.test", "https"},
		"same as the IP":    {"10.0.0.1:443", "10.0.0.1", "https"},
		"same, and IPv6":    {"[::1]:443", "::1", "https"},
		"unusual TLS ports": {"one.test:8443", "one.test", "https"},
	} {
		t.Run(name, func(t *testing.T) {
			in := at("a", test.addr)
			in.ServerName, in.Scheme = test.serverName, test.scheme
			f := newFixture(t, answer(200, "good"), nil)
			register(t, f.reg, in)
			assert.Equal(t, "good", ask(t, f))
		})
	}
}

// G45: the proxy is Base's, through the clones too, and is asked about what is
// sent.
func TestG45_ProxyIsBases(t *testing.T) {
	v := newVhost(t, false)
	base := v.base()
	var asked []string
	base.Proxy = func(req *http.Request) (*url.URL, error) {
		asked = append(asked, req.URL.String())
		return nil, nil
	}
	f := newFixture(t, base, nil)
	register(t, f.reg, v.instance("a", "one.test"))
	assert.Equal(t, "HTTP/1.1 one.test one.test", ask(t, f))
	assert.Equal(t, []string{"https://" + v.Listener.Addr().String() + "/42?q=1"}, asked)
	f.CloseIdleConnections()
}

// G45: HTTP/2 is Base's, through the clones too.
func TestG45_HTTP2(t *testing.T) {
	v := newVhost(t, true)
	base := v.base()
	base.ForceAttemptHTTP2 = true
	f := newFixture(t, base, nil)
	register(t, f.reg, v.instance("a", "one.test"))
	for range 3 {
		assert.Equal(t, "HTTP/2.0 one.test one.test", ask(t, f))
	}
	assert.Len(t, v.handshakes(), 1)
	assert.Zero(t, f.inFlight())
	f.CloseIdleConnections()
}

// G45: a clone offers HTTP/2 if Base would, which has no TLSClientConfig and
// therefore does.
func TestG45_HTTP2WithoutTLSClientConfig(t *testing.T) {
	for name, test := range map[string]struct {
		base *http.Transport
		want []string
	}{
		"nil Base":   {nil, []string{"h2", "http/1.1"}},
		"zero Base":  {&http.Transport{}, []string{"h2", "http/1.1"}},
		"HTTP/1 TLS": {&http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVhost(t, true)
			var offered []string
			get := v.TLS.GetConfigForClient
			v.TLS.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				offered = hello.SupportedProtos
				return get(hello)
			}
			var base http.RoundTripper
			if test.base != nil {
				base = test.base
			}
			f := newFixture(t, base, nil)
			register(t, f.reg, v.instance("a", "one.test"))
			_, err := f.RoundTrip(newRequest(t, http.MethodGet, nil))
			var unknown x509.UnknownAuthorityError
			require.ErrorAs(t, err, &unknown, "nobody has told it to trust this server")
			assert.Equal(t, test.want, offered)
		})
	}
}

// G45: a Base that speaks HTTP/2 because nothing keeps it from that has made a
// TLSClientConfig for it, and would not speak it if it had been given that. Its
// clones do all the same, also with what the caller has added there.
func TestG45_HTTP2OfItsOwnAccord(t *testing.T) {
	v := newVhost(t, true)
	base := &http.Transport{}
	_ = base.Clone() // as the first request does, this makes it
	require.NotNil(t, base.TLSClientConfig)
	base.TLSClientConfig.RootCAs = v.roots
	f := newFixture(t, base, nil)
	register(t, f.reg, v.instance("a", "one.test"))
	for range 3 {
		assert.Equal(t, "HTTP/2.0 one.test one.test", ask(t, f))
	}
	assert.Equal(t, []string{"one.test"}, v.handshakes())
	f.CloseIdleConnections()
}

// G45: MaxTLSNames bounds the clones; the one that was not used for longest goes,
// with its connections.
func TestG45_MaxTLSNames(t *testing.T) {
	v := newVhost(t, false)
	f := newFixture(t, v.base(), nil, byPath, maxTLSNames(2))
	visit := func(names ...string) {
		for _, name := range names {
			in := v.instance(name, name+".test")
			in.Service = name
			register(t, f.reg, in)
			req := get(t)
			req.URL.Path = "/" + name
			resp, err := f.RoundTrip(req)
			finish(t, resp, err)
		}
	}
	visit("one", "two", "one", "two")
	assert.Equal(t, []string{"one.test", "two.test"}, v.handshakes())
	visit("one", "three") // two goes
	assert.Equal(t, []string{"three.test"}, v.handshakes())
	v.awaitConnections(t, 2)
	visit("one", "three")
	assert.Empty(t, v.handshakes())
	visit("two") // one goes
	assert.Equal(t, []string{"two.test"}, v.handshakes())
	v.awaitConnections(t, 2)
	visit("three", "two")
	assert.Empty(t, v.handshakes())
	f.CloseIdleConnections()
	v.awaitConnections(t, 0)
}

// G45: 64 by default, and no bound if it is negative.
func TestG45_MaxTLSNamesDefault(t *testing.T) {
	for most, again := range map[int]int{0: 1, -1: 0} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			v := newVhost(t, false)
			f := newFixture(t, v.base(), nil, byPath, maxTLSNames(most))
			visit := func(i int) {
				name := fmt.Sprintf("n%02d", i)
				in := v.instance(name, name+".test")
				in.Service = name
				register(t, f.reg, in)
				req := get(t)
				req.URL.Path = "/" + name
				resp, err := f.RoundTrip(req)
				finish(t, resp, err)
			}
			for i := range 64 {
				visit(i)
			}
			require.Len(t, v.handshakes(), 64)
			visit(0)
			require.Empty(t, v.handshakes(), "64 are kept")
			visit(64) // 1 goes
			visit(1)
			assert.Len(t, v.handshakes(), 1+again)
			f.CloseIdleConnections()
			v.awaitConnections(t, 0)
		})
	}
}

// G45: who reads from a clone that has to make room reads on, and its connection
// is not kept afterwards.
func TestG45_CloneInUseMakesRoom(t *testing.T) {
	v := newVhost(t, false)
	f := newFixture(t, v.base(), nil, byPath, maxTLSNames(1))
	for _, name := range []string{"one", "two"} {
		in := v.instance(name, name+".test")
		in.Service = name
		register(t, f.reg, in)
	}
	first, second := get(t), get(t)
	first.URL.Path, second.URL.Path = "/one", "/two"
	busy, err := f.RoundTrip(first)
	require.NoError(t, err)
	resp, err := f.RoundTrip(second)
	finish(t, resp, err)
	assert.Equal(t, "HTTP/1.1 one.test one.test", finish(t, busy, nil))
	v.awaitConnections(t, 1)
	f.CloseIdleConnections()
	v.awaitConnections(t, 0)
}

// G45: CloseIdleConnections reaches Base and all clones.
func TestG45_CloseIdleConnections(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprint("HTTP/2 ", http2), func(t *testing.T) {
			v := newVhost(t, http2)
			base := v.base()
			base.ForceAttemptHTTP2 = http2
			f := newFixture(t, base, nil, byPath)
			for _, name := range []string{"one", "two"} {
				in := v.instance(name, name+".test")
				in.Service = name
				register(t, f.reg, in)
				req := get(t)
				req.URL.Path = "/" + name
				resp, err := f.RoundTrip(req)
				finish(t, resp, err)
			}
			require.Equal(t, 2, v.connections())
			(&http.Client{Transport: f}).CloseIdleConnections()
			v.awaitConnections(t, 0)
		})
	}
}

// idler is a Base that is told to close what is idle.
type idler struct {
	roundTrip
	told int
}

func (i *idler) CloseIdleConnections() { i.told++ }

// G45: CloseIdleConnections is passed on to a Base that knows it.
func TestG45_CloseIdleConnectionsOfBase(t *testing.T) {
	base := &idler{}
	newFixture(t, base, nil).CloseIdleConnections()
	assert.Equal(t, 1, base.told)
	newFixture(t, answer(200, ""), nil).CloseIdleConnections()
	var none *registryhttp.Transport
	none.CloseIdleConnections()
	new(registryhttp.Transport).CloseIdleConnections()
}
