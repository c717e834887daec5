package registryhttp_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// warns reports whether a check passes with a remark: what a registry makes of
// an error is the only way to tell.
func warns(t *testing.T, err error) registry.Health {
	t.Helper()
	var h registry.Health
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		in := instance("a")
		in.Check = registry.Check{
			Func:                   func(context.Context, registry.Instance) error { return err },
			FailuresBeforeCritical: 1, SuccessesBeforePassing: 1,
		}
		lease := register(t, r, in)
		synctest.Wait()
		h = lease.Endpoint().Health()
	})
	return h
}

func TestHTTPCheck_Status(t *testing.T) {
	for status, want := range map[int]registry.Health{
		200: registry.Passing, 204: registry.Passing, 299: registry.Passing,
		300: registry.Critical, 302: registry.Critical, 304: registry.Critical,
		400: registry.Critical, 401: registry.Critical, 404: registry.Critical, 428: registry.Critical,
		429: registry.Warning, 430: registry.Critical,
		500: registry.Critical, 503: registry.Critical,
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		}))
		err := registryhttp.HTTPCheck(registryhttp.HTTPCheckConfig{})(t.Context(), at("a", srv.Listener.Addr().String()))
		assert.Equal(t, want, warns(t, err), status)
		if err != nil {
			assert.ErrorContains(t, err, http.StatusText(status))
		}
		srv.Close()
	}
}

// What is asked for, and how.
func TestHTTPCheck_Request(t *testing.T) {
	for name, test := range map[string]struct {
		path, serverName string
		uri              string
	}{
		"default":     {"", "", "/healthz"},
		"path":        {"/up", "", "/up"},
		"query":       {"/up?deep=1&x=a%20b", "", "/up?deep=1&x=a%20b"},
		"escaped":     {"/a%2Fb/c%20d", "", "/a%2Fb/c%20d"},
		"no slash":    {"up", "", "/up"},
		"ServerName":  {"/up", "one.test", "/up"},
		"root":        {"/", "", "/"},
		"no fragment": {"/up#part", "", "/up"},
	} {
		t.Run(name, func(t *testing.T) {
			var seen *http.Request
			srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r }))
			defer srv.Close()
			instance := at("a", srv.Listener.Addr().String())
			instance.ServerName = test.serverName
			require.NoError(t, registryhttp.HTTPCheck(registryhttp.HTTPCheckConfig{Path: test.path})(t.Context(), instance))
			assert.Equal(t, http.MethodGet, seen.Method)
			assert.Equal(t, test.uri, seen.RequestURI)
			want := test.serverName
			if want == "" {
				want = instance.Addr
			}
			assert.Equal(t, want, seen.Host)
			assert.True(t, seen.Close, "no connection is kept")
		})
	}
}

func TestHTTPCheck_BadPath(t *testing.T) {
	for _, path := range []string{"/%zz", "http://[::1", ":"} {
		err := registryhttp.HTTPCheck(registryhttp.HTTPCheckConfig{Path: path})(t.Context(), instance("a"))
		assert.ErrorContains(t, err, "Path is ", path)
	}
}

func TestHTTPCheck_Expect(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "short and stout")
	}))
	defer srv.Close()
	errPot := errors.New("no pot")
	for name, test := range map[string]struct {
		say  error
		want error
	}{"passes": {nil, nil}, "fails": {errPot, errPot}} {
		check := registryhttp.HTTPCheck(registryhttp.HTTPCheckConfig{Expect: func(resp *http.Response) error {
			text, err := io.ReadAll(resp.Body)
			assert.NoError(t, err, name)
			assert.Equal(t, "short and stout", string(text), name)
			assert.Equal(t, http.StatusTeapot, resp.StatusCode, name)
			return test.say
		}})
		assert.Equal(t, test.want, check(t.Context(), at("a", srv.Listener.Addr().String())), name)
	}
}

