package main

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// answers are good answers to calls that each took a millisecond more.
func answers(by ...string) []sample {
	var all []sample
	for i, id := range by {
		all = append(all, sample{took: ms(i + 1), by: id, post: i == 0})
	}
	return all
}

// goodStages are what a short script comes to if all goes well, in which the fair
// share is one third and the limit one ninth.
func goodStages() []stage {
	at := func(after int, e event) event {
		e.at = epoch.Add(ms(after))
		return e
	}
	all := map[string]string{"a": "closed", "b": "closed", "c": "closed"}
	return []stage{
		{phase: phase{name: "healthy"}, samples: answers("a", "b", "c"), breakers: all},
		{
			phase: phase{name: "slow", kind: slow}, samples: answers("a", "a", "a", "a", "a", "c", "c", "c", "b"),
			events: []event{at(0, event{id: slacker, what: turnedSlow})}, breakers: all,
		},
		{
			phase: phase{name: "death", kind: dying}, samples: answers("c", "a", "b", "a", "b"), retries: 4,
			events: []event{
				at(100, event{id: victim, what: died, calls: 3}),
				at(101, event{id: victim, what: opened}),
				at(250, event{id: victim, what: halfOpened}),
				at(251, event{id: victim, what: opened}),
				at(300, event{id: victim, what: critical}),
				at(500, event{id: victim, what: expired}),
			},
			breakers: map[string]string{"a": "closed", "b": "closed", "c": "gone"},
		},
		{
			phase: phase{name: "drain", kind: draining}, samples: answers("a", "b", "b"),
			events: []event{
				at(600, event{id: leaver, what: isDraining, calls: 3, picks: 70}),
				at(601, event{id: leaver, what: unready, calls: 3}),
				at(650, event{id: leaver, what: drained, picks: 70}),
				at(651, event{id: leaver, what: stopped}),
			},
			breakers: map[string]string{"a": "gone", "b": "closed", "c": "gone"},
		},
		{
			phase: phase{name: "alone"}, samples: answers("b", "b"),
			breakers: map[string]string{"a": "gone", "b": "closed", "c": "gone"},
		},
	}
}

func judgeStages(stages []stage, books totals, left leftovers) []verdict {
	return judge(script{least: 1.0 / 3, most: 0.5, underWay: 3}, stages, books, left)
}

func TestJudge_good(t *testing.T) {
	var out bytes.Buffer
	assert.True(t, verdicts(&out, judgeStages(goodStages(), totals{orders: 5, again: 2}, leftovers{})))
	assert.Equal(t, `ok      no call that could succeed failed                      22 calls, 0 failed
ok      every order is placed, and none twice                  5 of 5, 2 sent again
ok      shares: well 11% or more, slow 17% or less, gone 0%    8 of 8
ok      calls find out about the dead one, then the registry   breaker 1ms, check 200ms, lease 400ms
ok      only calls to the dead one are sent again              death: 4
ok      who drains says so, finishes its calls, then stops     3 calls when unready, 0 at its end
ok      all that was to happen happened                        5 of 5
ok      nothing is left over                                   0 goroutines
`, out.String())
}

