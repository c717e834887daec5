package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/examples/checkout/page"
	"github.com/mainstay-go/mainstay/examples/checkout/page/pagetest"
)

// Elements of payment-1, the first instance of the second service.
const (
	payment1  = "#services-1-0"
	slowIt    = payment1 + "-buttons button.slow"
	openBar   = payment1 + "-line .bar.open"
	breakerIs = payment1 + "-facts .breaker"
)

// A tab hears what browsers complain about; else nothing here means anything.
func TestTab_complains(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Security-Policy", "script-src 'nonce-1'; style-src 'self'")
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!DOCTYPE html><link rel="icon" href="data:,"><p style="color:red">x</p><img src="nowhere"><script>1</script>` +
			`<script nonce="1">console.error("an error"); setTimeout(() => { throw new Error("thrown"); });</script>`))
	}))
	defer server.Close()
	b := newTab(t)
	b.do(chromedp.Navigate(server.URL))
	all := ""
	for range 100 { // a thing may come a moment later
		all = ""
		for _, p := range b.complaints() {
			all += p + "\n"
		}
		if len(b.complaints()) >= 7 {
			break
		}
		eval[bool](b, "new Promise((done) => setTimeout(done, 20, true))", chromedp.EvalAwaitPromise)
	}
	for _, want := range []string{
		`console.error: "an error"`, "exception: Uncaught Error: thrown", "network error: Failed to load resource", "404",
		"security error: Applying inline style violates", "security error: Executing inline script violates", "issue: ContentSecurityPolicyIssue",
	} {
		assert.Contains(t, all, want)
	}
}

func TestPage_live(t *testing.T) {
	shop := pagetest.New()
	b := visit(t, shop)
	assert.Equal(t, "Mainstay checkout", eval[string](b, "document.title"))
	assert.Equal(t, "live", eval[string](b, text("#link")))
	assert.Equal(t, "1:23", eval[string](b, text(".time")))
	eval[bool](b, "window.mark = true")
	shop.Advance(10 * time.Second)
	b.until(text(".time") + ` === "1:33"`)
	b.until(text(".placed dd") + ` === "138"`)
	shop.Change(func(v *page.View) { v.Note = `<b>"all" is well</b>` })
	b.until(text(".note") + ` === '<b>"all" is well</b>'`)
	assert.True(t, eval[bool](b, "window.mark"), "it was not loaded again")
}

// A fault is injected, told, and seen in the timeline.
func TestPage_fault(t *testing.T) {
	shop := pagetest.New()
	b := visit(t, shop)
	assert.Equal(t, "breaker closed", eval[string](b, text(breakerIs)))
	before := eval[int](b, `document.querySelectorAll("`+openBar+`").length`)
	b.do(chromedp.Click(chromedp.CSS(slowIt)))
	b.until(text("#told") + ` === "payment-1 is slow now"`)
	assert.Equal(t, []pagetest.Injection{{Fault: page.Slow, Instance: "payment-1"}}, shop.Injected())
	shop.Advance(10 * time.Second)
	b.until(text(breakerIs) + ` === "breaker open"`)
	b.until(`document.querySelectorAll("` + openBar + `").length === ` + string(rune('0'+before+1)))
	assert.Equal(t, "slow", eval[string](b, text(payment1+"-facts .fault")))
	assert.Equal(t, "/", eval[string](b, "location.pathname"), "the page has not been left")

	b.do(chromedp.Click(chromedp.CSS(payment1 + "-buttons button.heal")))
	b.until(text(breakerIs) + ` === "breaker closed"`)
	assert.Len(t, shop.Injected(), 2)
}

func TestPage_faultRefused(t *testing.T) {
	shop := pagetest.New()
	b := visit(t, shop)
	shop.Change(func(v *page.View) { v.Services[1].Instances = v.Services[1].Instances[1:] })
	// Before the page knows: the button is one of an instance that is gone.
	eval[bool](b, `(() => { const f = document.querySelector("`+payment1+`-buttons form");
		if (!f) return false; f.elements.instance.value = "payment-1"; f.querySelector(".kill").click(); return true; })()`)
	b.until(text("#told .bad") + ` === 'instance is "payment-1", and there is none with that ID\n'`)
	b.forgive() // the browser logs the status of the answer
	assert.Empty(t, shop.Injected())
}

// Between the press and the release of a mouse button the page changes many times,
// and the button is still the one that was pressed.
func TestPage_clickWhileItChanges(t *testing.T) {
	shop := pagetest.New()
	b := visit(t, shop)
	type point struct{ X, Y float64 }
	at := eval[point](b, `(() => { const e = document.querySelector("`+slowIt+`"); e.scrollIntoView({block: "center"});
		const r = e.getBoundingClientRect(); return {X: r.x + r.width / 2, Y: r.y + r.height / 2}; })()`)
	b.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMousePressed, at.X, at.Y, chromedp.ButtonLeft, chromedp.ClickCount(1)))
	for i, want := range []string{"1:24", "1:25", "1:26"} {
		shop.Advance(time.Second)
		shop.Change(func(v *page.View) {
			instance := &v.Services[1].Instances[0]
			instance.Health, instance.Calls, instance.Share = []string{"warning", "critical", "passing"}[i], uint64(i), float64(i)/10
		})
		b.until(text(".time") + ` === "` + want + `"`)
	}
	b.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseReleased, at.X, at.Y, chromedp.ButtonLeft, chromedp.ClickCount(1)))
	b.until(text("#told") + ` === "payment-1 is slow now"`)
	assert.Len(t, shop.Injected(), 1)
}

// All that a mouse can do the keyboard can, and the focus survives changes.
func TestPage_keyboard(t *testing.T) {
	shop := pagetest.New()
	b := visit(t, shop)
	focus := `document.activeElement.textContent.trim()`
	b.do(chromedp.KeyEvent("\t"))
	assert.Equal(t, "Pause", eval[string](b, focus))
	var reached []string
	for range 10 {
		b.do(chromedp.KeyEvent("\t"))
		reached = append(reached, eval[string](b, focus))
	}
	assert.Equal(t, []string{
		"Kill stock-1", "Slow stock-1", "503 storm stock-1", "Heal stock-1",
		"Kill payment-1", "Slow payment-1", "503 storm payment-1", "Heal payment-1", "Kill payment-2", "Slow payment-2",
	}, reached)
	outline := eval[string](b, "getComputedStyle(document.activeElement).outlineStyle")
	assert.Equal(t, "solid", outline, "the focus is seen")

	b.do(chromedp.KeyEvent("\r"))
	b.until(text("#told") + ` === "payment-2 is slow now"`)
	b.do(chromedp.KeyEvent("\t"))
	b.do(chromedp.KeyEvent(" "))
	b.until(text("#told") + ` === "payment-2 answers 503 now"`)
	assert.Equal(t, []pagetest.Injection{{Fault: page.Slow, Instance: "payment-2"}, {Fault: page.Storm, Instance: "payment-2"}}, shop.Injected())

	shop.Advance(time.Second)
	b.until(text(".time") + ` === "1:24"`)
	assert.Equal(t, "503 storm payment-2", eval[string](b, focus), "other pieces have changed")
	shop.Change(func(v *page.View) {
		v.Services[1].Instances = append(v.Services[1].Instances, page.Instance{ID: "payment-4"})
	})
	b.until(`document.body.textContent.includes("payment-4")`)
	assert.Equal(t, "503 storm payment-2", eval[string](b, focus), "all services were exchanged")
	shop.Change(func(v *page.View) { v.Services[1].Instances[1].Faults = []page.Fault{page.Heal} })
	b.until(`document.querySelectorAll("#services-1-1-buttons button").length === 1`)
	assert.Equal(t, "Heal payment-2", eval[string](b, focus), "its button is gone, the one beside it has the focus")
}

// Paused, the page stands still, and then it catches up.
func TestPage_pause(t *testing.T) {
	shop := pagetest.New()
	b := visit(t, shop)
	eval[bool](b, `document.querySelector("`+slowIt+`").mark = true`)
	b.do(chromedp.Click(chromedp.CSS("#pause")))
	assert.Equal(t, "paused", eval[string](b, text("#link")))
	assert.Equal(t, "true", eval[string](b, `document.querySelector("#pause").ariaPressed`))
	shop.Advance(time.Minute)
	eval[bool](b, "new Promise((done) => setTimeout(done, 200, true))", chromedp.EvalAwaitPromise)
	assert.Equal(t, "1:23", eval[string](b, text(".time")))
	b.do(chromedp.Click(chromedp.CSS("#pause")))
	b.until(text(".time") + ` === "2:23"`)
	b.until(text("#link") + ` === "live"`)
	assert.Equal(t, "false", eval[string](b, `document.querySelector("#pause").ariaPressed`))
	assert.True(t, eval[bool](b, `document.querySelector("`+slowIt+`").mark`), "all has been sent again, and what looks the same was left alone")
}

// A page that is not seen has no stream, and one again when it is.
func TestPage_unseen(t *testing.T) {
	shop := pagetest.New()
	p := newPage(t, shop)
	came, left := make(chan bool, 9), make(chan bool, 9)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/events" {
			came <- true
			defer func() { left <- true }()
		}
		p.ServeHTTP(w, r)
	}))
	defer server.Close()
	defer func() { assert.NoError(t, p.Close(context.Background())) }()
	b := openTab(t)
	b.do(chromedp.Navigate(server.URL))
	<-came
	b.until(text("#link") + ` === "live"`)
	see := func(hidden string) {
		eval[bool](b, `Object.defineProperty(document, "hidden", {value: `+hidden+`, configurable: true}) && document.dispatchEvent(new Event("visibilitychange"))`)
	}
	see("true")
	<-left
	shop.Advance(time.Minute)
	see("false")
	<-came
	b.until(text(".time") + ` === "2:23"`)
}

// Nothing moves for who asks for that.
func TestPage_reducedMotion(t *testing.T) {
	animation := `getComputedStyle(document.querySelector("#link"), "::before").animationName`
	b := visit(t, pagetest.New())
	assert.Equal(t, "breathe", eval[string](b, animation))
	b = visit(t, pagetest.New(), prefer("reduced-motion", "reduce"))
	assert.Equal(t, "none", eval[string](b, animation))
	assert.Equal(t, "none", eval[string](b, `getComputedStyle(document.querySelector(".step.active .sign")).animationName`))
	assert.Equal(t, "0s", eval[string](b, `getComputedStyle(document.querySelector("#pause")).transitionDuration`))
}

// Without JavaScript the page is a picture with buttons that work.
func TestPage_withoutScript(t *testing.T) {
	shop := pagetest.New()
	url := host(t, shop)
	b := openTab(t)
	_, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	require.NoError(t, err)
	b.do(chromedp.Navigate(url))
	assert.True(t, eval[bool](b, `document.querySelector("noscript").textContent.includes("Without JavaScript")`))
	assert.True(t, eval[bool](b, `document.querySelector("#pause").hidden`))
	_, err = chromedp.RunResponse(b.ctx, chromedp.Click(chromedp.CSS(slowIt)))
	require.NoError(t, err)
	assert.Equal(t, []pagetest.Injection{{Fault: page.Slow, Instance: "payment-1"}}, shop.Injected())
	assert.Equal(t, "/", eval[string](b, "location.pathname"))
	assert.Equal(t, "breaker open", eval[string](b, text(breakerIs)))
}
