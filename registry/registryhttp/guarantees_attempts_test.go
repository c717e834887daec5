package registryhttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// A picture is all of a request that can be compared.
type picture struct {
	fields  http.Request
	url     *url.URL
	urlWas  url.URL
	header  http.Header
	trailer http.Header
	form    url.Values
}

func pictureOf(req *http.Request) picture {
	p := picture{
		fields: *req, url: req.URL, urlWas: *req.URL,
		header: req.Header.Clone(), trailer: req.Trailer.Clone(), form: req.Form,
	}
	p.fields.GetBody = nil // functions cannot be compared
	return p
}

// G43: the request is the same afterwards, to the last field, whatever came of
// it, and no attempt got the request itself or its URL.
func TestG43_RequestIsNotModified(t *testing.T) {
	for name, base := range map[string]network{
		"one attempt":       {"a": answer(200, "")},
		"two attempts":      {"a": answer(503, ""), "b": answer(200, "")},
		"all attempts fail": {"a": fail(errReset), "b": fail(errReset)},
		"never sent":        {},
	} {
		t.Run(name, func(t *testing.T) {
			var sent []*http.Request
			f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
				sent = append(sent, req)
				return base.RoundTrip(req)
			}), named("a", "b"))
			body := newUpload("payload")
			req := newRequest(t, http.MethodPut, body)
			req.GetBody = func() (io.ReadCloser, error) { return newUpload("payload"), nil }
			req.ContentLength = 7
			req.Header.Set("X-Trace", "1")
			req.Header["x-odd"] = []string{"2", "3"}
			req.Trailer = http.Header{"X-Sum": nil}
			req.Form = url.Values{"q": {"1"}}
			req.URL.User = url.UserPassword("me", "secret")
			before := pictureOf(req)

			resp, err := f.RoundTrip(req)
			if err == nil {
				finish(t, resp, nil)
			}
			after := pictureOf(req)
			assert.True(t, reflect.DeepEqual(before, after), "the request was changed:\n%+v\n%+v", before, after)
			assert.Same(t, before.url, req.URL)
			assert.Same(t, body, req.Body)

			require.NotEmpty(t, sent)
			for i, out := range sent {
				assert.NotSame(t, req, out)
				assert.NotSame(t, req.URL, out.URL)
				assert.Equal(t, before.header, out.Header)
				assert.Equal(t, "/42", out.URL.Path)
				assert.Equal(t, "q=1", out.URL.RawQuery)
				assert.Equal(t, req.URL.User, out.URL.User)
				assert.Equal(t, int64(7), out.ContentLength)
				for _, earlier := range sent[:i] {
					assert.NotSame(t, earlier, out)
					assert.NotSame(t, earlier.URL, out.URL)
				}
			}
		})
	}
}

// G43: the first attempt sends the body of the request, each other one a body
// of its own from GetBody; all of them whole, and closed.
func TestG43_BodyFromGetBody(t *testing.T) {
	var bodies []io.ReadCloser
	var texts []string
	f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
		bodies = append(bodies, req.Body)
		text, err := io.ReadAll(req.Body)
		texts = append(texts, string(text))
		req.Body.Close()
		return response(req, 503, http.NoBody, 0), err
	}), named("a", "b", "c", "d"), retrying(3))

	first := newUpload("payload")
	req := newRequest(t, http.MethodPut, first)
	var made []*upload
	req.GetBody = func() (io.ReadCloser, error) {
		u := newUpload("payload")
		made = append(made, u)
		return u, nil
	}
	resp, err := f.RoundTrip(req)
	finish(t, resp, err)

	assert.Equal(t, []string{"payload", "payload", "payload"}, texts)
	require.GreaterOrEqual(t, len(made), 2)
	assert.Equal(t, []io.ReadCloser{first, made[0], made[1]}, bodies)
	for _, u := range append(made, first) {
		assert.Equal(t, int64(1), u.closes.Load(), "also one that came to no use")
	}
}

