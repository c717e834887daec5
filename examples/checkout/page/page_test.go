package page_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/examples/checkout/page"
	"github.com/mainstay-go/mainstay/examples/checkout/page/pagetest"
)

func TestNew_problems(t *testing.T) {
	_, err := page.New(nil, page.Config{})
	assert.EqualError(t, err, "page: the source is nil")
	_, err = page.New(pagetest.New(), page.Config{Every: -1, Hosts: []string{"shop.test", "", "shop.test:80", "http://shop", "*.test", "::1"}})
	assert.EqualError(t, err, `page: Every is -1ns, want 0 or more
page: Hosts[1] is "", want a name without a port
page: Hosts[2] is "shop.test:80", want a name without a port
page: Hosts[3] is "http://shop", want a name without a port
page: Hosts[4] is "*.test", want a name without a port`)
}

// The first answer has everything already.
func TestPage_whole(t *testing.T) {
	p := newPage(t, pagetest.New(), page.Config{})
	w := serve(p, request(t, http.MethodGet, "/", ""))
	require.Equal(t, http.StatusOK, w.Code)
	assert.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
	text := w.Body.String()
	for _, want := range []string{
		"<title>Mainstay checkout</title>",
		">1:23<", "payment-2 answers 503 with Retry-After",
		"<dt>placed</dt><dd>128</dd>", "<dt>compensated</dt><dd>9</dd>",
		`<rect class="completed" x="0.00%" width="87.50%" height="100%"/>`,
		`<h3 id="services-1-name">payment</h3>`, "<h4>payment-3</h4>", "127.0.0.1:40203",
		`<span class="health bad">critical</span> <span class="breaker open">breaker open</span>`,
		`<p class="fault">503 storm</p>`,
		`aria-label="Breaker of payment-2: now open; of the last 60 s: closed 49.5 s, open 10.5 s"`,
		`<svg class="span" x="82.50%" width="17.50%" height="100%"><rect class="bar open" width="100%" height="22"/><text x="6" y="21">open</text></svg>`,
		`<text x="6" y="26">half-open</text>`,
		`aria-label="payment-1 gets 58 % of the calls"`, "<strong>42 %</strong>", "12.5k calls so far", "3 in flight", "no breaker",
		`<button name="fault" value="storm" class="storm" title="It answers 503, with Retry-After.">503 storm<span class="hidden"> payment-1</span></button>`,
		"<h3>3 lamps for Ada</h3>", "order-0042", `<span class="status stuck">stuck</span> <span class="age">1 min 11 s</span>`,
		`<div class="step failed" title="undo: stock/reservations answers 500: the shelf is locked">`,
		"<small>retrying, attempt 2</small>", `<use href="#undoing"/>`,
		`<p class="err" title="shipping/labels: no such street"><b>label</b> shipping/labels: no such street</p>`,
		`<th scope="row">notifier<small>saga.events</small></th>`, `<td class="lag full">16<small> of 16</small>`,
		"<dt>breaker.transitions</dt><dd>17", `<td class="worry">108</td>`,
		`<li class="bad"><span class="at">1:02.0</span> <span><span class="hidden">failure: </span>shipping-2 died</span></li>`,
	} {
		assert.Contains(t, text, want)
	}
	assert.Equal(t, 4, strings.Count(text, `<li class="group"`), "a group is one column")
	assert.Less(t, strings.Index(text, "order-0127: charge"), strings.Index(text, "shipping-2 has started"), "the latest comes first")
	assert.Equal(t, 1, strings.Count(text, "<b>charge</b>"), "of what is done an error is but a title")
}

func TestPage_empty(t *testing.T) {
	shop := pagetest.New()
	shop.Change(func(v *page.View) { *v = page.View{} })
	text := whole(t, newPage(t, shop, page.Config{}))
	for _, want := range []string{"all quiet", "No service has been started yet.", "Every order has come to its end.", "Nobody has subscribed.", "Nothing has happened yet.", "<dt>placed</dt><dd>0</dd>"} {
		assert.Contains(t, text, want)
	}
	assert.NotContains(t, text, "NaN")
}

