package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// post makes a call as a client of that name and reads the whole answer. resp
// is nil if there was none.
func post(ctx context.Context, rt http.RoundTripper, name, url string) (resp *http.Response, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("amount=42"))
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("User-Agent", name)
	resp, err = (&http.Client{Transport: rt}).Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

func TestFaultServer_answers(t *testing.T) {
	for _, tc := range []struct {
		name       string
		fault      fault
		status     int
		body       string
		retryAfter string
		took       time.Duration
	}{
		{"healthy", fault{}, 200, "OK\n", "", 0},
		{"slow", fault{delay: 250 * time.Millisecond}, 200, "OK\n", "", 250 * time.Millisecond},
		{"status", fault{status: 500}, 500, "Internal Server Error\n", "", 0},
		{"retry after", fault{status: 503, retryAfter: 2 * time.Second}, 503, "Service Unavailable\n", "2", 0},
		{"slow status", fault{delay: time.Second, status: 502}, 502, "Bad Gateway\n", "", time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newPipeListener()
				s, rt := serve(l), l.transport()
				s.become(tc.fault)
				began := time.Now()
				resp, body, err := post(t.Context(), rt, "someone", "http://server.test/")
				require.NoError(t, err)
				assert.Equal(t, tc.status, resp.StatusCode)
				assert.Equal(t, tc.body, body)
				assert.Equal(t, tc.retryAfter, resp.Header.Get("Retry-After"))
				assert.Equal(t, tc.took, time.Since(began))
				assert.NoError(t, s.close(t.Context()))
			})
		})
	}
}

func TestFaultServer_hang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s, rt := serve(l), l.transport()
		s.become(fault{hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		resp, body, err := post(ctx, rt, "someone", "http://server.test/")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 200, resp.StatusCode)
		assert.Equal(t, "O", body, "half of it came")

		synctest.Wait() // the server has seen its client go
		assert.Zero(t, s.connections())
		assert.NoError(t, s.close(t.Context()))
	})
}

func TestFaultServer_reset(t *testing.T) {
	l := loopback(t)
	s := serve(l)
	s.become(fault{reset: true})
	rt := freshTransport()
	_, _, err := post(t.Context(), rt, "someone", "http://"+l.Addr().String())
	require.Error(t, err)
	// Not every system calls it the same.
	assert.True(t, errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) || strings.Contains(err.Error(), "reset"), "%v", err)
	assert.NoError(t, s.close(t.Context()))
	assert.Zero(t, s.connections())
}

func TestFaultServer_books(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s, rt := serve(l), l.transport()
		for _, name := range []string{"ann", "bob", "ann"} {
			_, _, err := post(t.Context(), rt, name, "http://server.test/")
			require.NoError(t, err)
		}
		assert.Equal(t, 2, s.calls("ann"))
		assert.Equal(t, 1, s.calls("bob"))
		assert.Zero(t, s.calls("eve"))
		assert.Equal(t, 1, s.connections(), "one after the other needs one")

		(&http.Client{Transport: rt}).CloseIdleConnections()
		synctest.Wait()
		assert.Zero(t, s.connections())
		assert.NoError(t, s.close(t.Context()))
	})
}

// A server that is closed does not wait for what only its clients would end.
func TestFaultServer_close(t *testing.T) {
	for _, f := range []fault{{delay: time.Hour}, {hang: true}} {
		synctest.Test(t, func(t *testing.T) {
			l := newPipeListener()
			s, rt := serve(l), l.transport()
			s.become(f)
			done := make(chan error)
			go func() {
				_, _, err := post(t.Context(), rt, "someone", "http://server.test/")
				done <- err
			}()
			synctest.Wait()
			began := time.Now()
			assert.NoError(t, s.close(t.Context()))
			assert.Less(t, time.Since(began), time.Minute)
			assert.Error(t, <-done)
			(&http.Client{Transport: rt}).CloseIdleConnections()
		})
	}
}

// One that cannot end in time says so, and breaks the connections off.
func TestFaultServer_closeGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s, rt := serve(l), l.transport()
		_, _, err := post(t.Context(), rt, "someone", "http://server.test/")
		require.NoError(t, err)
		_, err = l.dial(t.Context(), "", "") // and never a word
		require.NoError(t, err)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(nil)
		assert.ErrorIs(t, s.close(ctx), context.Canceled)
		synctest.Wait()
		assert.Zero(t, s.connections())
	})
}
