package registryhttp_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// A trouble is what an attempt comes to.
type trouble struct {
	name   string
	status int // or
	err    error
	passes bool // with another attempt, perhaps
	unsent bool // certainly
}

var troubles = []trouble{
	{name: "200", status: 200},
	{name: "304", status: 304},
	{name: "400", status: 400},
	{name: "404", status: 404},
	{name: "408", status: 408},
	{name: "409", status: 409},
	{name: "425", status: 425},
	{name: "429", status: 429},
	{name: "500", status: 500},
	{name: "501", status: 501},
	{name: "502", status: 502, passes: true},
	{name: "503", status: 503, passes: true},
	{name: "504", status: 504, passes: true},
	{name: "505", status: 505},
	{name: "599", status: 599},
	{name: "refused", err: errRefused, passes: true, unsent: true},
	{name: "no such host", err: &net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}, passes: true, unsent: true},
	{name: "dial, wrapped", err: fmt.Errorf("traced: %w", errRefused), passes: true, unsent: true},
	{name: "reset", err: errReset, passes: true},
	{name: "broken pipe", err: &net.OpError{Op: "write", Err: syscall.EPIPE}, passes: true},
	{name: "proxy", err: &net.OpError{Op: "proxyconnect", Err: syscall.ECONNRESET}, passes: true},
	{name: "EOF", err: io.EOF, passes: true},
	{name: "certificate", err: x509.UnknownAuthorityError{}, passes: true},
	{name: "Base's deadline", err: context.DeadlineExceeded, passes: true},
	{name: "Base's cancel", err: context.Canceled, passes: true},
	{name: "unknown", err: errors.New("boom"), passes: true},
}

func (tr trouble) base() roundTrip {
	if tr.err != nil {
		return fail(tr.err)
	}
	return answer(tr.status, "")
}

// Methods, and whether repeating them is safe.
var methods = map[string]bool{
	"": true, "GET": true, "HEAD": true, "OPTIONS": true, "TRACE": true, "PUT": true, "DELETE": true,
	"POST": false, "PATCH": false, "CONNECT": false, "PROPFIND": false, "get": false,
}

// Bodies, and whether they can be repeated.
var payloads = []struct {
	name       string
	put        func(*http.Request)
	repeatable bool
}{
	{"none", func(*http.Request) {}, true},
	{"NoBody", func(req *http.Request) { req.Body = http.NoBody }, true},
	{"GetBody", func(req *http.Request) {
		req.Body = newUpload("x")
		req.GetBody = func() (io.ReadCloser, error) { return newUpload("x"), nil }
	}, true},
	{"no GetBody", func(req *http.Request) { req.Body = newUpload("x") }, false},
}

// Headers, and whether they make every method safe to repeat.
var keys = []struct {
	field, value string
	idempotent   bool
}{
	{"", "", false},
	{"Idempotency-Key", "1", true},
	{"Idempotency-Key", "", true}, // as for http.Transport, it is there
	{"X-Idempotency-Key", "1", true},
	{"X-Request-Id", "1", false},
}

// G43: whether there is another attempt, for all combinations of method, body,
// header and trouble.
func TestG43_RetryDecision(t *testing.T) {
	for _, tr := range troubles {
		t.Run(tr.name, func(t *testing.T) {
			f := newFixture(t, network{"a": tr.base(), "b": answer(201, "")}, named("a", "b"), retrying(2))
			for method, idempotent := range methods {
				for _, payload := range payloads {
					for _, key := range keys {
						req := get(t)
						req.Method = method
						payload.put(req)
						if key.field != "" {
							req.Header.Set(key.field, key.value)
						}
						resp, err := f.RoundTrip(req)
						if err == nil {
							resp.Body.Close()
						}
						want := tr.passes && payload.repeatable && (idempotent || key.idempotent || tr.unsent)
						got := err == nil && resp.StatusCode == 201
						require.Equal(t, want, got, "%q, body %s, header %q", method, payload.name, key.field)
						require.Len(t, f.take(), map[bool]int{true: 2, false: 1}[want])
						if !want {
							require.Equal(t, tr.err, err)
						}
					}
				}
			}
			assert.Zero(t, f.inFlight())
		})
	}
}

