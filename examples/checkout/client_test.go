package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// answered is a handler's answer to a request, without a network.
func answered(h http.Handler, req *http.Request) *http.Response {
	if req.Body == nil {
		req.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w.Result()
}

// A street is where instances of payment are reached without a network. It is made in a
// bubble.
type street struct {
	caller
	breakers *breaker.Group[string]
	moves    []breaker.Transition
	reg      *registry.Registry

	mu     sync.Mutex
	doors  map[string]func(w http.ResponseWriter, r *http.Request) // by address; nil: it does not answer
	visits map[string]int
	keys   map[string]int // that requests came with
}

func newStreet(t *testing.T, addrs ...string) *street {
	t.Helper()
	s := &street{
		reg: registry.MustNew(registry.Config{}), visits: make(map[string]int), keys: make(map[string]int),
		doors: make(map[string]func(http.ResponseWriter, *http.Request)),
	}
	for i, addr := range addrs {
		_, err := s.reg.Register(t.Context(), registry.Instance{ID: instanceID("payment", i+1), Service: "payment", Addr: addr, TTL: -1})
		require.NoError(t, err)
		s.doors[addr] = func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, reply{Receipt: "of " + addr}) }
	}
	pace := tempo{leastTime}
	s.breakers = breaker.MustNewGroup(breaker.GroupConfig[string]{Config: breakerConfig(pace, breaker.Hooks{
		Transition: func(_ context.Context, m breaker.Transition) { s.moves = append(s.moves, m) },
	})})
	var n uint64
	transport, err := newTransport(roundTripper(s.visit), s.reg, s.breakers, pace, func() uint64 { n += 0x9e3779b97f4a7c15; return n })
	require.NoError(t, err)
	s.caller = caller{&http.Client{Transport: transport}}
	return s
}

func (s *street) visit(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	door := s.doors[req.URL.Host]
	s.visits[req.URL.Host]++
	s.keys[req.Header.Get(keyHeader)]++
	s.mu.Unlock()
	if door == nil {
		<-req.Context().Done()
		return nil, context.Cause(req.Context())
	}
	return answered(http.HandlerFunc(door), req), nil
}

// visited is how often each was asked since the last time.
func (s *street) visited() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := maps.Clone(s.visits)
	clear(s.visits)
	return was
}

func (s *street) pay(ctx context.Context, key string) (string, error) {
	return s.call(ctx, request{method: http.MethodPost, url: address(charges), key: key, body: lampOrder})
}

func overloaded(after string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", after)
		answer(w, http.StatusServiceUnavailable, reply{Error: "too much to do"})
	}
}

// An instance that does not answer has another one asked, with the same key, as soon as
// the patience with one instance ends. From then on the quicker one is preferred.
func TestTransport_slowInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreet(t, "a:1", "b:1")
		s.doors["a:1"] = nil
		for i := range 40 {
			began := time.Now()
			receipt, err := s.pay(t.Context(), fmt.Sprint("k", i))
			require.NoError(t, err)
			assert.Equal(t, "of b:1", receipt)
			took := time.Since(began)
			assert.True(t, took == 0 || took == tempo{}.attempt(), "%v", took)
		}
		visits := s.visited()
		assert.Equal(t, 40, visits["b:1"])
		assert.Positive(t, visits["a:1"])
		assert.Less(t, visits["a:1"], 10)
		assert.Len(t, s.keys, 40, "one for each")
		require.NoError(t, s.reg.Close(t.Context()))
	})
}

// After some failures an instance is not asked any more, until its breaker lets somebody
// try.
func TestTransport_breakerOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreet(t, "a:1")
		well := s.doors["a:1"]
		s.doors["a:1"] = nil
		for range 4 {
			_, err := s.pay(t.Context(), "k")
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, "no answer in time", reason(err))
		}
		assert.Equal(t, map[string]int{"a:1": 4}, s.visited())
		for range 10 {
			_, err := s.pay(t.Context(), "k")
			var rejected *breaker.RejectedError
			require.ErrorAs(t, err, &rejected)
			assert.Equal(t, tempo{}.open(), rejected.RetryAfter())
			assert.Equal(t, "all breakers are open", reason(err))
		}
		assert.Empty(t, s.visited())
		s.doors["a:1"] = well
		time.Sleep(tempo{}.open())
		for range 3 {
			_, err := s.pay(t.Context(), "k")
			require.NoError(t, err)
		}
		var states []string
		for _, m := range s.moves {
			states = append(states, m.To.String())
		}
		assert.Equal(t, []string{"open", "half-open", "closed"}, states)
		require.NoError(t, s.reg.Close(t.Context()))
	})
}

