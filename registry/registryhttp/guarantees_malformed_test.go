package registryhttp_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// malformed are ways to spoil a request so that no http.Transport sends it.
var malformed = map[string]func(*http.Request){
	"method":               func(req *http.Request) { req.Method = "GET /" },
	"method, not ASCII":    func(req *http.Request) { req.Method = "G\u00c9T" },
	"empty name":           func(req *http.Request) { req.Header[""] = []string{"x"} },
	"name with a space":    func(req *http.Request) { req.Header["X Y"] = []string{"x"} },
	"name with a colon":    func(req *http.Request) { req.Header["X:"] = []string{"x"} },
	"value of two lines":   func(req *http.Request) { req.Header["X"] = []string{"fine", "a\r\nEvil: b"} },
	"value with NUL":       func(req *http.Request) { req.Header["X"] = []string{"a\x00"} },
	"value with DEL":       func(req *http.Request) { req.Header["X"] = []string{"a\x7f"} },
	"trailer":              func(req *http.Request) { req.Trailer = http.Header{"X Y": nil} },
	"value of the trailer": func(req *http.Request) { req.Trailer = http.Header{"X": {"\n"}} },
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
