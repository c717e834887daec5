package breakerhttp_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
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
