package main

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/examples/checkout/page"
	"github.com/mainstay-go/mainstay/examples/checkout/page/pagetest"
)

// serveAt serves a page at an address until stop is called, as a program that is
// killed: connections are cut.
func serveAt(t *testing.T, addr string, h http.Handler) (at string, stop func()) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", addr)
	require.NoError(t, err)
	server := &http.Server{Handler: h, ReadHeaderTimeout: limit}
	var served sync.WaitGroup
	served.Go(func() { assert.Equal(t, http.ErrServerClosed, server.Serve(l)) })
	return l.Addr().String(), func() {
		assert.NoError(t, server.Close())
		served.Wait()
	}
}

// The program goes, the page says so; another one comes, and the page goes on with
// that one, without being loaded again.
func TestPage_restart(t *testing.T) {
	addr, stop := serveAt(t, "127.0.0.1:0", newPage(t, pagetest.New()))
	b := openTab(t)
	b.do(chromedp.Navigate("http://" + addr))
	b.until(text("#link") + ` === "live"`)
	eval[bool](b, "window.mark = true")
	stop()
	b.until(text("#link") + ` === "connection lost, trying again"`)
	assert.Equal(t, "1:23", eval[string](b, text(".time")), "what was known is still there")
	b.do(chromedp.Click(chromedp.CSS(slowIt)))
	b.until(text("#told .bad") + ` === "the shop does not answer"`)

	another := pagetest.New()
	another.Change(func(v *page.View) {
		v.Elapsed, v.Services = time.Second, v.Services[1:]
	})
	_, stop = serveAt(t, addr, newPage(t, another))
	defer stop()
	b.until(text("#link") + ` === "live"`)
	b.until(text(".time") + ` === "0:01"`)
	assert.Equal(t, "payment", eval[string](b, text("#services h3")))
	b.do(chromedp.Click(chromedp.CSS("#services-0-0-buttons button.kill")))
	b.until(text("#told") + ` === "payment-1 is killed"`)
	assert.Equal(t, []pagetest.Injection{{Fault: page.Kill, Instance: "payment-1"}}, another.Injected())
	assert.True(t, eval[bool](b, "window.mark"))
	b.do(chromedp.Navigate("about:blank")) // before the program goes again
	b.forgive()
}

// What answers without a stream, as a page that is closing does, is asked again.
func TestPage_noStream(t *testing.T) {
	shop := pagetest.New()
	closed := newPage(t, shop)
	require.NoError(t, closed.Close(context.Background()))
	addr, stop := serveAt(t, "127.0.0.1:0", closed)
	b := openTab(t)
	b.do(chromedp.Navigate("http://" + addr))
	b.until(text("#link") + ` === "connection lost, trying again"`)
	stop()
	_, stop = serveAt(t, addr, newPage(t, shop))
	defer stop()
	b.until(text("#link") + ` === "live"`)
	shop.Advance(time.Second)
	b.until(text(".time") + ` === "1:24"`)
	b.do(chromedp.Navigate("about:blank")) // before the program goes again
	b.forgive()
}