// What the browser may run is what the page brings, by its hash; and the page needs
// nothing else: no attribute with a style or a handler, no URL of another place.
func TestPage_policy(t *testing.T) {
	w := serve(newPage(t, pagetest.New(), page.Config{}), request(t, http.MethodGet, "/", ""))
	policy, text := w.Header().Get("Content-Security-Policy"), w.Body.String()
	for _, want := range []string{"default-src 'none';", "connect-src 'self';", "form-action 'self';", "base-uri 'none';", "frame-ancestors 'none'"} {
		assert.Contains(t, policy, want)
	}
	assert.NotContains(t, policy, "unsafe")
	for tag, directive := range map[string]string{"script": "script-src", "style": "style-src"} {
		found := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(text, -1)
		require.Len(t, found, 1, tag)
		assert.Equal(t, 1, strings.Count(text, "<"+tag), tag)
		sum := sha256.Sum256([]byte(found[0][1]))
		assert.Contains(t, policy, fmt.Sprintf("%s 'sha256-%s';", directive, base64.StdEncoding.EncodeToString(sum[:])))
	}
	markup := regexp.MustCompile(`(?s)<(script|style)>.*?</(script|style)>`).ReplaceAllString(text, "")
	assert.NotRegexp(t, `(?i)\s(style|on[a-z]+)\s*=`, markup)
	for _, m := range regexp.MustCompile(`(?:href|src|action)="([^"]*)"`).FindAllStringSubmatch(markup, -1) {
		assert.Regexp(t, `^(#|inject$|data:image/svg)`, m[1])
	}
	assert.NotContains(t, regexp.MustCompile(`(?s)<style>.*</style>`).FindString(text), "url(h")
	ids := make(map[string]bool)
	for _, m := range regexp.MustCompile(`\sid="([^"]*)"`).FindAllStringSubmatch(markup, -1) {
		assert.False(t, ids[m[1]], "two elements with the ID %s", m[1])
		ids[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`(?:href="#|aria-labelledby="|url\(#)([^")]*)`).FindAllStringSubmatch(text, -1) {
		assert.True(t, ids[m[1]], "no element with the ID %s", m[1])
	}
}

// Every answer has the headers, refusals too.
func TestPage_headers(t *testing.T) {
	p := newPage(t, pagetest.New(), page.Config{})
	foreign := request(t, http.MethodGet, "/", "")
	foreign.Host = "evil.example"
	for _, r := range []*http.Request{
		request(t, http.MethodGet, "/", ""), request(t, http.MethodHead, "/", ""), request(t, http.MethodGet, "/nowhere", ""),
		request(t, http.MethodPost, "/inject", ""), foreign,
	} {
		h := serve(p, r).Header()
		assert.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
		assert.Equal(t, "no-store", h.Get("Cache-Control"))
		assert.Equal(t, "same-origin", h.Get("Cross-Origin-Resource-Policy"))
		assert.Contains(t, h.Get("Content-Security-Policy"), "frame-ancestors 'none'")
	}
}

func TestPage_paths(t *testing.T) {
	p := newPage(t, pagetest.New(), page.Config{})
	for path, want := range map[string]int{
		"GET /": 200, "HEAD /": 200, "POST /": 405, "GET /x": 404, "GET /index.html": 404, "GET /inject": 405,
		"PUT /inject": 405, "POST /events": 405,
	} {
		method, path, _ := strings.Cut(path, " ")
		assert.Equal(t, want, serve(p, request(t, method, path, "")).Code, "%s %s", method, path)
	}
}

// A name that somebody points to this machine is not this page's.
func TestPage_hosts(t *testing.T) {
	p := newPage(t, pagetest.New(), page.Config{Hosts: []string{"shop.test", "192.0.2.7", "2001:db8::7"}})
	for host, known := range map[string]bool{
		"localhost": true, "localhost:8080": true, "LocalHost:1": true, "127.0.0.1": true, "127.0.0.1:80": true, "127.9.9.9:80": true,
		"[::1]": true, "[::1]:80": true, "::1": true, "shop.test": true, "SHOP.test:99": true, "192.0.2.7:80": true, "[2001:db8::7]:80": true,
		"": false, "evil.example": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false, "192.0.2.8": false,
		"[2001:db8::8]:80": false, "0.0.0.0": false, "notlocalhost": false, "shop.test.evil.example:80": false, "evil.example:localhost": false,
		strings.Repeat("x", 1<<20): false, "<b>": false, "localhost:80:80": false,
	} {
		for _, r := range []*http.Request{
			request(t, http.MethodGet, "/", ""), request(t, http.MethodHead, "/events", ""), request(t, http.MethodPost, "/inject", form(page.Kill, "payment-1")),
		} {
			r.Host = host
			w := serve(p, r)
			if known {
				assert.Less(t, w.Code, 400, "%.40q", host)
				continue
			}
			assert.Equal(t, http.StatusMisdirectedRequest, w.Code, "%.40q", host)
			assert.Less(t, w.Body.Len(), 200)
			assert.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
		}
	}
}

func TestInject(t *testing.T) {
	for _, f := range []page.Fault{page.Kill, page.Slow, page.Storm, page.Heal} {
		shop := pagetest.New()
		w := serve(newPage(t, shop, page.Config{}), request(t, http.MethodPost, "/inject", form(f, "payment-1")))
		assert.Equal(t, http.StatusSeeOther, w.Code)
		assert.Equal(t, "./", w.Header().Get("Location"))
		assert.Equal(t, []pagetest.Injection{{Fault: f, Instance: "payment-1"}}, shop.Injected())
	}
}

func TestInject_script(t *testing.T) {
	for f, want := range map[page.Fault]string{
		page.Kill: "payment-1 is killed", page.Slow: "payment-1 is slow now", page.Storm: "payment-1 answers 503 now", page.Heal: "payment-1 is healed",
	} {
		r := request(t, http.MethodPost, "/inject", form(f, "payment-1"))
		r.Header.Set("Accept", "text/plain")
		w := serve(newPage(t, pagetest.New(), page.Config{}), r)
		assert.Equal(t, http.StatusOK, w.Code)
		assert.Equal(t, want, w.Body.String())
		assert.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
	}
}

func TestInject_refused(t *testing.T) {
	for name, tt := range map[string]struct {
		body   string
		status int
		text   string
	}{
		"nothing":         {"", 400, `fault is "", want one of ["kill" "slow" "storm" "heal"]`},
		"unknown fault":   {form("burn", "payment-1"), 400, `fault is "burn", want one of ["kill" "slow" "storm" "heal"]`},
		"odd fault":       {form("<b>\x00", "payment-1"), 400, `fault is "<b>` + "\ufffd" + `", want one of ["kill" "slow" "storm" "heal"]`},
		"no instance":     {form(page.Kill, ""), 400, `instance is "", and there is none with that ID`},
		"other instance":  {form(page.Kill, "payment-9"), 400, `instance is "payment-9", and there is none with that ID`},
		"long instance":   {form(page.Kill, strings.Repeat("x", 2000)), 400, `instance is "` + strings.Repeat("x", 64) + `...", and there is none with that ID`},
		"not offered":     {form(page.Slow, "shipping-2"), 409, "Slow is not to be had of shipping-2 now"},
		"too long":        {form(page.Kill, strings.Repeat("x", 5000)), 413, "the form cannot be read: http: request body too large"},
		"no form":         {"%zz", 400, `the form cannot be read: invalid URL escape "%zz"`},
		"in other fields": {"fault=&instance=payment-1&fault=kill", 400, `fault is "", want one of ["kill" "slow" "storm" "heal"]`},
	} {
		t.Run(name, func(t *testing.T) {
			shop := pagetest.New()
			w := serve(newPage(t, shop, page.Config{}), request(t, http.MethodPost, "/inject", tt.body))
			assert.Equal(t, tt.status, w.Code)
			assert.Equal(t, tt.text+"\n", w.Body.String())
			assert.Empty(t, shop.Injected())
		})
	}
}

// The URL is no form: a link must not do anything.
func TestInject_query(t *testing.T) {
	shop := pagetest.New()
	w := serve(newPage(t, shop, page.Config{}), request(t, http.MethodPost, "/inject?"+form(page.Kill, "payment-1"), ""))
	assert.Equal(t, http.StatusBadRequest, w.Code)
	w = serve(newPage(t, shop, page.Config{}), request(t, http.MethodPost, "/inject?fault=kill", "instance=payment-1"))
	assert.Equal(t, http.StatusBadRequest, w.Code)
	assert.Empty(t, shop.Injected())
}

func TestInject_sourceRefuses(t *testing.T) {
	shop := pagetest.New()
	shop.Refuse(errors.New("it is dead <already>\n"))
	w := serve(newPage(t, shop, page.Config{}), request(t, http.MethodPost, "/inject", form(page.Kill, "payment-1")))
	assert.Equal(t, http.StatusConflict, w.Code)
	assert.Equal(t, "payment-1: it is dead <already>\ufffd\n", w.Body.String())
	assert.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
}

func TestInject_crossOrigin(t *testing.T) {
	for name, tt := range map[string]struct {
		header map[string]string
		done   bool
	}{
		"this page":                {map[string]string{"Sec-Fetch-Site": "same-origin"}, true},
		"typed by hand":            {map[string]string{"Sec-Fetch-Site": "none"}, true},
		"no browser":               {nil, true},
		"this page, an old one":    {map[string]string{"Origin": "http://localhost:8080"}, true},
		"another site":             {map[string]string{"Sec-Fetch-Site": "cross-site"}, false},
		"another port":             {map[string]string{"Sec-Fetch-Site": "same-site"}, false},
		"another site, an old one": {map[string]string{"Origin": "http://evil.example"}, false},
		"another port, an old one": {map[string]string{"Origin": "http://localhost:9"}, false},
		"a sandbox":                {map[string]string{"Origin": "null"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			shop := pagetest.New()
			r := request(t, http.MethodPost, "/inject", form(page.Kill, "payment-1"))
			r.Header.Del("Sec-Fetch-Site")
			for k, v := range tt.header {
				r.Header.Set(k, v)
			}
			w := serve(newPage(t, shop, page.Config{}), r)
			if tt.done {
				assert.Equal(t, http.StatusSeeOther, w.Code)
				assert.Len(t, shop.Injected(), 1)
				return
			}
			assert.Equal(t, http.StatusForbidden, w.Code)
			assert.Equal(t, "this comes from another page, and is not done\n", w.Body.String())
			assert.Empty(t, shop.Injected())
		})
	}
}

// Below a prefix all links work, since they are relative.
func TestPage_prefix(t *testing.T) {
	shop := pagetest.New()
	p := http.StripPrefix("/shop", newPage(t, shop, page.Config{}))
	assert.Equal(t, http.StatusOK, serve(p, request(t, http.MethodGet, "/shop/", "")).Code)
	w := serve(p, request(t, http.MethodPost, "/shop/inject", form(page.Kill, "payment-1")))
	assert.Equal(t, "./", w.Header().Get("Location"))
	assert.Len(t, shop.Injected(), 1)
}