// Each case breaks one expectation, and no other.
func TestJudge_broken(t *testing.T) {
	const failures, orders, shares, discovery, retries, drain, happened, clean = 0, 1, 2, 3, 4, 5, 6, 7
	without := func(s []stage, i int, w what) {
		var rest []event
		for _, e := range s[i].events {
			if e.what != w {
				rest = append(rest, e)
			}
		}
		s[i].events = rest
	}
	for _, tc := range []struct {
		name   string
		harm   func(s []stage, books *totals, left *leftovers)
		broken int
		found  string
	}{
		{
			"a failed call", func(s []stage, _ *totals, _ *leftovers) {
				s[1].samples = append(s[1].samples, sample{err: io.EOF})
			},
			failures, "23 calls, 1 failed, first in slow: EOF",
		},
		{
			"an order that is not there", func(_ []stage, b *totals, _ *leftovers) { b.orders-- },
			orders, "4 of 5, 2 sent again",
		},
		{
			"an order too many", func(_ []stage, b *totals, _ *leftovers) { b.orders++ },
			orders, "6 of 5, 2 sent again",
		},
		{
			"a key for two orders", func(_ []stage, b *totals, _ *leftovers) { b.mixed++ },
			orders, "5 of 5, 2 sent again, 1 keys with another order",
		},
		{
			"no share for one that is well", func(s []stage, _ *totals, _ *leftovers) { s[0].samples = answers("a", "c") },
			shares, "7 of 8; healthy: b has 0%",
		},
		{
			"too much for the slow one", func(s []stage, _ *totals, _ *leftovers) { s[1].samples = answers("a", "c", "b", "a") },
			shares, "7 of 8; slow: b has 25%",
		},
		{
			"an answer of the dead", func(s []stage, _ *totals, _ *leftovers) { s[3].samples = answers("a", "b", "c") },
			shares, "7 of 8; drain: c has 33%",
		},
		{
			"an answer of one that has left", func(s []stage, _ *totals, _ *leftovers) { s[4].samples = answers("b", "a") },
			shares, "7 of 8; alone: a has 50%",
		},
		{
			"a check before the calls", func(s []stage, _ *totals, _ *leftovers) {
				e := s[2].events
				e[1], e[4] = e[4], e[1]
				without(s, 2, halfOpened)
			},
			discovery, "check 200ms, breaker 151ms, lease 400ms",
		},
		{
			"a breaker that never opened", func(s []stage, _ *totals, _ *leftovers) { without(s, 2, opened) },
			discovery, "check 200ms, lease 400ms",
		},
		{
			"no lease that expired", func(s []stage, _ *totals, _ *leftovers) { s[2].events[5].what = removed },
			discovery, "breaker 1ms, check 200ms",
		},
		{
			"calls alone", func(s []stage, _ *totals, _ *leftovers) {
				without(s, 2, critical)
				s[2].events[4].what = removed
			},
			discovery, "breaker 1ms",
		},
		{
			"nobody found out", func(s []stage, _ *totals, _ *leftovers) {
				s[2].events[5].what = removed
				without(s, 2, opened)
				without(s, 2, critical)
			},
			discovery, "nobody",
		},
		{
			"no death", func(s []stage, _ *totals, _ *leftovers) { without(s, 2, died) },
			discovery, "",
		},
		{
			"another breaker", func(s []stage, _ *totals, _ *leftovers) { s[1].events[0].what = opened },
			discovery, "slow: breaker of b opened; breaker 1ms, check 200ms, lease 400ms",
		},
		{
			"nothing sent again", func(s []stage, _ *totals, _ *leftovers) { s[2].retries = 2 },
			retries, "death: 2",
		},
		{
			"a retry for the drain", func(s []stage, _ *totals, _ *leftovers) { s[3].retries = 1 },
			retries, "death: 4, drain: 1",
		},
		{
			"a call that was not waited for", func(s []stage, _ *totals, _ *leftovers) { s[3].events[2].calls = 1 },
			drain, "3 calls when unready, 1 at its end",
		},
		{
			"unready with nothing under way", func(s []stage, _ *totals, _ *leftovers) { s[3].events[1].calls = 0 },
			drain, "0 calls when unready, 0 at its end",
		},
		{
			"unready at the end", func(s []stage, _ *totals, _ *leftovers) {
				e := s[3].events
				e[1], e[2] = e[2], e[1]
			},
			drain, "3 calls when unready, 0 at its end",
		},
		{
			"stopped before it was drained", func(s []stage, _ *totals, _ *leftovers) {
				e := s[3].events
				e[2], e[3] = e[3], e[2]
			},
			drain, "3 calls when unready, 0 at its end",
		},
		{
			"picked later", func(s []stage, _ *totals, _ *leftovers) { s[3].events[2].picks = 72 },
			drain, "3 calls when unready, 0 at its end, 2 picked later",
		},
		{
			"never unready", func(s []stage, _ *totals, _ *leftovers) { without(s, 3, unready) },
			drain, "not all of it happened",
		},
		{
			"no drain", func(s []stage, _ *totals, _ *leftovers) { s[3].kind = healthy; s[3].samples = answers("b", "a") },
			drain, "nobody drained",
		},
		{
			"something that did not happen", func(s []stage, _ *totals, _ *leftovers) { s[2].err = errors.New("too slow") },
			happened, "4 of 5; death: too slow",
		},
		{
			"a goroutine and an error", func(_ []stage, _ *totals, l *leftovers) { l.goroutines, l.err = 2, errors.New("too slow") },
			clean, "2 goroutines, too slow",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stages, books, left := goodStages(), totals{orders: 5, again: 2}, leftovers{}
			tc.harm(stages, &books, &left)
			for i, v := range judgeStages(stages, books, left) {
				assert.Equal(t, i != tc.broken, v.held, "%s: %s", v.expected, v.found)
				if i == tc.broken {
					assert.Equal(t, tc.found, v.found)
				}
			}
		})
	}
}

// Without a single call there is nothing that could have held.
func TestJudge_nothing(t *testing.T) {
	for i, v := range judgeStages(nil, totals{}, leftovers{}) {
		// Nobody was sent again, and nothing is left over.
		assert.Equal(t, i == 4 || i == 7, v.held, "%s: %s", v.expected, v.found)
	}
}

// A check that was slow to notice, and a fleeting look at the picks, are fine.
func TestJudge_edges(t *testing.T) {
	for name, harm := range map[string]func([]stage){
		"no check at all":            func(s []stage) { s[2].events = append(s[2].events[:4], s[2].events[5]) },
		"a pick that was taken back": func(s []stage) { s[3].events[2].picks-- },
		"unready before the hook ran": func(s []stage) {
			e := s[3].events
			e[0], e[1] = e[1], e[0]
		},
		"a lease that lapsed for a while": func(s []stage) {
			s[0].events = []event{{id: "b", what: expired}, {id: "b", what: joined}}
			s[0].samples = answers("a", "c", "a")
		},
		"one that was gone for a phase": func(s []stage) {
			s[0].events = []event{{id: "b", what: expired}}
			s[1].events = []event{{id: "b", what: joined}}
			s[1].samples = answers("a", "c", "b")
		},
		"just the limit": func(s []stage) { s[0].samples = answers("a", "a", "a", "a", "c", "c", "c", "c", "b") },
	} {
		t.Run(name, func(t *testing.T) {
			stages := goodStages()
			harm(stages)
			for _, v := range judgeStages(stages, totals{orders: 5}, leftovers{}) {
				assert.True(t, v.held, "%s: %s", v.expected, v.found)
			}
		})
	}
}
