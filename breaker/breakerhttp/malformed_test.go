package breakerhttp_test

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

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
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

// G42: what no Base would send to anybody says nothing about the server.
func TestG42_MalformedRequests(t *testing.T) {
	for name, spoil := range malformed {
		t.Run(name, func(t *testing.T) {
			for who, tweak := range map[string]func(*breakerhttp.TransportConfig){
				"by default": func(*breakerhttp.TransportConfig) {},
				"by DefaultClassify": func(cfg *breakerhttp.TransportConfig) {
					cfg.Classify = breakerhttp.DefaultClassify
				},
				"whatever the breaker thinks of errors": func(cfg *breakerhttp.TransportConfig) {
					cfg.Group.Config.Classify = func(context.Context, error) breaker.Outcome { return breaker.Failure }
				},
			} {
				base, dials := undialed()
				f := newFixture(t, base, tweak)
				req := get(t)
				spoil(req)
				_, err := f.RoundTrip(req)
				require.ErrorContains(t, err, "net/http: invalid ", who)
				assert.Equal(t, breaker.Ignored, f.one(t).Outcome, who)
				assert.Zero(t, *dials, who)
			}
		})
	}
	t.Run("Classify has the last word", func(t *testing.T) {
		base, _ := undialed()
		f := newFixture(t, base, func(cfg *breakerhttp.TransportConfig) {
			cfg.Classify = func(*http.Request, *http.Response, error) breaker.Outcome { return breaker.Failure }
		})
		req := get(t)
		req.Method = "GET /"
		_, err := f.RoundTrip(req)
		require.Error(t, err)
		assert.Equal(t, breaker.Failure, f.one(t).Outcome)
	})
}

func TestG42_MalformedRequestsOverAConnection(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	for name, spoil := range late {
		t.Run(name, func(t *testing.T) {
			base := &http.Transport{}
			defer base.CloseIdleConnections()
			f := newFixture(t, base)
			req := newRequest(t, http.MethodPut, strings.NewReader("body"))
			req.URL.Host = server.Listener.Addr().String()
			spoil(req)
			_, err := f.RoundTrip(req)
			require.Error(t, err)
			assert.Equal(t, breaker.Ignored, f.one(t).Outcome)
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
		return nil, errors.New("reset")
	}))
	req := newRequest(t, http.MethodPost, strings.NewReader("body"))
	req.Trailer = http.Header{"Sum": nil}
	_, err := f.RoundTrip(req)
	close(stop)
	<-over
	require.Error(t, err)
	assert.Equal(t, breaker.Failure, f.one(t).Outcome)
}

// G42: what may be sent and cannot be is the server's failure, however odd it looks.
func TestG42_OddRequests(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"no method":         func(req *http.Request) { req.Method = "" },
		"method of marks":   func(req *http.Request) { req.Method = "!#$%&'*+-.^_`|~09azAZ" },
		"name of marks":     func(req *http.Request) { req.Header["!#$%&'*+-.^_`|~09azAZ"] = []string{"x"} },
		"empty value":       func(req *http.Request) { req.Header["X"] = []string{""} },
		"tab":               func(req *http.Request) { req.Header["X"] = []string{"a\tb"} },
		"bytes above ASCII": func(req *http.Request) { req.Header["X"] = []string{"\u00e9\xff\x80"} },
		"trailer":           func(req *http.Request) { req.Trailer = http.Header{"X": nil} },
	} {
		t.Run(name, func(t *testing.T) {
			base, dials := undialed()
			f := newFixture(t, base)
			req := get(t)
			change(req)
			_, err := f.RoundTrip(req)
			require.ErrorContains(t, err, "refused")
			assert.Equal(t, 1, *dials)
			assert.Equal(t, breaker.Failure, f.one(t).Outcome)
		})
	}
}
