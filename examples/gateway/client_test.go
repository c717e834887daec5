package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestClient_requests(t *testing.T) {
	c := client{base: "http://gateway.test"}
	req, err := c.request(t.Context(), 7, false)
	require.NoError(t, err)
	assert.Equal(t, "GET http://gateway.test/orders/7", req.Method+" "+req.URL.String())
	assert.Empty(t, req.Header.Get("Idempotency-Key"))

	req, err = c.request(t.Context(), 9, true)
	require.NoError(t, err)
	assert.Equal(t, "POST http://gateway.test/orders/", req.Method+" "+req.URL.String())
	assert.Equal(t, "key-9", req.Header.Get("Idempotency-Key"))
	body, err := io.ReadAll(req.Body)
	assert.NoError(t, err)
	assert.Equal(t, "order 9", string(body))

	c.base = "http://%zz"
	for _, post := range []bool{true, false} {
		_, err = c.fetch(7, post)
		assert.ErrorContains(t, err, "invalid URL escape")
	}
}

func TestClient_samples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := func(status int, body io.Reader) roundTripper {
			return func(*http.Request) (*http.Response, error) {
				time.Sleep(time.Second)
				w := httptest.NewRecorder()
				w.Header().Set(servedBy, "b")
				w.WriteHeader(status)
				resp := w.Result()
				resp.Body = io.NopCloser(body)
				return resp, nil
			}
		}
		c := client{base: "http://gateway.test", limit: time.Minute}
		c.http.Transport = answer(http.StatusCreated, http.NoBody)
		c.call(2)
		c.call(3)
		c.http.Transport = answer(http.StatusBadGateway, http.NoBody)
		c.call(4)
		c.http.Transport = answer(http.StatusOK, badReader{})
		c.call(5)
		got := c.take()
		require.Len(t, got, 4)
		assert.Empty(t, c.take(), "taken")
		assert.Equal(t, sample{took: time.Second, by: "b"}, got[0])
		assert.Equal(t, sample{took: time.Second, by: "b", post: true}, got[1])
		assert.Equal(t, statusError(http.StatusBadGateway), got[2].err)
		assert.EqualError(t, got[2].err, "status 502 Bad Gateway")
		assert.ErrorIs(t, got[3].err, io.ErrUnexpectedEOF)
		assert.Empty(t, got[3].by)
	})
}

func TestClient_limit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client{base: "http://gateway.test", limit: time.Minute}
		c.http.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, context.Cause(req.Context())
		})
		c.call(1)
		got := c.take()
		require.Len(t, got, 1)
		assert.Equal(t, time.Minute, got[0].took)
		assert.True(t, errors.Is(got[0].err, context.DeadlineExceeded))
	})
}