// G43: if there is no other body to be had, the first answer is the last one.
func TestG43_GetBodyFails(t *testing.T) {
	errGone := errors.New("file is gone")
	broken := &script{reads: []read{{"sorry", nil}}}
	f := newFixture(t, network{
		"a": deliver(503, func() io.ReadCloser { return broken }, 5),
		"b": answer(200, "never"),
	}, named("a", "b"))
	body := newUpload("payload")
	req := newRequest(t, http.MethodPut, body)
	req.GetBody = func() (io.ReadCloser, error) { return nil, errGone }

	resp, err := f.RoundTrip(req)
	require.NoError(t, err)
	assert.Equal(t, 503, resp.StatusCode)
	bytes, _ := broken.seen()
	assert.Zero(t, bytes, "the answer is untouched")
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "sorry", string(text))
	assert.Equal(t, int64(1), body.closes.Load())
	s := f.stats(t)
	assert.Zero(t, s.Retries)
	assert.InDelta(t, 10, s.RetryTokens, 0)
	assert.Equal(t, []string{"a failure"}, f.outcomes())
}

// G43: a body that was asked for and is not needed after all is closed.
func TestG43_GetBodyInVain(t *testing.T) {
	for name, test := range map[string]struct {
		ids   []string
		tweak tweak
	}{
		"nothing untried": {[]string{"a"}, retrying(2)},
		"no budget": {[]string{"a", "b"}, func(cfg *registryhttp.TransportConfig) {
			cfg.Balancer.Retry.Burst, cfg.Balancer.Retry.Budget = 1, 1e-9
			cfg.Balancer.Retry.Attempts = 3
		}},
		"no attempts": {[]string{"a", "b"}, retrying(-1)},
		"not to be repeated": {[]string{"a", "b"}, func(cfg *registryhttp.TransportConfig) {
			cfg.Balancer.Retry.If = func(error) bool { return false }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, fail(errReset), named(test.ids...), test.tweak)
			for range 2 {
				var made []*upload
				req := newRequest(t, http.MethodPut, newUpload("payload"))
				req.GetBody = func() (io.ReadCloser, error) {
					made = append(made, newUpload("payload"))
					return made[len(made)-1], nil
				}
				_, err := f.RoundTrip(req)
				require.Equal(t, errReset, err)
				for _, u := range made {
					assert.Equal(t, int64(1), u.closes.Load())
				}
			}
			assert.Zero(t, f.inFlight())
		})
	}
}

// G43: as many attempts as the balancer allows, each on another instance.
func TestG43_Attempts(t *testing.T) {
	for name, test := range map[string]struct {
		attempts int
		want     string
	}{
		"default":  {0, "ab"},
		"none":     {-1, "a"},
		"one":      {1, "a"},
		"three":    {3, "abc"},
		"too many": {9, "abcde"},
	} {
		t.Run(name, func(t *testing.T) {
			var hosts []string
			f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
				hosts = append(hosts, req.URL.Host)
				return nil, errReset
			}), named("a", "b", "c", "d", "e"), retrying(test.attempts))
			_, err := f.RoundTrip(get(t))
			assert.Equal(t, errReset, err, "as Base returned it")
			var want []string
			for _, id := range strings.Split(test.want, "") {
				want = append(want, addr(id))
			}
			assert.Equal(t, want, hosts)
			assert.Zero(t, f.inFlight())
			assert.Len(t, f.outcomes(), len(want))
			assert.Equal(t, uint64(len(want)-1), f.stats(t).Retries)
		})
	}
}

// G43, G36: a retry costs a token, and without one the first answer is the last.
func TestG43_Budget(t *testing.T) {
	f := newFixture(t, network{"a": answer(503, "no"), "b": answer(200, "yes")}, named("a", "b"),
		func(cfg *registryhttp.TransportConfig) {
			cfg.Balancer.Retry.Burst, cfg.Balancer.Retry.Budget = 2, 1e-9
		})
	for i, want := range []string{"yes", "yes", "no", "no"} {
		resp, err := f.RoundTrip(get(t))
		assert.Equal(t, want, finish(t, resp, err))
		s := f.stats(t)
		assert.Equal(t, uint64(min(i+1, 2)), s.Retries)
		assert.Equal(t, uint64(max(i-1, 0)), s.RetriesDenied)
	}
	assert.InDelta(t, 0, f.stats(t).RetryTokens, 1e-6)
	assert.Equal(t, []string{"a failure", "b success", "a failure", "b success", "a failure", "a failure"}, f.outcomes())
}

