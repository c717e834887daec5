package main

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/examples/checkout/page"
	"github.com/mainstay-go/mainstay/examples/checkout/page/pagetest"
)

// long is a shop with names that do not fit anywhere.
func long() *pagetest.Shop {
	shop := pagetest.New()
	name := strings.Repeat("Wm", 40)
	shop.Change(func(v *page.View) {
		v.Note, v.Orders.Placed = name, 123_456_789
		v.Services[1].Name = name
		i := &v.Services[1].Instances[1]
		i.ID, i.Addr, i.Health, i.Breaker, i.InFlight, i.Calls = name, name, name, name, 1_000_000, 1<<60
		i.Timeline = append(i.Timeline, page.Span{State: name, From: 70 * time.Second})
		for r := range v.Runs {
			v.Runs[r].ID, v.Runs[r].Order, v.Runs[r].Status = name, name, name
			for s := range v.Runs[r].Steps {
				v.Runs[r].Steps[s].Name, v.Runs[r].Steps[s].Err = name, name
			}
		}
		v.Queues[0] = page.Queue{Name: name, Topic: name, Waiting: 1 << 30, Capacity: 1 << 30, Handled: 1 << 60, Dropped: 1 << 60, Failed: 1 << 60}
		v.Topics[0].Name = name
		v.Log[0].Text = name
	})
	return shop
}

// wide lists what sticks out of the window.
const wide = `(() => {
	const out = document.documentElement.scrollWidth > innerWidth ? ["the document: " + document.documentElement.scrollWidth] : [];
	for (const e of document.querySelectorAll("body *")) {
		const r = e.getBoundingClientRect();
		if (r.width > 1 && (r.right > innerWidth + 0.5 || r.left < -0.5)) out.push(e.tagName + "." + e.getAttribute("class") + " " + r.left + " to " + r.right);
	}
	return out;
})()`

// cramped lists text that lies on other text. What is cut off counts as if it were not,
// so texts that are cut are left out.
const cramped = `(() => {
	const out = [], all = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (texts.nextNode()) {
		const n = texts.currentNode, range = document.createRange();
		if (!n.data.trim() || n.parentElement.closest(".hidden, svg, script, noscript, .log, .err")) continue;
		range.selectNodeContents(n);
		for (const r of range.getClientRects()) if (r.width > 1) all.push({n, r});
	}
	for (const a of all) for (const b of all)
		if (a.n !== b.n && a.r.left < b.r.right - 1 && b.r.left < a.r.right - 1 && a.r.top < b.r.bottom - 3 && b.r.top < a.r.bottom - 3)
			out.push(a.n.data + " / " + b.n.data);
	return out;
})()`

// No width makes the page scroll sideways, and nothing lies on anything else.
func TestPage_widths(t *testing.T) {
	for _, shop := range map[string]func() *pagetest.Shop{"as usual": pagetest.New, "long names": long} {
		b := visit(t, shop())
		for _, width := range []int64{320, 360, 400, 480, 481, 600, 768, 960, 961, 1024, 1200, 1920} {
			b.do(chromedp.EmulateViewport(width, 900))
			assert.Empty(t, eval[[]string](b, wide), "at %d pixels", width)
			assert.Empty(t, eval[[]string](b, cramped), "at %d pixels", width)
		}
	}
}

// On a phone a finger meets each button, and the order of things makes sense.
func TestPage_phone(t *testing.T) {
	b := visit(t, pagetest.New(), chromedp.EmulateViewport(400, 850, chromedp.EmulateMobile, chromedp.EmulateTouch))
	assert.GreaterOrEqual(t, eval[float64](b, `Math.min(...[...document.querySelectorAll("button")].map((e) => e.getBoundingClientRect().height))`), 36.0)
	assert.Empty(t, eval[[]string](b, wide))
	assert.Equal(t, 400, eval[int](b, "innerWidth"), "the browser has not zoomed out")
	assert.Greater(t, eval[float64](b, `document.querySelector("svg.line").getBoundingClientRect().width`), 300.0)
}

// faint lists text whose contrast with what is behind it is less than WCAG's AA asks
// for, and shapes that stand out less than 3 to 1.
//
//go:embed contrast_test.js
var faint string

func TestPage_schemes(t *testing.T) {
	paper := make(map[string]string)
	for _, scheme := range []string{"light", "dark"} {
		b := visit(t, pagetest.New(), prefer("color-scheme", scheme))
		paper[scheme] = eval[string](b, "getComputedStyle(document.body).backgroundColor")
		b.do(chromedp.Click(chromedp.CSS(slowIt)))
		b.until(text("#told") + ` === "payment-1 is slow now"`)
		assert.Empty(t, eval[[]string](b, faint), scheme)
	}
	assert.Equal(t, map[string]string{"light": "rgb(247, 246, 243)", "dark": "rgb(19, 21, 25)"}, paper)
}

// What somebody hears who does not see the page.
func TestPage_spoken(t *testing.T) {
	b := visit(t, pagetest.New())
	tree, err := chromedp.Call(b.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	require.NoError(t, err)
	names := make(map[string][]string) // by role
	for _, n := range tree.Nodes {
		if n.Ignored || n.Role == nil {
			continue
		}
		role, name := string(n.Role.Value), ""
		if n.Name != nil {
			name = strings.Trim(string(n.Name.Value), `"`)
		}
		role = strings.Trim(role, `"`)
		names[role] = append(names[role], name)
		if slices.Contains([]string{"button", "image", "region", "heading", "columnheader", "rowheader"}, role) {
			assert.NotEmpty(t, name, "a %s without a name", role)
		}
	}
	assert.Subset(t, names["heading"], []string{"Mainstay checkout", "Orders", "Services", "payment", "payment-1", "Sagas under way", "Event bus", "Log"})
	assert.Contains(t, names["button"], "503 storm payment-2")
	assert.Contains(t, names["image"], "Breaker of payment-2: now open; of the last 60 s: closed 49.5 s, open 10.5 s")
	assert.Contains(t, names["image"], "payment-1 gets 58 % of the calls")
	assert.Len(t, names["image"], 2*7-1, fmt.Sprint("nothing is read twice: ", names["image"]))
	assert.Len(t, names["main"], 1)
	assert.Len(t, names["banner"], 1)
	assert.Len(t, names["status"], 1, "of all that changes little is announced")
	assert.Equal(t, []string{"Subscription", "Lag", "Handled", "Dropped", "Failed"}, names["columnheader"])
	levels := eval[[]int](b, `[...document.querySelectorAll("h1, h2, h3, h4")].map((h) => +h.tagName[1])`)
	for i := 1; i < len(levels); i++ {
		assert.LessOrEqual(t, levels[i], levels[i-1]+1, "no level of headings is left out")
	}
}
