package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                        "0s",
		999:                      "999ns",
		1495:                     "1.5us",
		12345678:                 "12.3ms",
		1234567890:               "1.23s",
		12345 * time.Millisecond: "12.3s",
	} {
		assert.Equal(t, want, short(d))
	}
}

func TestFit(t *testing.T) {
	assert.Equal(t, "as it is", fit("as it is"))
	assert.Equal(t, "two lines, one tab", fit("two\nlines,\tone\rtab"))
	assert.Equal(t, "na?ve", fit("na\u00efve"))
	long := strings.Repeat("x", width)
	assert.Equal(t, long, fit(long))
	assert.Equal(t, long[3:]+"...", fit(long+"y"))
}

func TestBrief(t *testing.T) {
	for text, want := range map[string]string{
		"":    "",
		"EOF": "EOF",
		`Get "http://127.0.0.1:1/healthz": dial tcp 127.0.0.1:1: connect: connection refused`: "connection refused",
		"registryhttp: status 503 Service Unavailable":                                        "status 503 Service Unavailable",
	} {
		assert.Equal(t, want, brief(text))
	}
}

func TestCount(t *testing.T) {
	none := count(nil)
	assert.Zero(t, none.calls)
	assert.Zero(t, none.share("a"))
	assert.Zero(t, none.within(0.5))

	// Failures have no backend, and do not count as quick.
	got := count(append(answers("b", "a", "b"), sample{took: 1, err: io.EOF, post: true}))
	assert.Equal(t, tally{
		calls: 4, failed: 1, posts: 1,
		by: map[string]int{"a": 1, "b": 2}, took: []time.Duration{ms(1), ms(2), ms(3)},
	}, got)
	assert.InDelta(t, 0.5, got.share("b"), 1e-9)
	assert.Zero(t, got.share("c"))
}

func TestTally_within(t *testing.T) {
	var some []sample
	for i := range 200 {
		some = append(some, sample{took: ms(200 - i), by: "a"})
	}
	for part, want := range map[float64]int{0: 1, 0.5: 100, 0.99: 198, 1: 200} {
		assert.Equal(t, ms(want), count(some).within(part), part)
	}
	assert.Equal(t, ms(1), count(answers("a")).within(0.99))
}

func TestBar(t *testing.T) {
	assert.Equal(t, strings.Repeat("b", barWidth), bar(count(answers("b"))))
	assert.Equal(t, strings.Repeat("a", 17)+strings.Repeat("b", 16)+strings.Repeat("c", 17), bar(count(answers("a", "b", "c"))))
	half := append(answers("c"), sample{err: io.EOF})
	assert.Equal(t, strings.Repeat("c", 25)+strings.Repeat("!", 25), bar(count(half)))
}

func TestTimeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := newTimeline(&out)
		l.printf("--- %s: %s", "sick", "nothing works")
		time.Sleep(500 * time.Millisecond)
		l.event(event{id: "c", what: died, calls: 3})
		l.event(event{id: "c", what: opened, note: "failures: EOF"})
		l.shares(nil) // nobody called: nothing to tell
		l.shares(answers("a", "c"))
		assert.Equal(t, ` 0.00s  --- sick: nothing works
 0.50s      c dies, 3 calls under way
 0.50s      c breaker open (failures: EOF)
 0.50s  aaaaaaaaaaaaaaaaaaaaaaaaaccccccccccccccccccccccccc  a  50%  b   0%  c  50%  2 calls
`, out.String())
	})
}

func TestIntroduce(t *testing.T) {
	var out bytes.Buffer
	introduce(&out, fullScript())
	assert.Equal(t, `The backends a b c are the service "orders". Each takes 5ms to answer. A client calls the service
every 5ms through a gateway, a POST every third time. Leases last 1s, checks come every 100ms.

`, out.String())
}

func TestTable(t *testing.T) {
	stages := goodStages()
	stages[2].samples = append(stages[2].samples, sample{err: io.EOF})
	var out bytes.Buffer
	table(&out, stages)
	assert.Equal(t, `phase     calls |    a    b    c | failed retries     p50     p99 | breaker a breaker b breaker c
healthy       3 |  33%  33%  33% |      0       0     2ms     3ms | closed    closed    closed
slow          9 |  56%  11%  33% |      0       0     5ms     9ms | closed    closed    closed
death         6 |  33%  33%  17% |      1       4     3ms     5ms | closed    closed    gone
drain         3 |  33%  67%   0% |      0       0     2ms     3ms | gone      closed    gone
alone         2 |   0% 100%   0% |      0       0     1ms     2ms | gone      closed    gone
all          23 |  39%  35%  22% |      1       4     3ms     9ms |

a, b, c: share of the calls         p50, p99: of the calls that were answered
breaker: at the end of the phase    gone: so is the instance
`, out.String())
}