// G43: what was tried is not tried again, and costs no token if nothing else is
// left.
func TestG43_OnlyUntried(t *testing.T) {
	f := newFixture(t, answer(503, ""), named("a", "b"), func(cfg *registryhttp.TransportConfig) {
		cfg.Balancer.Retry.Attempts = 5
	})
	resp, err := f.RoundTrip(get(t))
	finish(t, resp, err)
	assert.Equal(t, []string{"a failure", "b failure"}, f.outcomes())
	s := f.stats(t)
	assert.Equal(t, uint64(1), s.Retries)
	assert.InDelta(t, 9, s.RetryTokens, 0, "one of ten")
	assert.Zero(t, s.RetriesDenied)
}

// G43: nobody tries again for a caller that has left, and what it gets is what
// the attempt came to.
func TestG43_CallerLeft(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want []string
	}{
		"context.Canceled": {context.Canceled, []string{"a ignored"}},
		"another error":    {errReset, []string{"a ignored"}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			f := newFixture(t, network{
				"a": func(*http.Request) (*http.Response, error) {
					cancel()
					return nil, test.err
				},
				"b": answer(200, ""),
			}, named("a", "b"))
			_, err := f.RoundTrip(get(t).WithContext(ctx))
			assert.Equal(t, test.err, err)
			assert.Equal(t, test.want, f.outcomes())
			assert.Zero(t, f.inFlight())
			assert.Zero(t, f.stats(t).Retries)
		})
	}
}

// G43: the last response is the very one that Base returned, with the request
// that the caller made, and of its body nothing has been read.
func TestG43_LastResponseAsItCame(t *testing.T) {
	for name, test := range map[string]struct {
		a, b int // statuses
		want string
	}{
		"first good": {200, 503, "a"},
		"both bad":   {503, 502, "b"},
		"404":        {404, 200, "a"},
		"500":        {500, 200, "a"},
		"304":        {304, 200, "a"},
		"307":        {307, 200, "a"},
		"429":        {429, 200, "a"},
		"second":     {504, 201, "b"},
	} {
		t.Run(name, func(t *testing.T) {
			var last *http.Response
			status := map[string]int{addr("a"): test.a, addr("b"): test.b}
			body := &script{}
			f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
				body = &script{reads: []read{{"te", nil}, {"xt", nil}}}
				last = response(req, status[req.URL.Host], body, 4, "X-Host", req.URL.Host)
				last.Trailer = http.Header{"X-Sum": {"1"}}
				return last, nil
			}), named("a", "b"))
			req := get(t)
			resp, err := f.RoundTrip(req)
			require.NoError(t, err)
			assert.Same(t, last, resp)
			assert.Equal(t, addr(test.want), resp.Header.Get("X-Host"))
			assert.Same(t, req, resp.Request)
			bytes, closes := body.seen()
			assert.Zero(t, bytes, "nothing is buffered")
			assert.Zero(t, closes)
			text, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, "text", string(text))
			assert.Equal(t, errClose, resp.Body.Close(), "as Close of the body returned it")
		})
	}
}

// G43: http.Client resolves a Location against the service, so that redirects
// go to it again.
func TestG43_ResponseRequestIsTheCallers(t *testing.T) {
	f := newFixture(t, answer(302, "", "Location", "../next"), named("a"))
	resp, err := f.RoundTrip(get(t))
	finish(t, resp, err)
	to, err := resp.Location()
	require.NoError(t, err)
	assert.Equal(t, "http://orders/next", to.String())
}