// An instance that says when to come again is left alone until then, at the first word.
func TestTransport_overloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreet(t, "a:1", "b:1")
		s.doors["a:1"] = overloaded("2")
		for range 20 {
			_, err := s.pay(t.Context(), "k")
			require.NoError(t, err)
		}
		assert.Equal(t, map[string]int{"a:1": 1, "b:1": 20}, s.visited())
		require.Len(t, s.moves, 1)
		assert.Equal(t, 2*time.Second, s.moves[0].OpenFor)

		// All say so: the error tells how long that is, after the first call that has
		// been sent.
		s.doors["b:1"] = overloaded("3")
		_, err := s.pay(t.Context(), "k")
		assert.Equal(t, &statusError{503, "too much to do", 3 * time.Second}, err)
		assert.Equal(t, "503 too much to do", err.Error())
		_, err = s.pay(t.Context(), "k")
		require.ErrorIs(t, err, balance.ErrNoInstances)
		var rejected *breaker.RejectedError
		require.ErrorAs(t, err, &rejected)
		assert.Contains(t, []time.Duration{2 * time.Second, 3 * time.Second}, rejected.RetryAfter())
		assert.Equal(t, "all breakers are open", reason(err))
		assert.NotContains(t, err.Error(), "http://", "the step says where")
		assert.Equal(t, map[string]int{"b:1": 1}, s.visited())

		// Nobody is left alone for ever.
		time.Sleep(time.Minute)
		s.doors["a:1"], s.doors["b:1"] = overloaded("99999"), overloaded("99999")
		_, err = s.pay(t.Context(), "k")
		require.Error(t, err)
		for _, m := range s.moves[2:] {
			assert.LessOrEqual(t, m.OpenFor, longestPause)
		}
		assert.Equal(t, longestPause, s.moves[len(s.moves)-1].OpenFor)
		require.NoError(t, s.reg.Close(t.Context()))
	})
}

// What is no failure of the instance opens nothing: that a card is declined, and that
// the caller leaves.
func TestTransport_noFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreet(t, "a:1")
		s.doors["a:1"] = func(w http.ResponseWriter, _ *http.Request) {
			answer(w, http.StatusConflict, reply{Error: "card declined"})
		}
		for range 20 {
			_, err := s.pay(t.Context(), "k")
			require.Equal(t, &statusError{code: 409, why: "card declined"}, err)
		}
		assert.Equal(t, map[string]int{"a:1": 20}, s.visited(), "and is not tried again")
		s.doors["a:1"] = nil
		for range 20 {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Millisecond, func() { cancel(assert.AnError) })
			_, err := s.pay(ctx, "k")
			require.Error(t, err)
		}
		assert.Empty(t, s.moves)
		require.NoError(t, s.reg.Close(t.Context()))
	})
}

// Without the key nobody knows whether a request was heard, so it is sent once.
func TestTransport_withoutKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreet(t, "a:1", "b:1")
		s.doors["a:1"], s.doors["b:1"] = nil, nil
		_, err := s.pay(t.Context(), "k")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, "no answer in time", reason(err))
		assert.Equal(t, map[string]int{"a:1": 1, "b:1": 1}, s.visited())

		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address(charges), strings.NewReader(""))
		require.NoError(t, err)
		_, err = s.http.Do(req)
		require.Error(t, err)
		n := 0
		for _, visits := range s.visited() {
			n += visits
		}
		assert.Equal(t, 1, n)
		require.NoError(t, s.reg.Close(t.Context()))
	})
}

func TestTransport_nobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreet(t)
		_, err := s.pay(t.Context(), "k")
		require.ErrorIs(t, err, balance.ErrNoInstances)
		assert.Equal(t, "nobody is there", reason(err))
		require.NoError(t, s.reg.Close(t.Context()))
	})
}

// What is sent, and what is made of the answer.
func TestCaller(t *testing.T) {
	var got *http.Request
	var sent []byte
	status, text := http.StatusOK, `{"receipt":"r1"}`
	c := caller{&http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		got = req
		var err error
		if sent, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		return answered(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(status)
			fmt.Fprint(w, text)
		}), req), nil
	})}}
	receipt, err := c.call(t.Context(), request{method: "POST", url: address(charges), key: "k", body: lampOrder})
	require.NoError(t, err)
	assert.Equal(t, "r1", receipt)
	assert.Equal(t, "POST http://payment/charges", got.Method+" "+got.URL.String())
	assert.Equal(t, "k", got.Header.Get("Idempotency-Key"))
	assert.Empty(t, got.Header.Values("Undo-Key"))
	assert.JSONEq(t, body(t, lampOrder), string(sent))
	require.NotNil(t, got.GetBody, "it can be sent again")

	_, err = c.call(t.Context(), request{method: "DELETE", url: address(charges), key: "u", doKey: "k"})
	require.NoError(t, err)
	assert.Equal(t, "k", got.Header.Get("Undo-Key"))
	assert.Empty(t, sent)

	status, text = http.StatusServiceUnavailable, `{"error":"wait"}`
	_, err = c.call(t.Context(), request{method: "GET", url: address(charges), key: "k"})
	assert.Equal(t, &statusError{503, "wait", 7 * time.Second}, err)

	text = "half an ans"
	_, err = c.call(t.Context(), request{method: "GET", url: address(charges), key: "k"})
	require.ErrorContains(t, err, "503: invalid character")

	_, err = c.call(t.Context(), request{method: "BAD METHOD", url: address(charges)})
	require.ErrorContains(t, err, "invalid method")
	_, err = c.call(t.Context(), request{method: "GET", url: address(charges), body: func() {}})
	require.ErrorContains(t, err, "unsupported type")

	torn := errors.New("torn")
	c.http.Transport = roundTripper(func(*http.Request) (*http.Response, error) { return nil, torn })
	_, err = c.call(t.Context(), request{method: "GET", url: address(charges), key: "k"})
	assert.Equal(t, torn, err)
}
