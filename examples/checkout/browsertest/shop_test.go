package main

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The program itself, in real time: the page loads, moves, and a fault of an instance
// of payment, injected with the mouse, opens its breaker and passes. At the end the
// books are right.
func TestShop(t *testing.T) {
	s, err := open(t.Context(), t.TempDir(), "-faults", "none", "-for", "10s")
	require.NoError(t, err)
	b := openTab(t)
	b.do(chromedp.Navigate(s.url))
	b.until(text("#link") + ` === "live"`)
	assert.Equal(t, "Mainstay checkout", eval[string](b, "document.title"))
	eval[bool](b, "window.mark = true")
	placed := eval[int](b, "+"+text(".placed dd"))
	b.until(fmt.Sprintf("+%s > %d", text(".placed dd"), placed))
	b.until("+" + text(".completed dd") + " > 0")

	// The breakers of payment are closed. Which service comes where the program decides.
	row := eval[string](b, `document.evaluate("//h4[.='payment-2']", document).iterateNext().closest(".row").querySelector("[data-key]").id.replace("-facts", "")`)
	state := text("#" + row + "-facts .breaker")
	b.until(state + ` === "breaker closed"`)
	assert.Zero(t, eval[int](b, `document.querySelectorAll("#`+row+`-line .bar.open").length`))
	b.do(chromedp.Click(chromedp.CSS("#" + row + "-buttons button.storm")))
	b.until(text("#told") + ` === "payment-2 answers 503 now"`)
	b.until(state + ` === "breaker open"`)
	b.until(`document.querySelector("#` + row + `-line .bar.open")`)
	assert.Contains(t, eval[string](b, `document.querySelector("#`+row+`-line svg").ariaLabel`), "Breaker of payment-2: now open")
	b.do(chromedp.Click(chromedp.CSS("#" + row + "-buttons button.heal")))
	b.until(state + ` === "breaker closed"`)
	assert.NotZero(t, eval[int](b, `document.querySelectorAll("#`+row+`-line .bar.open").length`), "the timeline remembers")
	assert.Empty(t, eval[[]string](b, wide))
	assert.True(t, eval[bool](b, "window.mark"), "it was not loaded again")

	b.do(chromedp.Navigate("about:blank"))
	assert.NoError(t, s.close())
	assert.Contains(t, s.output(), "payment")
}
