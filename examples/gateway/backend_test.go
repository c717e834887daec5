package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// A stand is a backend on a network of its own, and what is around it.
type stand struct {
	*backend
	reg    *registry.Registry
	client *http.Client
}

// newStand has to be called in a bubble. It is taken down with the test.
func newStand(t *testing.T) *stand {
	t.Helper()
	s, n := fullScript(), inMemory()
	st := &stand{reg: registry.MustNew(s.registry), client: &http.Client{Transport: n.transport()}}
	l, err := n.listen(t.Context())
	require.NoError(t, err)
	st.backend, err = startBackend(t.Context(), "a", l, st.reg, s, n, newLedger())
	require.NoError(t, err)
	t.Cleanup(func() {
		st.crash()
		assert.NoError(t, st.reg.Close(context.Background()))
		st.client.CloseIdleConnections()
		time.Sleep(time.Second) // net/http lingers where it has not read all of a body
	})
	return st
}

func (s *stand) do(t *testing.T, method, path, key, body string) (status int, by, text string, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.addr+path, strings.NewReader(body))
	if err != nil {
		return 0, "", "", err
	}
	req.Header.Set("Idempotency-Key", key)
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, "", "", err
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header.Get(servedBy), string(all), err
}

func TestBackend_answers(t *testing.T) {
	for _, tc := range []struct {
		method, path, body string
		status             int
		by, text           string
		orders             int
	}{
		{"GET", "/7", "", 200, "a", "order 7 is on its way\n", 0},
		{"POST", "/", "order 7", 201, "a", "placed\n", 1},
		{"POST", "/", strings.Repeat("x", maxBody+1), 400, "", "cannot read the order\n", 0},
		{"DELETE", "/7", "", 405, "", "Method Not Allowed\n", 0},
		{"GET", "/healthz", "", 200, "", "{\"status\":\"ok\"}\n", 0},
		{"GET", "/readyz", "", 200, "", "{\"status\":\"ready\"}\n", 0},
	} {
		t.Run(tc.method+" "+tc.path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStand(t)
				status, by, text, err := s.do(t, tc.method, tc.path, "key", tc.body)
				require.NoError(t, err)
				assert.Equal(t, tc.status, status)
				assert.Equal(t, tc.by, by)
				assert.Equal(t, tc.text, text)
				assert.Equal(t, tc.orders, s.ledger.totals().orders)
			})
		})
	}
}

// It takes its time for calls, and none for questions about its health.
func TestBackend_slow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		s.become(time.Minute)
		began := time.Now()
		_, _, _, err := s.do(t, "GET", "/7", "", "")
		require.NoError(t, err)
		assert.Equal(t, time.Minute, time.Since(began))
		e, there := s.reg.Service(service).Get("a")
		require.True(t, there, "the heartbeat goes on")
		assert.Equal(t, registry.Passing, e.Health())
	})
}

// What it has been told is written down when it dies. Its lease ends without it.
func TestBackend_crash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		s.become(time.Hour)
		cut := make(chan error)
		go func() {
			_, _, _, err := s.do(t, "POST", "/", "key", "order 7")
			cut <- err
		}()
		synctest.Wait()
		s.crash()
		assert.Error(t, <-cut)
		assert.Equal(t, totals{orders: 1}, s.ledger.totals())
		assert.True(t, s.over.Load())

		_, there := s.reg.Service(service).Get("a")
		assert.True(t, there, "nobody was told")
		began := time.Now()
		<-s.lease.Done()
		assert.LessOrEqual(t, time.Since(began), fullScript().ttl)
		assert.ErrorIs(t, s.lease.Err(), registry.ErrLeaseLost)
	})
}

func TestBackend_leave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		e := s.lease.Endpoint()
		require.True(t, e.Live().Acquire(registry.Starting), "as a balancer does for a call")
		left := make(chan error)
		go func() { left <- s.leave(t.Context()) }()
		time.Sleep(time.Second)

		assert.Equal(t, registry.Draining, e.Live().Health())
		ready, err := s.ready(t.Context())
		assert.NoError(t, err)
		assert.False(t, ready)
		_, _, _, err = s.do(t, "GET", "/7", "", "")
		assert.NoError(t, err, "it still answers")

		e.Live().Release()
		assert.NoError(t, <-left)
		_, _, _, err = s.do(t, "GET", "/7", "", "")
		assert.ErrorIs(t, err, errRefused)
		assert.NoError(t, s.lease.Err(), "its own wish")
	})
}

// Calls that did not come by the registry are finished too.
func TestBackend_leaveWithACallOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		s.become(time.Second)
		got := make(chan error)
		go func() {
			_, _, _, err := s.do(t, "GET", "/7", "", "")
			got <- err
		}()
		synctest.Wait()
		left := make(chan error, 1)
		go func() { left <- s.leave(t.Context()) }()
		assert.NoError(t, <-got)
		assert.NoError(t, <-left)
	})
}

// One that gives up waiting stops all the same.
func TestBackend_leaveInAHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		require.True(t, s.lease.Endpoint().Live().Acquire(registry.Starting))
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, assert.AnError)
		defer cancel()
		assert.ErrorIs(t, s.leave(ctx), assert.AnError)
		_, err := s.ready(t.Context())
		assert.ErrorIs(t, err, errRefused)
	})
}

func TestBackend_readyAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		ready, err := s.ready(t.Context())
		assert.NoError(t, err)
		assert.True(t, ready)

		s.http.Handler.(*http.ServeMux).HandleFunc("GET /readyz/", http.NotFound)
		s.addr += "/readyz" // and so asks for /readyz/readyz
		_, err = s.ready(t.Context())
		assert.ErrorContains(t, err, "/readyz answers 404 Not Found")
	})
}

func TestStartBackend_refused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := fullScript(), inMemory()
		reg := registry.MustNew(s.registry)
		require.NoError(t, reg.Close(t.Context()))
		l, err := n.listen(t.Context())
		require.NoError(t, err)
		_, err = startBackend(t.Context(), "a", l, reg, s, n, newLedger())
		assert.ErrorIs(t, err, registry.ErrClosed)
		_, err = l.Accept()
		assert.Error(t, err, "the listener was closed")
	})
}

func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHold(2)
		ctx, giveUp := context.WithCancelCause(t.Context())
		got := make(chan bool, 3)
		go func() { got <- h.wait(ctx) }()
		synctest.Wait()
		short, cancel := context.WithTimeoutCause(t.Context(), time.Second, assert.AnError)
		defer cancel()
		assert.ErrorIs(t, h.filled(short), assert.AnError, "one is not enough")

		go func() { got <- h.wait(t.Context()) }()
		assert.NoError(t, h.filled(t.Context()))
		giveUp(nil)
		assert.False(t, <-got, "nobody waits for it any more")
		assert.Empty(t, got)
		h.release()
		h.release()
		assert.True(t, <-got)
		assert.True(t, h.wait(t.Context()), "nothing is held any more")
	})
}

func TestLedger(t *testing.T) {
	l := newLedger()
	assert.Zero(t, l.totals())
	l.place("k1", "order 1")
	l.place("k2", "order 2")
	l.place("k1", "order 1")
	l.place("k2", "order 3")
	assert.Equal(t, totals{orders: 2, again: 1, mixed: 1}, l.totals())
}
