package registryhttp_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// malformed are ways to spoil a request so that no http.Transport sends it.
var malformed = map[string]func(*http.Request){
	"method":             func(req *http.Request) { req.Method = "GET /" },
	"method, not ASCII":  func(req *http.Request) { req.Method = "G\u00c9T" },
	"empty name":         func(req *http.Request) { req.Header[""] = []string{"x"} },
	"name with a space":  func(req *http.Request) { req.Header["X Y"] = []string{"x"} },
	"name with a colon":  func(req *http.Request) { req.Header["X:"] = []string{"x"} },
	"value of two lines": func(req *http.Request) { req.Header["X"] = []string{"fine", "a\r\nEvil: b"} },
	"value with NUL":     func(req *http.Request) { req.Header["X"] = []string{"a\x00"} },
	"value with DEL":     func(req *http.Request) { req.Header["X"] = []string{"a\x7f"} },
}

// late are ways to spoil it that an http.Transport finds when it has a connection.
var late = map[string]func(*http.Request){
	"query":             func(req *http.Request) { req.URL.RawQuery = "a=\n" },
	"opaque URL":        func(req *http.Request) { req.URL.Opaque = "/\x00" },
	"length of no body": func(req *http.Request) { req.Body, req.GetBody, req.ContentLength = nil, nil, 5 },
}

// undialed is an http.Transport whose every connection fails, and how often it
// has been asked for one.
func undialed() (*http.Transport, *int) {
	dials := new(int)
	return &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		*dials++
		return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
	}}, dials
}

// G43: what no Base would send to anybody is sent once, and says nothing about
// the instance. Otherwise a caller who passes on what he was given could take
// out all instances, one request after another.
func TestG43_MalformedRequests(t *testing.T) {
	for name, spoil := range malformed {
		t.Run(name, func(t *testing.T) {
			base, dials := undialed()
			f := newFixture(t, base, named("a", "b", "c"), retrying(3), func(cfg *registryhttp.TransportConfig) {
				cfg.Balancer.Outlier = nil // the default
			})
			for range 10 {
				for _, method := range []string{http.MethodGet, http.MethodPost} {
					req := newRequest(t, method, strings.NewReader("body"))
					spoil(req)
					_, err := f.RoundTrip(req)
					require.ErrorContains(t, err, "net/http: invalid ")
					assert.Equal(t, ignored, f.one(t))
				}
			}
			assert.Zero(t, *dials)
			assert.Zero(t, f.stats(t).Ejected)
			assert.Zero(t, f.member(t, "a").Failures)
		})
	}
}

func TestG43_MalformedRequestsOverAConnection(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	for name, spoil := range late {
		t.Run(name, func(t *testing.T) {
			base := &http.Transport{}
			defer base.CloseIdleConnections()
			f := newFixture(t, base, []registry.Instance{at("a", server.Listener.Addr().String()), at("b", server.Listener.Addr().String())}, retrying(2))
			req := newRequest(t, http.MethodPut, strings.NewReader("body"))
			spoil(req)
			_, err := f.RoundTrip(req)
			require.Error(t, err)
			assert.Equal(t, ignored, f.one(t))
		})
	}
}

// While its body is read, which an answer need not wait for, a request's Trailer
// may be changed; the race detector and the runtime would find who looks at it.
func TestRegression_TrailerIsLeftAlone(t *testing.T) {
	stop, over := make(chan struct{}), make(chan struct{})
	f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
		go func() {
			defer close(over)
			for {
				select {
				case <-stop:
					return
				default:
					req.Trailer.Set("Sum", "42")
				}
			}
		}()
		return nil, errReset
	}), named("a"))
	req := newRequest(t, http.MethodPost, strings.NewReader("body"))
	req.Trailer = http.Header{"Sum": nil}
	_, err := f.RoundTrip(req)
	close(stop)
	<-over
	require.ErrorIs(t, err, errReset)
	assert.Equal(t, failure, f.one(t))
}

// G43: what may be sent is tried again when it cannot be, however odd it looks.
func TestG43_OddRequests(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"no method":         func(req *http.Request) { req.Method = "" },
		"method of marks":   func(req *http.Request) { req.Method = "!#$%&'*+-.^_`|~09azAZ"; req.Header["Idempotency-Key"] = nil },
		"name of marks":     func(req *http.Request) { req.Header["!#$%&'*+-.^_`|~09azAZ"] = []string{"x"} },
		"empty value":       func(req *http.Request) { req.Header["X"] = []string{""} },
		"tab":               func(req *http.Request) { req.Header["X"] = []string{"a\tb"} },
		"bytes above ASCII": func(req *http.Request) { req.Header["X"] = []string{"\u00e9\xff\x80"} },
		"trailer":           func(req *http.Request) { req.Trailer = http.Header{"X": nil} },
	} {
		t.Run(name, func(t *testing.T) {
			base, dials := undialed()
			f := newFixture(t, base, named("a", "b", "c"), retrying(3))
			req := get(t)
			change(req)
			_, err := f.RoundTrip(req)
			require.ErrorContains(t, err, "refused")
			assert.Equal(t, 3, *dials)
			assert.Equal(t, []string{"a failure", "b failure", "c failure"}, f.outcomes())
		})
	}
}
