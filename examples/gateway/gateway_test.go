package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// serveOnce is what a proxy with this transport answers.
func serveOnce(t *testing.T, rt http.RoundTripper, method, path string, body io.Reader) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	newProxy(rt).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, body))
	return w
}

func TestProxy_forwards(t *testing.T) {
	var got *http.Request
	var bodies []string
	rt := roundTripper(func(req *http.Request) (*http.Response, error) {
		got = req
		first, _ := io.ReadAll(req.Body)
		again, _ := req.GetBody()
		second, _ := io.ReadAll(again)
		bodies = append(bodies, string(first), string(second))
		w := httptest.NewRecorder()
		w.WriteHeader(http.StatusCreated)
		return w.Result(), nil
	})
	w := serveOnce(t, rt, "POST", "/orders/7?x=1", strings.NewReader("order 7"))
	assert.Equal(t, http.StatusCreated, w.Code)
	assert.Equal(t, "http://orders/7?x=1", got.URL.String(), "a name, not an address")
	assert.Equal(t, int64(7), got.ContentLength)
	assert.NotEmpty(t, got.Header.Get("X-Forwarded-For"))
	assert.Equal(t, []string{"order 7", "order 7"}, bodies, "it can be sent again")
}

// Nobody can make it call something else.
func TestProxy_nothingElse(t *testing.T) {
	rt := roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("called") })
	for _, path := range []string{"/", "/orders", "/localhost:80/7", "/users/7", "/http://example.com/"} {
		w := serveOnce(t, rt, "GET", path, http.NoBody)
		assert.Contains(t, []int{http.StatusNotFound, http.StatusMovedPermanently, http.StatusTemporaryRedirect}, w.Code, path)
	}
}

func TestProxy_errors(t *testing.T) {
	refused := &breaker.RejectedError{State: breaker.Open}
	for _, tc := range []struct {
		err    error
		status int
		text   string
	}{
		{io.EOF, 502, "no answer from orders\n"},
		{&balance.Error{Service: service, Kind: balance.ErrNoInstances}, 503, "no instance available\n"},
		{&balance.Error{Service: service, Kind: balance.ErrNoInstances, Err: refused}, 503, "Service Unavailable\n"},
	} {
		rt := roundTripper(func(*http.Request) (*http.Response, error) { return nil, tc.err })
		w := serveOnce(t, rt, "GET", "/orders/7", http.NoBody)
		assert.Equal(t, tc.status, w.Code)
		assert.Equal(t, tc.text, w.Body.String())
	}
}

func TestRepeatable_badBodies(t *testing.T) {
	for _, tc := range []struct {
		body   io.Reader
		status int
	}{
		{strings.NewReader(strings.Repeat("x", maxBody)), http.StatusOK},
		{strings.NewReader(strings.Repeat("x", maxBody+1)), http.StatusRequestEntityTooLarge},
		{io.MultiReader(strings.NewReader("x"), badReader{}), http.StatusBadRequest},
	} {
		w := httptest.NewRecorder()
		next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
		repeatable(next).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/", tc.body))
		assert.Equal(t, tc.status, w.Code)
	}
}

type badReader struct{}

func (badReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// As soon as the breaker of an instance is open the balancer takes another one,
// and if all are, it tells what they said.
func TestGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := registry.MustNew(registry.Config{})
		for _, id := range backendIDs {
			_, err := reg.Register(t.Context(), registry.Instance{ID: id, Service: service, Addr: "10.0.0.1:80"[:10] + id2port(id)})
			require.NoError(t, err)
		}
		breakers := breaker.MustNewGroup(breaker.GroupConfig[string]{Config: breaker.Config{Trip: breaker.ConsecutiveFailures(2)}})
		lb := balance.MustNew(reg.Service(service), balance.Config{Policy: balance.RoundRobin{}, Gate: guard(breakers)})
		fail := map[string]bool{"a": true}
		calls := make(map[string]int)
		call := func() error {
			p, err := lb.Pick(t.Context())
			if err != nil {
				return err
			}
			id := p.Endpoint().ID()
			calls[id]++
			if fail[id] {
				p.Done(io.EOF)
			} else {
				p.Done(nil)
			}
			return nil
		}
		for range 30 {
			require.NoError(t, call())
		}
		assert.Equal(t, 2, calls["a"], "the breaker opened")
		assert.Equal(t, 28, calls["b"]+calls["c"])

		fail["b"], fail["c"] = true, true
		var err error
		for range 10 {
			err = call()
		}
		require.ErrorIs(t, err, balance.ErrNoInstances)
		var refusal *breaker.RejectedError
		require.ErrorAs(t, err, &refusal)
		assert.Equal(t, 30*time.Second, refusal.RetryAfter())
		assert.NoError(t, reg.Close(t.Context()))
	})
}

// id2port makes a different address for each backend.
func id2port(id string) string { return fmt.Sprint(id[0]) }

func TestGateway_close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := inMemory()
		l, err := n.listen(t.Context())
		require.NoError(t, err)
		reg := registry.MustNew(registry.Config{})
		base := roundTripper(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		})
		_, err = reg.Register(t.Context(), registry.Instance{Service: service, Addr: "10.0.0.9:80"})
		require.NoError(t, err)
		g, err := startGateway(l, reg, registryhttp.TransportConfig{Base: base})
		require.NoError(t, err)
		assert.Zero(t, g.retries())

		c := client{http: http.Client{Transport: n.transport()}, base: "http://" + g.addr, limit: time.Hour}
		done := make(chan error)
		go func() {
			_, err := c.fetch(7, false)
			done <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, g.close(ctx), context.DeadlineExceeded, "a call is under way")
		assert.Error(t, <-done, "and was broken off")
		c.http.CloseIdleConnections()
		assert.NoError(t, reg.Close(t.Context()))
	})
}
