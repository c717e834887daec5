package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// newServer is a server that has not been started. What it serves it takes from hold.
func newServer(t *testing.T, hold chan struct{}) *server {
	t.Helper()
	reg := registry.MustNew(registry.Config{})
	asker := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	s := &server{id: "stock-1", service: "stock", reg: reg, tempo: patient, asker: asker}
	s.handler = func(over <-chan struct{}) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hold" {
				hold <- struct{}{}
				select {
				case <-hold:
				case <-over:
					panic(http.ErrAbortHandler)
				}
			}
			fmt.Fprint(w, "here")
		})
	}
	t.Cleanup(func() {
		s.kill()
		assert.NoError(t, reg.Close(context.Background()))
	})
	return s
}

func get(ctx context.Context, addr, path string) (string, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

func registered(s *server) int { return s.reg.Service("stock").Snapshot().Len() }

// It is there, dies, and comes back at the same address.
func TestServer_kill(t *testing.T) {
	hold := make(chan struct{})
	s := newServer(t, hold)
	assert.Empty(t, s.where())
	assert.Equal(t, kill, s.suffers())
	assert.False(t, s.kill(), "it has not been alive")
	require.NoError(t, s.start(t.Context()))
	require.NoError(t, s.start(t.Context()), "it is alive")
	addr := s.where()
	assert.Equal(t, 1, registered(s))
	assert.Equal(t, well, s.suffers())
	for path, want := range map[string]string{"/x": "here", "/healthz": "{\"status\":\"ok\"}\n"} {
		text, err := get(t.Context(), addr, path)
		require.NoError(t, err)
		assert.Equal(t, want, text)
	}

	// A call under way is cut off, and nobody is told.
	cut := make(chan error, 1)
	go func() {
		_, err := get(context.Background(), addr, "/hold")
		cut <- err
	}()
	<-hold
	assert.True(t, s.kill())
	require.Error(t, <-cut)
	assert.Equal(t, kill, s.suffers())
	assert.Equal(t, 1, registered(s), "until its lease is over")
	_, err := get(t.Context(), addr, "/x")
	require.Error(t, err)
	assert.False(t, s.kill())

	require.NoError(t, s.start(t.Context()))
	assert.Equal(t, addr, s.where())
	assert.Equal(t, 1, registered(s))
	text, err := get(t.Context(), addr, "/x")
	require.NoError(t, err)
	assert.Equal(t, "here", text)
}

// If somebody else has the address it comes back elsewhere.
func TestServer_addressTaken(t *testing.T) {
	s := newServer(t, nil)
	require.NoError(t, s.start(t.Context()))
	addr := s.where()
	s.kill()
	other, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	defer other.Close()
	require.NoError(t, s.start(t.Context()))
	assert.NotEqual(t, addr, s.where())
	e, ok := s.reg.Service("stock").Snapshot().Get("stock-1")
	require.True(t, ok)
	assert.Equal(t, s.where(), e.Addr())
}

// Who leaves is registered no more, finishes its calls, and then does not listen any
// more.
func TestServer_leave(t *testing.T) {
	hold, gone := make(chan struct{}), make(chan struct{})
	s := newServer(t, hold)
	s.reg = registry.MustNew(registry.Config{Hooks: registry.Hooks{Change: func(c registry.Change) {
		if c.After == nil {
			close(gone)
		}
	}}})
	defer func() { assert.NoError(t, s.reg.Close(context.Background())) }()
	require.NoError(t, s.leave(t.Context()), "it has not been alive")
	require.NoError(t, s.start(t.Context()))
	addr := s.where()
	answers := make(chan string, 1)
	go func() {
		text, err := get(context.Background(), addr, "/hold")
		answers <- fmt.Sprint(text, err)
	}()
	<-hold
	left := make(chan error, 1)
	go func() { left <- s.leave(context.Background()) }()
	<-gone
	assert.Zero(t, registered(s))
	assert.Empty(t, left)
	hold <- struct{}{}
	assert.Equal(t, "here<nil>", <-answers)
	require.NoError(t, <-left)
	assert.Equal(t, kill, s.suffers())
	_, err := get(t.Context(), addr, "/x")
	require.Error(t, err)
}

// A lease that was lost, on a machine that was too busy, is no failure of who leaves.
func TestServer_leaseLost(t *testing.T) {
	s := newServer(t, nil)
	require.NoError(t, s.start(t.Context()))
	require.NoError(t, s.life.lease.Deregister())
	require.NoError(t, s.leave(t.Context()))
}

// Who waits for calls that do not end leaves when its time is over.
func TestServer_leavesInTime(t *testing.T) {
	hold := make(chan struct{})
	s := newServer(t, hold)
	require.NoError(t, s.start(t.Context()))
	cut := make(chan error, 1)
	go func() {
		_, err := get(context.Background(), s.where(), "/hold")
		cut <- err
	}()
	<-hold
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(assert.AnError)
	require.Error(t, s.leave(ctx))
	require.Error(t, <-cut)
}

func TestServer_cannotStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := newServer(t, nil)
	require.Error(t, s.start(ctx), "nobody waits for it")
	s.service = "no name"
	require.ErrorContains(t, s.start(t.Context()), "Service is \"no name\"")
	assert.Equal(t, kill, s.suffers())
	_, err := get(t.Context(), s.where(), "/x")
	require.Error(t, err, "nobody listens")
}

// Whatever it suffers from, who is dead is dead.
func TestServer_suffers(t *testing.T) {
	s := newServer(t, nil)
	s.ailment.Store(&ailment{slow})
	assert.Equal(t, kill, s.suffers())
	require.NoError(t, s.start(t.Context()))
	assert.Equal(t, slow, s.suffers())
	s.ailment.Store(nil)
	assert.Equal(t, well, s.suffers())
}