// G43: what is worth another attempt can be told by the user, for each response
// from 400 and each error; whether it is safe cannot.
func TestG43_RetryIf(t *testing.T) {
	for name, test := range map[string]struct {
		tr     trouble
		method string
		say    bool
		asked  bool
		want   bool
	}{
		"404, yes":        {trouble{status: 404}, "GET", true, true, true},
		"503, no":         {trouble{status: 503}, "GET", false, true, false},
		"error, no":       {trouble{err: errReset}, "GET", false, true, false},
		"POST, yes":       {trouble{status: 503}, "POST", true, false, false},
		"POST, unsent":    {trouble{err: errRefused}, "POST", true, true, true},
		"399 is no error": {trouble{status: 399}, "GET", true, false, false},
		"200 is no error": {trouble{status: 200}, "GET", true, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []error
			f := newFixture(t, network{"a": test.tr.base(), "b": answer(201, "")}, named("a", "b"),
				func(cfg *registryhttp.TransportConfig) {
					cfg.Balancer.Retry.If = func(err error) bool {
						asked = append(asked, err)
						return test.say
					}
				})
			req := get(t)
			req.Method = test.method
			resp, err := f.RoundTrip(req)
			if err == nil {
				resp.Body.Close()
			}
			assert.Equal(t, test.want, err == nil && resp.StatusCode == 201)
			if !test.asked {
				assert.Empty(t, asked)
				return
			}
			require.Len(t, asked, 1)
			var status *registryhttp.StatusError
			if errors.As(asked[0], &status) {
				assert.Equal(t, test.tr.status, status.Code)
			} else {
				assert.Equal(t, test.tr.err, asked[0])
			}
		})
	}
}

// G26, G43: which statuses are failures of the instance.
func TestG43_Failures(t *testing.T) {
	for _, tr := range troubles {
		t.Run(tr.name, func(t *testing.T) {
			f := newFixture(t, tr.base(), named("a"))
			resp, err := f.RoundTrip(get(t))
			if err == nil {
				finish(t, resp, nil)
			}
			want := success
			switch {
			case errors.Is(tr.err, context.Canceled):
				want = ignored
			case tr.err != nil, tr.status >= 500, tr.status == 429:
				want = failure
			}
			done := f.take()
			require.Len(t, done, 1)
			assert.Equal(t, want, done[0].is)
			assert.Equal(t, map[bool]uint64{true: 1}[want == failure], f.member(t, "a").Failures)
			if want == failure && tr.err == nil {
				var status *registryhttp.StatusError
				require.ErrorAs(t, done[0].err, &status, "a gate is told the status")
				assert.Equal(t, tr.status, status.Code)
			}
		})
	}
}

// G26: IsFailure of the user's is asked about the status too.
func TestG43_IsFailureOfTheUser(t *testing.T) {
	f := newFixture(t, answer(404, "", "X-Shard", "7"), named("a"), func(cfg *registryhttp.TransportConfig) {
		cfg.Balancer.IsFailure = func(err error) bool {
			var status *registryhttp.StatusError
			return errors.As(err, &status) && status.Code == 404 && status.Header.Get("X-Shard") == "7"
		}
	})
	resp, err := f.RoundTrip(get(t))
	finish(t, resp, err)
	assert.Equal(t, failure, f.one(t))
}

// G43: the Outlier that is on by default ejects after five failures in a row.
func TestG43_OutlierByDefault(t *testing.T) {
	f := newFixture(t, answer(500, ""), named("a", "b"), func(cfg *registryhttp.TransportConfig) {
		cfg.Balancer.Outlier = nil
	})
	for i := range 5 {
		assert.False(t, f.member(t, "a").Ejected, i)
		resp, err := f.RoundTrip(get(t))
		finish(t, resp, err)
	}
	assert.True(t, f.member(t, "a").Ejected)
}
