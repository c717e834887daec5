package registryhttp_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// maxCollections is far more than it takes: a cleanup runs soon after the
// collection that finds its object dead.
const maxCollections = 5_000

// collect collects garbage until a condition holds.
func collect(tb testing.TB, until func() bool) {
	tb.Helper()
	for range maxCollections {
		if until() {
			return
		}
		runtime.GC()
		runtime.Gosched()
	}
	require.FailNow(tb, "nothing was collected")
}

// drop makes a call and forgets its response.
//
//go:noinline
func drop(tb testing.TB, f *fixture) {
	tb.Helper()
	_, err := f.RoundTrip(get(tb))
	require.NoError(tb, err)
}

// G44: a body that was dropped gives its pick back when it is collected, and
// says nothing about the instance.
func TestG44_DroppedBody(t *testing.T) {
	for name, body := range map[string]func() io.ReadCloser{
		"plain":   func() io.ReadCloser { return &script{} },
		"upgrade": func() io.ReadCloser { return &duplex{ReadCloser: &script{}} },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, deliver(500, body, -1), named("a"), attemptTimeout)
			const calls = 10
			for range calls {
				drop(t, f)
			}
			collect(t, func() bool { return f.inFlight() == 0 })
			assert.Empty(t, f.take(), "no outcome")
			m := f.member(t, "a")
			assert.Zero(t, m.Failures)
			assert.Zero(t, m.Latency)
			assert.Equal(t, uint64(calls), m.Endpoint.Picks())
		})
	}
}

// G44: the same with bodies that have ended before and between, whatever of theirs
// is used again: each gives back its own pick, once.
func TestG44_DroppedBodyAmongOthers(t *testing.T) {
	f := newFixture(t, answer(200, "text"), named("a", "b"), attemptTimeout)
	const calls = 100
	for range calls {
		resp, err := f.RoundTrip(get(t))
		finish(t, resp, err)
		require.NoError(t, resp.Body.Close(), "again")
		drop(t, f)
		_, _ = resp.Body.Read(make([]byte, 1)) // of no concern to anybody
		require.NoError(t, resp.Body.Close())
	}
	collect(t, func() bool { return f.inFlight() == 0 })
	resp, err := f.RoundTrip(get(t))
	require.NoError(t, err)
	for range 5 {
		runtime.GC()
	}
	assert.Equal(t, 1, f.inFlight(), "those that were collected are over for good")
	finish(t, resp, nil)
	assert.Zero(t, f.inFlight())
	assert.Len(t, f.take(), calls+1)
}

// G44: a body that is in use is not collected.
func TestG44_BodyInUseIsNotDropped(t *testing.T) {
	f := newFixture(t, answer(200, "text"), named("a"))
	resp, err := f.RoundTrip(get(t))
	require.NoError(t, err)
	for range 5 {
		runtime.GC()
	}
	assert.Equal(t, 1, f.inFlight())
	finish(t, resp, nil)
	for range 5 {
		runtime.GC()
	}
	assert.Zero(t, f.inFlight(), "nor is it ended twice")
	assert.Equal(t, success, f.one(t))
}

// G44, G22: cleanups run outside of every bubble. A drain in one that waits for
// a dropped body is not woken by it, which would be fatal, and ends all the same.
func TestG44_DroppedBodyInABubble(t *testing.T) {
	bubbles(t, mockOrNil, func(t *testing.T, makeClock clockMaker) {
		mock := makeClock()
		r := newRegistry(t, config(mock))
		f := newFixtureIn(t, r, deliver(200, func() io.ReadCloser { return &script{} }, -1), nil, attemptTimeout)
		lease := register(t, r, instance("a"))
		drop(t, f)
		drained := make(chan error, 1)
		go func() { drained <- lease.Drain(bg) }()
		synctest.Wait()
		require.Empty(t, drained)
		live := lease.Endpoint().Live()
		collect(t, func() bool { return live.InFlight() == 0 })
		pass(mock, 2*time.Second) // it looks again now and then
		require.Len(t, drained, 1)
		assert.NoError(t, <-drained)
		assert.Empty(t, f.take())
	})
}

// G44: the same through an http.Transport, whose goroutines are in the bubble.
func TestG44_DroppedBodyOfATransportInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go func() {
				if _, err := http.ReadRequest(bufio.NewReader(server)); err == nil {
					_, _ = io.WriteString(server, half)
				}
				_, _ = io.Copy(io.Discard, server)
				_ = server.Close()
			}()
			return client, nil
		}}
		r := newRegistry(t, registry.Config{})
		f := newFixtureIn(t, r, base, nil)
		lease := register(t, r, instance("a"))
		ctx, cancel := context.WithCancel(t.Context())
		func() {
			_, err := f.RoundTrip(get(t).WithContext(ctx))
			require.NoError(t, err)
		}()
		drained := make(chan error, 1)
		go func() { drained <- lease.Drain(bg) }()
		synctest.Wait()
		require.Empty(t, drained)
		live := lease.Endpoint().Live()
		collect(t, func() bool { return live.InFlight() == 0 })
		time.Sleep(2 * time.Second)
		require.Len(t, drained, 1)
		assert.NoError(t, <-drained)
		cancel() // the connection is still the one of the body
	})
}
