package registryhttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// Which hosts are services if nobody says otherwise; the others go to Base as
// they are: the very same request, and its very response.
func TestServiceOf_Default(t *testing.T) {
	for host, service := range map[string]bool{
		"orders":           true,
		"Orders":           true,
		"order-items_2":    true,
		"payment":          true,
		"localhosts":       true,
		"":                 false,
		"localhost":        false,
		"LocalHost":        false,
		"orders:80":        false,
		"orders:":          false,
		"localhost:8080":   false,
		"example.com":      false,
		"orders.":          false,
		".":                false,
		"10.0.0.1":         false,
		"10.0.0.1:80":      false,
		"[::1]":            false,
		"[::1]:80":         false,
		"[fe80::1%25eth0]": false,
	} {
		var sent *http.Request
		var came *http.Response
		f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
			sent = req
			var err error
			came, err = answer(503, "text")(req)
			return came, err
		}), nil)
		req := get(t)
		req.URL.Host, req.Host = host, host
		req.Body = newUpload("x")
		resp, err := f.RoundTrip(req)
		if service {
			require.ErrorIs(t, err, balance.ErrNoInstances, host)
			var e *balance.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, host, e.Service)
			assert.Nil(t, sent, host)
			continue
		}
		require.NoError(t, err, host)
		assert.Same(t, req, sent, host)
		assert.Same(t, came, resp, host)
		assert.Equal(t, host, req.URL.Host)
	}
}

// Services are named as they were registered: upper case is another name.
func TestServiceOf_Case(t *testing.T) {
	f := newFixture(t, answer(200, "good"), named("a"))
	req := get(t)
	req.URL.Host = "ORDERS"
	_, err := f.RoundTrip(req)
	require.ErrorIs(t, err, balance.ErrNoInstances)
	assert.Equal(t, "good", ask(t, f))
}

// ServiceOf sees the request, and its word is all that counts.
func TestServiceOf_OfTheUser(t *testing.T) {
	f := newFixture(t, answer(200, "good"), named("a"), func(cfg *registryhttp.TransportConfig) {
		cfg.ServiceOf = func(req *http.Request) string {
			service, ok := strings.CutSuffix(req.URL.Hostname(), ".svc.test")
			if !ok {
				return ""
			}
			return service
		}
	})
	for host, want := range map[string]error{
		"orders.svc.test:8080": nil, "payment.svc.test": balance.ErrNoInstances, "orders": nil,
	} {
		req := get(t)
		req.URL.Host = host
		resp, err := f.RoundTrip(req)
		require.ErrorIs(t, err, want, host)
		if err == nil {
			finish(t, resp, nil)
		}
	}
	assert.Equal(t, []string{"a success"}, f.outcomes(), "orders without the suffix is none of ours")
}

// What the instance makes of the URL.
func TestURL(t *testing.T) {
	for name, test := range map[string]struct {
		url, addr, scheme string
		want              string
	}{
		"plain":           {"http://orders/42?q=1#part", "10.0.0.1:80", "", "http://10.0.0.1:80/42?q=1#part"},
		"its scheme":      {"http://orders/", "10.0.0.1:443", "https", "https://10.0.0.1:443/"},
		"caller's scheme": {"https://orders/", "10.0.0.1:443", "", "https://10.0.0.1:443/"},
		"less than asked": {"https://orders/", "10.0.0.1:80", "http", "http://10.0.0.1:80/"},
		"IPv6":            {"http://orders/", "[::1]:80", "", "http://[::1]:80/"},
		"a name":          {"http://orders/", "node1.test:8080", "", "http://node1.test:8080/"},
		"user":            {"http://me:secret@orders/", "10.0.0.1:80", "", "http://me:secret@10.0.0.1:80/"},
		"escaped path":    {"http://orders/a%2Fb", "10.0.0.1:80", "", "http://10.0.0.1:80/a%2Fb"},
	} {
		t.Run(name, func(t *testing.T) {
			var sent string
			f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
				sent = req.URL.String()
				return answer(200, "")(req)
			}), nil)
			in := at("a", test.addr)
			in.Scheme = test.scheme
			register(t, f.reg, in)
			req := get(t)
			var err error
			req.URL, err = url.Parse(test.url)
			require.NoError(t, err)
			resp, err := f.RoundTrip(req)
			finish(t, resp, err)
			assert.Equal(t, test.want, sent)
		})
	}
}

// Which Host the instance is told.
func TestHost(t *testing.T) {
	for name, test := range map[string]struct {
		host       string // of the request
		serverName string
		keep       bool
		want       string
	}{
		"address":               {"orders", "", false, "10.0.0.1:80"},
		"unset":                 {"", "", false, "10.0.0.1:80"},
		"ServerName":            {"orders", "one.test", false, "one.test"},
		"caller's":              {"shop.test", "", false, "shop.test"},
		"caller's beside a TLS": {"shop.test", "one.test", false, "shop.test"},
		"kept":                  {"orders", "", true, "orders"},
		"kept, unset":           {"", "one.test", true, "orders"},
		"kept, caller's":        {"shop.test", "one.test", true, "shop.test"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, r.Host)
			}))
			defer srv.Close()
			f := newFixture(t, nil, nil, func(cfg *registryhttp.TransportConfig) { cfg.KeepHost = test.keep })
			in := at("a", srv.Listener.Addr().String())
			in.ServerName = test.serverName
			register(t, f.reg, in)
			req := get(t)
			req.Host = test.host
			resp, err := f.RoundTrip(req)
			got := strings.Replace(finish(t, resp, err), in.Addr, "10.0.0.1:80", 1)
			assert.Equal(t, test.want, got)
			assert.Equal(t, test.host, req.Host)
			f.CloseIdleConnections()
		})
	}
}