// A check uses the client it is given, and closes the body.
func TestHTTPCheck_Client(t *testing.T) {
	body := &script{}
	client := &http.Client{Transport: deliver(200, func() io.ReadCloser { return body }, -1)}
	check := registryhttp.HTTPCheck(registryhttp.HTTPCheckConfig{Client: client})
	require.NoError(t, check(t.Context(), instance("a")))
	_, closes := body.seen()
	assert.Equal(t, 1, closes)
	client.Transport = fail(errReset)
	assert.ErrorIs(t, check(t.Context(), instance("a")), errReset)
}

// Scheme and ServerName are those of the instance: the certificate of a server
// that is reached by its IP address.
func TestHTTPCheck_TLS(t *testing.T) {
	v := newVhost(t, false)
	check := registryhttp.HTTPCheck(registryhttp.HTTPCheckConfig{})
	assert.ErrorContains(t, check(t.Context(), v.instance("a", "one.test")), "certificate", "which nobody trusts here")
	assert.Equal(t, []string{"one.test"}, v.handshakes())
	trusting := registryhttp.HTTPCheck(registryhttp.HTTPCheckConfig{Client: &http.Client{Transport: v.base()}})
	assert.ErrorContains(t, trusting(t.Context(), v.instance("a", "one.test")), "certificate", "a Client of the user's has a name of its own")
	v.awaitConnections(t, 0)
}

func TestHTTPCheck_NobodyThere(t *testing.T) {
	check := registryhttp.HTTPCheck(registryhttp.HTTPCheckConfig{})
	assert.ErrorIs(t, check(t.Context(), at("a", freeAddr(t))), syscall.ECONNREFUSED)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, check(ctx, instance("a")), context.Canceled)
}

// The context of the run ends it.
func TestHTTPCheck_Hangs(t *testing.T) {
	asked := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	err := registryhttp.HTTPCheck(registryhttp.HTTPCheckConfig{})(ctx, at("a", srv.Listener.Addr().String()))
	assert.ErrorIs(t, err, context.Canceled)
}

// freeAddr is one where nobody listens.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func TestTCPCheck(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed := make(chan error)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				close(closed)
				return
			}
			_, err = conn.Read(make([]byte, 1))
			_ = conn.Close()
			closed <- err
		}
	}()
	var controlled string
	dialer := &net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		controlled = address
		return nil
	}}
	for name, d := range map[string]*net.Dialer{"nil": nil, "dialer": dialer} {
		require.NoError(t, registryhttp.TCPCheck(d)(t.Context(), at("a", l.Addr().String())), name)
		assert.Equal(t, io.EOF, <-closed, "the connection is closed")
	}
	assert.Equal(t, l.Addr().String(), controlled)
	l.Close()
	_, open := <-closed
	assert.False(t, open)
	assert.ErrorIs(t, registryhttp.TCPCheck(nil)(t.Context(), at("a", l.Addr().String())), syscall.ECONNREFUSED)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("over"))
	assert.Error(t, registryhttp.TCPCheck(nil)(ctx, at("a", l.Addr().String())))
}

// A registry runs the checks: an instance is usable while its server answers.
func TestHTTPCheck_InARegistry(t *testing.T) {
	up := make(chan bool, 1)
	up <- true
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		ok := <-up
		up <- ok
		if !ok {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer srv.Close()
	r := newRegistry(t, registry.Config{})
	in := at("a", strings.TrimPrefix(srv.URL, "http://"))
	in.Check = registry.Check{
		Func:                   registryhttp.HTTPCheck(registryhttp.HTTPCheckConfig{}),
		Interval:               time.Millisecond,
		Timeout:                -1,
		FailuresBeforeCritical: 1,
		SuccessesBeforePassing: 1,
	}
	register(t, r, in)
	await := func(h registry.Health) {
		ctx, cancel := context.WithTimeout(t.Context(), watchdog)
		defer cancel()
		for u, err := range r.Service(orders).Watch(ctx) {
			require.NoError(t, err)
			if u.Snapshot.At(0).Health() == h {
				return
			}
		}
	}
	await(registry.Passing)
	<-up
	up <- false
	await(registry.Critical)
	<-up
	up <- true
	await(registry.Passing)
}
