package page

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	window  = 60 * time.Second // what a timeline shows
	leastAt = 0.5              // percent of a timeline: what is shorter is drawn that wide
)

// A bar is a span as it is drawn: in percent of the timeline, from the left.
type bar struct {
	Kind  string // a class: closed, half, open or other
	Label string // "": there is no room for one
	at    float64
	wide  float64
	long  time.Duration
}

// X, Width and TextX are attributes of SVG.
func (b bar) X() string     { return fmt.Sprintf("%.2f%%", b.at) }
func (b bar) Width() string { return fmt.Sprintf("%.2f%%", b.wide) }

// A line is a timeline.
type line struct {
	Bars    []bar  // the longest first, so that none hides a shorter one
	Summary string // in words
}

// kind is the class of a state of a breaker. There are four shapes for the states:
// what matters is whether calls pass.
func kind(state string) string {
	switch state {
	case "closed", "forced-closed":
		return "closed"
	case "half-open", "recovering":
		return "half"
	case "open", "forced-open":
		return "open"
	}
	return "other"
}

// timeline draws what of the spans lies within the window that ends now.
func timeline(spans []Span, now time.Duration) line {
	var l line
	total := make(map[string]time.Duration)
	var order []string // of states, as they came
	begin := now - window
	for _, s := range together(spans, now) {
		from, to := max(s.from, begin), s.to
		if to <= from && to < now { // over before the window, or without a length
			continue
		}
		if _, ok := total[s.state]; !ok {
			order = append(order, s.state)
		}
		total[s.state] += to - from
		l.Bars = append(l.Bars, place(s.state, from-begin, to-from))
	}
	if len(l.Bars) == 0 {
		l.Summary = "nothing is known of the last 60 s"
		return l
	}
	parts := make([]string, len(order))
	for i, state := range order {
		parts[i] = fmt.Sprintf("%s %.1f s", clean(state, maxName), total[state].Seconds())
	}
	l.Summary = fmt.Sprintf("now %s; of the last 60 s: %s", clean(spans[len(spans)-1].State, maxName), strings.Join(parts, ", "))
	slices.SortStableFunc(l.Bars, func(a, b bar) int { return cmp.Compare(b.long, a.long) })
	return l
}

// A stretch is a time in one state.
type stretch struct {
	state    string
	from, to time.Duration
}

// together are the spans with their ends, neighbours in the same state joined. A
// span that begins before its predecessor or after now is taken for one that
// begins there.
func together(spans []Span, now time.Duration) []stretch {
	var all []stretch
	for _, s := range spans {
		from := min(s.From, now)
		if n := len(all); n > 0 {
			from = max(from, all[n-1].from)
			all[n-1].to = from
			if all[n-1].state == s.State {
				all[n-1].to = now
				continue
			}
		}
		all = append(all, stretch{s.State, from, now})
	}
	return all
}

// place puts a span at its place, with its label if there is room for that.
func place(state string, from, long time.Duration) bar {
	percent := func(d time.Duration) float64 { return 100 * float64(d) / float64(window) }
	b := bar{Kind: kind(state), at: percent(from), wide: percent(long), long: long}
	if b.wide < leastAt {
		b.wide = leastAt
		b.at = min(b.at, 100-leastAt)
	}
	// A character takes less than 2 percent of a line that is 340 pixels wide.
	label := clean(state, maxName)
	if b.Kind != "closed" && b.wide >= 3+2*float64(len(label)) {
		b.Label = label
	}
	return b
}
