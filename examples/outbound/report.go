package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
)

// width is that of a line; what is longer is cut.
const width = 100

// A timeline tells what happens, as it happens.
type timeline struct {
	w     io.Writer
	start time.Time
	names bool // tell which breaker

	mu sync.Mutex // one line at a time
}

func newTimeline(w io.Writer) *timeline { return &timeline{w: w, start: time.Now()} }

// printf prints one line with the time in front.
func (l *timeline) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := fmt.Sprintf("%5.2fs  ", time.Since(l.start).Seconds())
	fmt.Fprintln(l.w, fit(at+fmt.Sprintf(format, args...)))
}

// fit makes a line of anything, cutting its end.
func fit(line string) string {
	line = strings.Map(func(r rune) rune {
		switch {
		case r < ' ':
			return ' '
		case r > '~':
			return '?'
		}
		return r
	}, line)
	if len(line) > width {
		line = line[:width-3] + "..."
	}
	return line
}

func (l *timeline) begin(p phase) { l.printf("--- %s: %s", p.name, p.says) }

func (l *timeline) transition(t breaker.Transition) {
	who := "breaker"
	if l.names {
		who += " of " + t.Name
	}
	s := fmt.Sprintf("    %s %v", who, t.To)
	if t.To == breaker.Open {
		s += " for " + t.OpenFor.String()
	}
	s += " (" + why(t) + ")"
	if t.Cause != nil {
		s += ": " + brief(t.Cause)
	}
	l.printf("%s", s)
}

// why is the reason of a transition. Nobody here trips a breaker by hand, so
// where a status did it, the answer asked for that by its Retry-After.
func why(t breaker.Transition) string {
	var status *breakerhttp.StatusError
	if t.Reason == breaker.ReasonTrip && errors.As(t.Cause, &status) {
		return "Retry-After"
	}
	return t.Reason.String()
}

func (l *timeline) rejection(e *breaker.RejectedError) {
	l.printf("    first call rejected: retry after %v", short(e.RetryAfter()))
}

func (l *timeline) end(st stage) {
	p, u := count(st.protected.samples), count(st.unprotected.samples)
	l.printf("    protected:   %2d calls, %2d let through, %2d rejected, %2d failed; callers waited %v",
		p.calls, p.calls-p.rejected, p.rejected, p.failed, short(p.waited))
	l.printf("    unprotected: %2d calls,                              %2d failed; callers waited %v",
		u.calls, u.failed, short(u.waited))
}

// brief is what is at the root of an error, without the name of its package.
func brief(err error) string {
	for errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	s := err.Error()
	if pkg, rest, ok := strings.Cut(s, ": "); ok && !strings.Contains(pkg, " ") {
		return rest
	}
	return s
}

// A tally sums samples up.
type tally struct {
	calls, rejected int
	failed          int           // let through, and no good answer came
	waited          time.Duration // by all callers together
	rejecting       time.Duration // the part of it that ended in rejections
	peak            int           // calls let through that were under way at once
}

func count(samples []sample) tally {
	t := tally{calls: len(samples)}
	type edge struct {
		at  time.Time
		add int
	}
	var edges []edge
	for _, s := range samples {
		took := s.ended.Sub(s.began)
		t.waited += took
		if s.rejection != nil {
			t.rejected++
			t.rejecting += took
			continue
		}
		if s.err != nil {
			t.failed++
		}
		edges = append(edges, edge{s.began, 1}, edge{s.ended, -1})
	}
	slices.SortFunc(edges, func(a, b edge) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return a.add - b.add // an end comes before a begin
	})
	busy := 0
	t.peak = min(len(edges), 1) // also if it took no time by the clock
	for _, e := range edges {
		busy += e.add
		t.peak = max(t.peak, busy)
	}
	return t
}

func (t tally) plus(o tally) tally {
	return tally{
		calls: t.calls + o.calls, rejected: t.rejected + o.rejected, failed: t.failed + o.failed,
		waited: t.waited + o.waited, rejecting: t.rejecting + o.rejecting, peak: max(t.peak, o.peak),
	}
}

// table prints the stages side by side, and their sum.
func table(w io.Writer, stages []stage) {
	const row = "%-9s %5v | %7v %8v %6v %8v %7v | %7v %6v %8v %7v\n"
	fmt.Fprintf(w, "%15s | %-40s | %s\n", "", "protected", "unprotected")
	fmt.Fprintf(w, row, "phase", "calls", "reached", "rejected", "failed", "waited", "at once",
		"reached", "failed", "waited", "at once")
	line := func(name string, p, u tally, reached [2]int) {
		fmt.Fprintf(w, row, name, u.calls, reached[0], p.rejected, p.failed, short(p.waited), p.peak,
			reached[1], u.failed, short(u.waited), u.peak)
	}
	var p, u tally
	var reached [2]int
	for _, st := range stages {
		sp, su := count(st.protected.samples), count(st.unprotected.samples)
		line(st.name, sp, su, [2]int{st.protected.reached, st.unprotected.reached})
		p, u = p.plus(sp), u.plus(su)
		reached[0] += st.protected.reached
		reached[1] += st.unprotected.reached
	}
	line("all", p, u, reached)
	fmt.Fprintln(w, `
reached: calls the server saw        failed: of those, without a good answer
waited: all callers together         at once: most calls under way at one moment`)
}

// conclusion puts the table into words, the price of a breaker included.
func conclusion(w io.Writer, stages []stage) {
	var p, u tally
	price := 0
	for _, st := range stages {
		sp := count(st.protected.samples)
		p, u = p.plus(sp), u.plus(count(st.unprotected.samples))
		if !st.sick() {
			price += sp.rejected
		}
	}
	fmt.Fprintf(w, "With the breaker callers waited %v instead of %v, and %d calls failed instead of %d.\n",
		short(p.waited), short(u.waited), p.failed, u.failed)
	if p.rejected > 0 {
		fmt.Fprintf(w, "Another %d were rejected, in %v on average, %d of them when the server was well again.\n",
			p.rejected, short(p.rejecting/time.Duration(p.rejected)), price)
	}
}

// short is d to three digits or so, in ASCII.
func short(d time.Duration) string {
	unit := time.Nanosecond
	for unit < time.Second && d >= 1000*unit {
		unit *= 10
	}
	return strings.Replace(d.Round(unit).String(), "\u00b5s", "us", 1)
}
