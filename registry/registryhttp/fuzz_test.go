package registryhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// A retryModel says what a call has to come to, without a thought for how.
type retryModel struct {
	sent     int // attempts
	retries  int
	denied   int
	outcomes []string
}

// run plays a call against instances that are each in some trouble.
func (m *retryModel) run(again bool, attempts, burst int, unlimited bool, all []trouble) {
	switch {
	case attempts == 0:
		attempts = 2
	case attempts < 0:
		attempts = 1
	}
	if burst == 0 {
		burst = 10
	}
	for i, tr := range all {
		m.sent = i + 1
		o := success
		switch {
		case errors.Is(tr.err, context.Canceled):
			o = ignored
		case tr.err != nil, tr.status >= 500, tr.status == 429:
			o = failure
		}
		m.outcomes = append(m.outcomes, fmt.Sprint(string(rune('a'+i)), " ", o))
		if !tr.passes || !again && !tr.unsent || m.sent >= attempts {
			return
		}
		if !unlimited && m.retries >= burst {
			m.denied++
			return
		}
		if m.sent == len(all) {
			return // nobody is left, and no token is spent
		}
		m.retries++
	}
}

// FuzzRetry makes one call with any method, body and header to up to eight
// instances in any trouble, and holds what happens against the model.
func FuzzRetry(f *testing.F) {
	f.Add("GET", uint8(0), uint8(0), int8(0), uint8(0), false, []byte{11, 0})
	f.Add("POST", uint8(2), uint8(0), int8(3), uint8(1), false, []byte{15, 15, 15, 0})
	f.Add("POST", uint8(3), uint8(1), int8(-1), uint8(2), true, []byte{18, 0})
	f.Add("PUT", uint8(2), uint8(3), int8(9), uint8(2), false, []byte{11, 12, 18, 22, 24, 0, 1, 2})
	f.Add("", uint8(1), uint8(0), int8(127), uint8(0), true, []byte{25, 25, 25, 25, 25, 25, 25, 25})
	f.Add("get", uint8(0), uint8(2), int8(-128), uint8(255), true, []byte{10})
	f.Fuzz(func(t *testing.T, method string, body, key uint8, attempts int8, burst uint8, unlimited bool, kinds []byte) {
		if len(kinds) == 0 || len(kinds) > 8 {
			return
		}
		base, all := network{}, []trouble{}
		var ids []string
		var sent, texts []string
		for i, kind := range kinds {
			id, tr := string(rune('a'+i)), troubles[int(kind)%len(troubles)]
			ids, all = append(ids, id), append(all, tr)
			base[id] = func(req *http.Request) (*http.Response, error) {
				sent = append(sent, id)
				if req.Body != nil && !tr.unsent { // nobody reads a body for which there is no connection
					text, _ := io.ReadAll(req.Body)
					texts = append(texts, string(text))
				}
				if tr.err != nil {
					return fail(tr.err)(req)
				}
				return answer(tr.status, id)(req)
			}
		}
		fx := newFixture(t, base, named(ids...), func(cfg *registryhttp.TransportConfig) {
			cfg.Balancer.Retry.Attempts, cfg.Balancer.Retry.Burst = int(attempts), int(burst)
			if cfg.Balancer.Retry.Budget = 1e-9; unlimited {
				cfg.Balancer.Retry.Budget = -1
			}
		})
		req := get(t)
		req.Method = method
		payload, header := payloads[int(body)%len(payloads)], keys[int(key)%len(keys)]
		payload.put(req)
		if header.field != "" {
			req.Header.Set(header.field, header.value)
		}
		before := pictureOf(req)
		upload, _ := req.Body.(*upload)

		var m retryModel
		// Not repeatable at all, or only what was certainly not sent.
		again := methods[method] || header.idempotent
		tried := all
		if !payload.repeatable {
			tried = all[:1]
			m.run(false, -1, int(burst), unlimited, tried)
		} else {
			m.run(again, int(attempts), int(burst), unlimited, tried)
		}

		resp, err := fx.RoundTrip(req)
		last := all[m.sent-1]
		if !errors.Is(err, last.err) || (last.err == nil) != (err == nil) {
			t.Fatalf("error %v, want %v", err, last.err)
		}
		if err == nil {
			if text := finish(t, resp, nil); resp.StatusCode != last.status || text != ids[m.sent-1] {
				t.Errorf("status %d of %q, want %d of %q", resp.StatusCode, text, last.status, ids[m.sent-1])
			}
		}
		if got, want := strings.Join(sent, ""), strings.Join(ids[:m.sent], ""); got != want {
			t.Errorf("sent to %q, want %q", got, want)
		}
		if got := fx.outcomes(); !reflect.DeepEqual(got, m.outcomes) {
			t.Errorf("outcomes %q, want %q", got, m.outcomes)
		}
		if s := fx.stats(t); int(s.Retries) != m.retries || int(s.RetriesDenied) != m.denied {
			t.Errorf("%d retries, %d denied, want %d and %d", s.Retries, s.RetriesDenied, m.retries, m.denied)
		}
		if n := fx.inFlight(); n != 0 {
			t.Errorf("%d in flight", n)
		}
		if !reflect.DeepEqual(before, pictureOf(req)) {
			t.Error("the request was changed")
		}
		if upload != nil {
			if n := upload.closes.Load(); n != 1 {
				t.Errorf("the body was closed %d times", n)
			}
			for _, text := range texts {
				if text != "x" {
					t.Errorf("body %q", text)
				}
			}
		}
	})
}

// FuzzServiceOf wants every host to be either a service or none, by the same
// rule, and to come back unharmed.
func FuzzServiceOf(f *testing.F) {
	for _, host := range []string{"orders", "", "localhost", "LOCALHOST", "a.b", "a:1", "[::1]", "\x00", "ſ", "localhoſt", "日本", strings.Repeat("a", 1000)} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		sent := false
		fx := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
			sent = true
			return answer(200, "")(req)
		}), named("a"))
		req := get(t)
		req.URL.Host = host
		resp, err := fx.RoundTrip(req)
		if err == nil {
			finish(t, resp, nil)
		}
		outside := host == "" || strings.ContainsAny(host, ".:") || strings.EqualFold(host, "localhost")
		if want := outside || host == orders; sent != want || (err == nil) != want {
			t.Errorf("%q: sent %v, error %v", host, sent, err)
		}
		if req.URL.Host != host {
			t.Errorf("host %q became %q", host, req.URL.Host)
		}
	})
}
