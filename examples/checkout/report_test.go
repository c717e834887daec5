package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/saga"
)

func TestTell(t *testing.T) {
	var out bytes.Buffer
	tell(&out, goodOutcome(t))
	assert.Equal(t, `
ORDERS  RUN          WHY
2       completed
1       compensated  card declined
1       compensated  no answer in time

SERVICE   requests  503  slow  late  booked  again  refused  undone  nothing to undo  too late
stock     12        0    0     2     6       1      0        2       0                0
payment   10        0    0     0     5       0      1        1       0                0
shipping  10        0    0     0     4       0      0        0       0                0

INSTANCE   calls since its start  breaker opened
orders-1   4                      0
payment-1  4                      0
stock-1    12                     1

SUBSCRIBER  topic         handled  tried again  given up  lost
ledger      orders.ended  5        0            0         0
notifier    orders.ended  3        6            1         0
audit       >             90       0            0         10
page        >             100      0            0         0

The order service was started 2 times. All of it took 1.23s.

`, out.String())
}

// What comes from users is cut and cleaned, and the most frequent comes first.
func TestTell_orders(t *testing.T) {
	o := outcome{ends: make(map[string]ending)}
	for n := range 10 {
		o.tally.placed = append(o.tally.placed, numbered(n))
		o.ends[numbered(n).ID] = ending{status: saga.Compensated, why: "declined"}
	}
	o.ends["order 7"] = ending{status: saga.Compensated, why: "bell\a \u00e9" + strings.Repeat("z", 100)}
	o.ends["order 8"] = ending{status: saga.Stuck, why: "oops"}
	o.ends["order 9"] = ending{status: saga.Completed}
	var out bytes.Buffer
	tellOrders(&out, o)
	lines := strings.Split(out.String(), "\n")
	assert.Equal(t, []string{
		"1       stuck        oops",
		"1       completed",
		"7       compensated  declined",
		"1       compensated  bell  ?" + strings.Repeat("z", 69) + "...",
	}, lines[1:5])
	assert.Len(t, lines[4], width)
}

func TestIntroduce(t *testing.T) {
	for want, p := range map[string]plan{
		"2 orders within 20s; what fails is by seed 7. Each is ": {orders: make([]Order, 2), script: script{7}, tempo: tempo{usualTime}, faults: true},
		"1 order within 500ms; nothing fails. Each is ":          {orders: make([]Order, 1), script: script{7}, tempo: tempo{leastTime}},
	} {
		var out bytes.Buffer
		introduce(&out, p)
		assert.True(t, strings.HasPrefix(out.String(), want), "%s", &out)
		for line := range strings.Lines(out.String()) {
			assert.LessOrEqual(t, len(line), width+1)
		}
	}
}

func TestTimeline(t *testing.T) {
	var out bytes.Buffer
	lines := timeline{out: &out}
	lines.say(0, "a")
	lines.say(12345*time.Millisecond, "b\tc\n")
	lines.say(100*time.Hour, strings.Repeat("d", 200))
	assert.Equal(t, fmt.Sprintf("   0.00s  a\n  12.35s  b c\n360000.00s  %s...\n", strings.Repeat("d", width-15)), out.String())
}
