package main

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

func TestDrive_pace(t *testing.T) {
	for _, tc := range []struct {
		name  string
		crowd int
		took  time.Duration
	}{
		{"on the beat, whether earlier calls have ended or not", 20, 20*5*time.Millisecond + time.Second},
		{"no more at a time than the crowd", 5, 4 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := fullScript()
				s.crowd, s.answer = tc.crowd, time.Second
				before := goroutines()
				d, err := newDrive(t.Context(), s, inMemory(), newTimeline(io.Discard))
				require.NoError(t, err)
				began := time.Now()
				st := d.play(t.Context(), phase{name: "one", calls: 20})
				assert.InDelta(t, tc.took, time.Since(began), float64(50*time.Millisecond))
				assert.Equal(t, 20, count(st.samples).calls)
				assert.NoError(t, st.err)
				assert.Equal(t, map[string]string{"a": "closed", "b": "closed", "c": "closed"}, st.breakers)
				assert.Equal(t, leftovers{}, d.clear(before))
				assert.ErrorIs(t, d.reg.Service(service).Err(), registry.ErrClosed)
			})
		})
	}
}

// An act goes on as long as it needs, and so do the calls.
func TestDrive_act(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := goroutines()
		d, err := newDrive(t.Context(), fullScript(), inMemory(), newTimeline(io.Discard))
		require.NoError(t, err)
		st := d.play(t.Context(), phase{name: "long", calls: 1, act: func(*drive, context.Context) error {
			time.Sleep(time.Second)
			return assert.AnError
		}})
		assert.ErrorIs(t, st.err, assert.AnError)
		assert.InDelta(t, 200, count(st.samples).calls, 2)

		st = d.play(t.Context(), phase{name: "stuck", calls: 1, act: func(_ *drive, ctx context.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}})
		assert.EqualError(t, st.err, "it takes more than 10s")
		assert.Equal(t, leftovers{}, d.clear(before))
	})
}

// counted counts the connections to each address that are open.
type counted struct {
	mu   sync.Mutex
	open map[string]int
}

func (c *counted) add(addr string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[addr] += n
}

func (c *counted) of(addr string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open[addr]
}

type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

// Whoever leaves does not have to wait for connections that the gateway keeps.
func TestDrive_connections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conns := &counted{open: make(map[string]int)}
		n := inMemory()
		dial := n.dial
		n.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			conns.add(addr, 1)
			return &countedConn{c, sync.OnceFunc(func() { conns.add(addr, -1) })}, nil
		}
		before := goroutines()
		d, err := newDrive(t.Context(), fullScript(), n, newTimeline(io.Discard))
		require.NoError(t, err)
		d.play(t.Context(), phase{name: "one", calls: 20})
		b := d.backends[leaver]
		require.Positive(t, conns.of(b.addr))
		require.NoError(t, b.lease.Drain(t.Context()))
		synctest.Wait()
		assert.Zero(t, conns.of(b.addr), "and the server has not even been told to stop")
		b.crash()
		assert.Equal(t, leftovers{}, d.clear(before))
	})
}