// Redirects of an instance stay with the service, and are balanced anew; those
// that lead elsewhere go there.
func TestRedirects(t *testing.T) {
	for name, test := range map[string]struct {
		location string
		want     []string // what is sent, with the service in place of an instance
	}{
		"path":          {"/next", []string{"orders/42", "orders/next"}},
		"relative":      {"next", []string{"orders/42", "orders/next"}},
		"service":       {"http://orders/next", []string{"orders/42", "orders/next"}},
		"other service": {"http://payment/next", []string{"orders/42", "payment/next"}},
		"outside":       {"http://example.com/next", []string{"orders/42", "example.com/next"}},
	} {
		t.Run(name, func(t *testing.T) {
			var sent []string
			names := map[string]string{addr("a"): orders, addr("p"): "payment", "example.com": "example.com"}
			f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
				sent = append(sent, names[req.URL.Host]+req.URL.Path)
				if req.URL.Path == "/42" {
					return answer(302, "", "Location", test.location)(req)
				}
				return answer(200, "there")(req)
			}), append(named("a"), in("payment", "p")))
			client := &http.Client{Transport: f}
			resp, err := client.Do(get(t))
			assert.Equal(t, "there", finish(t, resp, err))
			assert.Equal(t, test.want, sent)
			assert.Equal(t, "/next", resp.Request.URL.Path)
			assert.Equal(t, strings.TrimSuffix(test.want[1], "/next"), resp.Request.URL.Host)
		})
	}
}

// Key is asked once for a call, and decides with ConsistentHash.
func TestKey(t *testing.T) {
	asked := 0
	f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
		return answer(200, req.URL.Host)(req)
	}), named("a", "b", "c", "d", "e"), func(cfg *registryhttp.TransportConfig) {
		cfg.Balancer.Policy = balance.ConsistentHash{Kind: balance.Rendezvous}
		cfg.Key = func(req *http.Request) uint64 {
			asked++
			return balance.HashKey(req.Header.Get("X-User"))
		}
	})
	hosts := make(map[string]bool)
	for _, user := range []string{"ann", "bob", "cyd", "dan", "eve", "fay", "gus"} {
		req := get(t)
		req.Header.Set("X-User", user)
		asked = 0
		resp, err := f.RoundTrip(req)
		first := finish(t, resp, err)
		assert.Equal(t, 1, asked)
		hosts[first] = true
		for range 5 {
			resp, err := f.RoundTrip(req)
			assert.Equal(t, first, finish(t, resp, err), user)
		}
	}
	assert.Greater(t, len(hosts), 1)
}

// The error of a call to nobody says so, and for whom; that of a closed registry
// says that.
func TestNobodyThere(t *testing.T) {
	f := newFixture(t, answer(200, ""), nil)
	_, err := f.RoundTrip(get(t))
	require.EqualError(t, err, `balance: pick "orders": no instance available`)
	lease := register(t, f.reg, instance("a"))
	assert.Empty(t, ask(t, f))
	require.NoError(t, lease.SetHealth(registry.Down, ""))
	_, err = f.RoundTrip(get(t))
	require.ErrorIs(t, err, balance.ErrNoInstances, "one that is down is none")
	require.NoError(t, lease.Deregister())
	_, err = f.RoundTrip(get(t))
	require.ErrorIs(t, err, balance.ErrNoInstances)
	require.NoError(t, f.reg.Close(bg))
	for _, host := range []string{orders, "payment"} {
		req := get(t)
		req.URL.Host = host
		_, err = f.RoundTrip(req)
		require.ErrorIs(t, err, registry.ErrClosed)
		var e *balance.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, host, e.Service)
	}
}

// A body that is read after the registry was closed ends its pick as ever.
func TestBodyAfterClose(t *testing.T) {
	f := newFixture(t, answer(200, "text"), named("a"))
	e, ok := f.reg.Service(orders).Get("a")
	require.True(t, ok)
	resp, err := f.RoundTrip(get(t))
	require.NoError(t, err)
	require.NoError(t, f.reg.Close(bg))
	assert.Equal(t, 1, e.InFlight())
	assert.Equal(t, "text", finish(t, resp, nil))
	assert.Zero(t, e.InFlight())
}

// Base's values of the context are the caller's.
func TestContextOfTheCaller(t *testing.T) {
	type key struct{}
	for _, tweak := range []tweak{attemptTimeout, func(*registryhttp.TransportConfig) {}} {
		errSeen := errors.New("seen")
		f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
			assert.Equal(t, "value", req.Context().Value(key{}))
			return nil, errSeen
		}), named("a"), tweak)
		_, err := f.RoundTrip(get(t).WithContext(context.WithValue(t.Context(), key{}, "value")))
		assert.Equal(t, errSeen, err)
	}
}
