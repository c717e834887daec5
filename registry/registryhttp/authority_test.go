package registryhttp_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// A vhost is a TLS server of many names at one address. It has a certificate
// for each name, but none for its address.
type vhost struct {
	*httptest.Server
	roots *x509.CertPool
	more  chan struct{} // closed when requests with an X-Wait may go on

	mu    sync.Mutex
	names []string // of the handshakes, as the clients sent them
	open  map[net.Conn]bool
	gone  chan struct{} // one slot: a connection was closed
}

// newVhost answers with the protocol, the TLS name and the Host of the request.
// If that has an X-Wait, the header is sent alone at first.
func newVhost(tb testing.TB, http2 bool) *vhost {
	tb.Helper()
	v := &vhost{roots: x509.NewCertPool(), more: make(chan struct{}), open: make(map[net.Conn]bool), gone: make(chan struct{}, 1)}
	ca, key := newAuthority(tb)
	v.roots.AddCert(ca)
	v.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Wait") != "" {
			w.(http.Flusher).Flush()
			<-v.more
		}
		_, _ = io.WriteString(w, r.Proto+" "+r.TLS.ServerName+" "+r.Host)
	}))
	v.EnableHTTP2 = http2
	v.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail, as they should
	v.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		v.mu.Lock()
		defer v.mu.Unlock()
		if state == http.StateNew {
			v.open[conn] = true
		} else if state == http.StateClosed {
			delete(v.open, conn)
			select {
			case v.gone <- struct{}{}:
			default:
			}
		}
	}
	v.TLS = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.names = append(v.names, hello.ServerName)
		cfg := v.TLS.Clone()
		cfg.GetConfigForClient = nil
		cfg.Certificates = []tls.Certificate{issue(tb, ca, key, certified(hello.ServerName))}
		return cfg, nil
	}}
	v.StartTLS()
	tb.Cleanup(v.Close)
	return v
}

// certified is the name that a certificate is for: a server with other things on
// its mind has one, but not for who asks.
func certified(name string) string {
	if name == "" || strings.HasPrefix(name, "wrong.") {
		return "other.test"
	}
	return name
}

// instance is one of the names of the server, by its IP address.
func (v *vhost) instance(id, name string) registry.Instance {
	in := at(id, v.Listener.Addr().String())
	in.ServerName, in.Scheme = name, "https"
	return in
}

// base is a transport that trusts the server's certificates.
func (v *vhost) base() *http.Transport {
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: v.roots, MinVersion: tls.VersionTLS12}}
}

// handshakes are the names asked for since the last call.
func (v *vhost) handshakes() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	names := v.names
	v.names = nil
	return names
}

// connections are those that are open.
func (v *vhost) connections() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.open)
}

// awaitConnections waits until the server has noticed that only so many are left.
func (v *vhost) awaitConnections(tb testing.TB, n int) {
	tb.Helper()
	patience, cancel := context.WithTimeout(bg, watchdog)
	defer cancel()
	for v.connections() > n {
		select {
		case <-v.gone:
		case <-patience.Done():
			require.FailNow(tb, "connections are left", "%d, want %d", v.connections(), n)
		}
	}
}

func newAuthority(tb testing.TB) (*x509.Certificate, *ecdsa.PrivateKey) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(tb, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(tb, err)
	ca, err := x509.ParseCertificate(der)
	require.NoError(tb, err)
	return ca, key
}

// issue makes a certificate for one name. It is called by servers, so it must
// not end its goroutine.
func issue(tb testing.TB, ca *x509.Certificate, key *ecdsa.PrivateKey, name string) tls.Certificate {
	tb.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), key)
	if err != nil {
		tb.Error(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
