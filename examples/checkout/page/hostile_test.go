package page_test

import (
	"html"
	"math"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/examples/checkout/page"
	"github.com/mainstay-go/mainstay/examples/checkout/page/pagetest"
)

// named is a shop in which every name is the same.
func named(name string) *pagetest.Shop {
	shop := pagetest.New()
	shop.Change(func(v *page.View) {
		*v = page.View{
			Elapsed: time.Minute, Note: name,
			Services: []page.Service{{Name: name, Instances: []page.Instance{{
				ID: name, Addr: name, Health: name, Fault: page.Fault(name), Breaker: name,
				Timeline: []page.Span{{State: name}, {State: "open", From: 20 * time.Second}, {State: name, From: 40 * time.Second}},
				Faults:   []page.Fault{page.Fault(name), page.Kill},
			}}}},
			Runs: []page.Run{{ID: name, Order: name, Status: name, Steps: []page.Step{
				{Name: name, Group: name, State: page.StepState(name), Err: name}, {Name: name, Group: name, State: page.Failed, Err: name},
			}}},
			Topics: []page.Topic{{Name: name}},
			Queues: []page.Queue{{Name: name, Topic: name}},
			Log:    []page.Line{{Text: name}, {Text: name, Bad: true}},
		}
	})
	return shop
}

var tags = regexp.MustCompile(`<[^>]*>`)

// Names make no markup: the tags of the page are the same as with a harmless name,
// in the document and in the stream.
func TestHostile_markup(t *testing.T) {
	harmless := whole(t, newPage(t, named("harmless"), page.Config{}))
	for name, evil := range map[string]string{
		"a script":        `</script><script>alert(1)</script>`,
		"a handler":       `"><img src=x onerror=alert(1)>`,
		"an attribute":    `" autofocus onfocus="alert(1)`,
		"single quotes":   `' onmouseover='alert(1)`,
		"a comment":       `<!--`,
		"a template":      `{{.Style}}{{template "page"}}`,
		"a script's text": "`${alert(1)}`",
		"a link":          "javascript:alert(1)",
		"an event":        "x\n\nevent: message\ndata: []\n\n",
		"separators":      "a\u2028b\u2029c",
		"invalid":         "\xff\xfe\xc0\x80<\xff",
		"controls":        "\x00\x1b[31m\x7f\u0085",
		"directions":      "\u202egnp.\u2066exe",
		"an entity":       "&lt;b&gt;&amp;",
		"long":            strings.Repeat("<", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			shop := named(evil)
			p := newPage(t, shop, page.Config{})
			text := whole(t, p)
			count := func(s string) map[string]int {
				n := make(map[string]int)
				for _, tag := range tags.FindAllString(s, -1) {
					n[strings.Fields(strings.Trim(tag, "<>"))[0]]++
				}
				return n
			}
			want := count(harmless)
			// There is no room for a label of that length.
			want["text"], want["/text"] = strings.Count(text, "<text"), strings.Count(text, "</text>")
			assert.Equal(t, want, count(text))
			assert.Less(t, len(text), len(harmless)+64<<10)
			for _, r := range "\x00\x1b\u2028\u2029\u202e\u2066\u0085\x7f" {
				assert.NotContains(t, text, string(r))
			}
			for _, id := range regexp.MustCompile(`\s(?:id|class|data-key)="([^"]*)"`).FindAllStringSubmatch(text, -1) {
				assert.Regexp(t, `^[A-Za-z0-9 -]+$`, id[1])
			}

			synctest.Test(t, func(t *testing.T) {
				c := visit(t, newPage(t, shop, page.Config{}))
				synctest.Wait()
				got := c.take(t) // each message is one event
				require.Len(t, got, 2)
				assert.NotContains(t, got[1].html("now"), "<img")
				c.stop()
				<-c.done
			})

			// The button works all the same.
			value := regexp.MustCompile(`name="instance" value="([^"]*)"`).FindStringSubmatch(text)
			require.Len(t, value, 2)
			w := serve(p, request(t, http.MethodPost, "/inject", form(page.Kill, html.UnescapeString(value[1]))))
			assert.Equal(t, http.StatusSeeOther, w.Code, w.Body)
			assert.Equal(t, []pagetest.Injection{{Fault: page.Kill, Instance: evil}}, shop.Injected())
		})
	}
}

// Numbers that make no sense are shown as something that does.
func TestHostile_numbers(t *testing.T) {
	shop := pagetest.New()
	shop.Change(func(v *page.View) {
		v.Elapsed = math.MinInt64
		v.Orders = page.Orders{Placed: -1, Running: math.MinInt, Completed: math.MaxInt, Compensated: -5, Stuck: math.MaxInt}
		for i := range v.Services[1].Instances {
			v.Services[1].Instances[i].Share = []float64{math.NaN(), math.Inf(1), -1}[i]
			v.Services[1].Instances[i].InFlight = -1
			v.Services[1].Instances[i].Calls = math.MaxUint64
		}
		v.Runs[0].Age = math.MinInt64
		v.Runs[0].Steps[0].Attempts = -1
		v.Queues[0].Waiting, v.Queues[0].Capacity = -1, 1
		v.Queues[1].Waiting, v.Queues[1].Capacity = math.MaxInt, 1
		v.Queues[2].Capacity = -1
	})
	text := whole(t, newPage(t, shop, page.Config{}))
	for _, no := range []string{"NaN", "Inf", "=\"-", ">-"} {
		assert.NotContains(t, text[strings.Index(text, "<main>"):], no)
	}
	for _, m := range regexp.MustCompile(` (?:x|width)="([0-9.]+)%"`).FindAllStringSubmatch(text, -1) {
		assert.NotRegexp(t, `^(\d{4,}|[2-9]\d\d|1[1-9]\d)`, m[1])
	}
}

// The buttons are those that the page knows, each once, in its order.
func TestButtons(t *testing.T) {
	shop := pagetest.New()
	shop.Change(func(v *page.View) {
		v.Services = v.Services[:1]
		v.Services[0].Instances[0].Faults = []page.Fault{"burn", page.Heal, page.Kill, page.Heal}
	})
	text := whole(t, newPage(t, shop, page.Config{}))
	var got []string
	for _, m := range regexp.MustCompile(`name="fault" value="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		got = append(got, m[1])
	}
	assert.Equal(t, []string{"kill", "heal"}, got)
	shop.Change(func(v *page.View) { v.Services[0].Instances[0].Faults = nil })
	assert.NotContains(t, whole(t, newPage(t, shop, page.Config{})), "<form")
}
