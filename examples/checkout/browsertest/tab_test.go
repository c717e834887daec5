package main

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/examples/checkout/page"
	"github.com/mainstay-go/mainstay/examples/checkout/page/pagetest"
)

// limit is what a condition may take to come true, and a step to be done. Nothing
// waits that long but what fails.
const limit = 20 * time.Second

// browser is the one of all tests. Each has a tab of its own, with nothing in common.
var browser context.Context

func TestMain(m *testing.M) {
	var stop func()
	var err error
	browser, stop, err = launch(context.Background()) //nolint:fatcontext // set once, before all tests
	if err != nil {
		fmt.Fprintln(os.Stderr, "browsertest:", err)
		os.Exit(1)
	}
	status := m.Run()
	stop()
	os.Exit(status)
}

// A tab is one of the browser, and keeps what it complains about.
type tab struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // chromedp keeps the tab in it

	mu       sync.Mutex
	problems []string
}

// openTab opens a tab. At the end of the test it must not have complained.
func openTab(t *testing.T) *tab {
	t.Helper()
	tb := newTab(t)
	t.Cleanup(func() { assert.Empty(t, tb.complaints(), "the browser complains") })
	return tb
}

// newTab is openTab for one that may complain.
func newTab(t *testing.T) *tab {
	t.Helper()
	tb := &tab{t: t}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	tb.ctx = ctx
	require.NoError(t, chromedp.Listen(ctx, tb.hear))
	for _, enable := range []cdp.Command[cdp.Empty, cdp.Empty]{runtime.Enable, log.Enable, audits.Enable} {
		_, err := chromedp.Call(ctx, enable, cdp.Empty{})
		require.NoError(t, err)
	}
	return tb
}

// hear is called with every event, before the answer to what follows it.
func (b *tab) hear(event any) {
	text := ""
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			text = fmt.Sprintf("console.%s: %s", e.Type, e.Args[0].Value)
		}
	case *runtime.EventExceptionThrown:
		text = "exception: " + e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			text = fmt.Sprintf("%s %s: %s %s", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL)
		}
	case *audits.EventIssueAdded:
		text = fmt.Sprintf("issue: %s", e.Issue.Code)
	}
	if text != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.problems = append(b.problems, text)
	}
}

// complaints are what the tab has said so far.
func (b *tab) complaints() []string {
	b.t.Helper()
	eval[bool](b, "true") // what came before the answer has been heard
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.problems
}

// forgive forgets what the tab has complained about, which must be about the network.
func (b *tab) forgive() {
	b.t.Helper()
	for _, p := range b.complaints() {
		assert.True(b.t, strings.HasPrefix(p, "network "), p)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = nil
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	require.NoError(b.t, chromedp.Do(ctx, steps...))
}

// until waits for an expression to be true.
func (b *tab) until(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Poll[bool]("Boolean("+expression+")", chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(limit)))
	require.NoError(b.t, err, expression)
}

// eval is what an expression is now.
func eval[T any](b *tab, expression string, opts ...chromedp.EvaluateOption) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, opts...))
	require.NoError(b.t, err, expression)
	return got
}

// text is an expression: what an element says; "" if there is none.
func text(selector string) string {
	return fmt.Sprintf("(document.querySelector(%q)?.textContent ?? '')", selector)
}

// host serves a page until the test ends.
func host(t *testing.T, shop *pagetest.Shop) (url string) {
	t.Helper()
	p := newPage(t, shop)
	server := httptest.NewServer(p)
	t.Cleanup(func() {
		assert.NoError(t, p.Close(context.Background()))
		server.Close()
	})
	return server.URL
}

func newPage(t *testing.T, shop *pagetest.Shop) *page.Page {
	t.Helper()
	p, err := page.New(shop, page.Config{Every: 20 * time.Millisecond})
	require.NoError(t, err)
	return p
}

// visit is a tab with the page of a shop, live.
func visit(t *testing.T, shop *pagetest.Shop, before ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	url := host(t, shop)
	b := openTab(t)
	b.do(before...)
	b.do(chromedp.Navigate(url))
	b.until(`document.querySelector("#link").className === "live"`)
	return b
}
