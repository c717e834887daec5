package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// width is that of a line; what is longer is cut.
const width = 100

// introduce tells what the script is like.
func introduce(w io.Writer, s script) {
	fmt.Fprintf(w, `The backends %s are the service %q. Each takes %v to answer. A client calls the service
every %v through a gateway, a POST every third time. Leases last %v, checks come every %v.

`, strings.Join(backendIDs, " "), service, s.answer, s.every, s.ttl, s.check.Interval)
}

// A timeline tells what happens, as it happens.
type timeline struct {
	w     io.Writer
	start time.Time

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

func (l *timeline) event(e event) {
	s := fmt.Sprintf("    %s %s", e.id, e.what)
	if e.calls > 0 {
		s += fmt.Sprintf(", %d calls under way", e.calls)
	}
	if e.note != "" {
		s += " (" + e.note + ")"
	}
	l.printf("%s", s)
}

// shares tells who got which share of some calls.
func (l *timeline) shares(some []sample) {
	if len(some) == 0 {
		return
	}
	t := count(some)
	s := bar(t)
	for _, id := range backendIDs {
		s += fmt.Sprintf("  %s %4s", id, percent(t.share(id)))
	}
	l.printf("%s  %d calls", s, t.calls)
}

// barWidth is how long the bar is that all calls make together.
const barWidth = 50

// bar draws shares, with '!' for calls that nobody answered well.
func bar(t tally) string {
	var b strings.Builder
	sum := 0
	for _, id := range append(slices.Clone(backendIDs), "!") {
		n := t.by[id]
		if id == "!" {
			n = t.failed
		}
		sum += n
		end := int(math.Round(float64(sum) / float64(t.calls) * barWidth))
		b.WriteString(strings.Repeat(id, max(end-b.Len(), 0)))
	}
	return b.String()
}

// A tally sums samples up.
type tally struct {
	calls, failed int
	by            map[string]int  // good answers, by backend
	posts         int             // of them
	took          []time.Duration // by good answers, sorted
}

func count(samples []sample) tally {
	t := tally{calls: len(samples), by: make(map[string]int)}
	for _, s := range samples {
		if s.err != nil {
			t.failed++
			continue
		}
		t.by[s.by]++
		t.took = append(t.took, s.took)
		if s.post {
			t.posts++
		}
	}
	slices.Sort(t.took)
	return t
}

// share is the part of all calls that a backend answered.
func (t tally) share(id string) float64 {
	if t.calls == 0 {
		return 0
	}
	return float64(t.by[id]) / float64(t.calls)
}

// within is the time within which that part of the good answers came.
func (t tally) within(part float64) time.Duration {
	if len(t.took) == 0 {
		return 0
	}
	return t.took[max(int(math.Ceil(part*float64(len(t.took))))-1, 0)]
}

// table prints the stages.
func table(w io.Writer, stages []stage) {
	const row = "%-9s %5v | %4v %4v %4v | %6v %7v %7v %7v | %-9v %-9v %-9v"
	line := func(cells ...any) { fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf(row, cells...), " ")) }
	head := []any{"phase", "calls"}
	head = append(head, texts(backendIDs, strings.Clone)...)
	head = append(head, "failed", "retries", "p50", "p99")
	line(append(head, texts(backendIDs, func(id string) string { return "breaker " + id })...)...)
	var all []sample
	var retries uint64
	for _, st := range stages {
		all, retries = append(all, st.samples...), retries+st.retries
		line(append(cells(st.name, count(st.samples), st.retries),
			texts(backendIDs, func(id string) string { return st.breakers[id] })...)...)
	}
	line(append(cells("all", count(all), retries), "", "", "")...)
	fmt.Fprintln(w, `
a, b, c: share of the calls         p50, p99: of the calls that were answered
breaker: at the end of the phase    gone: so is the instance`)
}

// cells are a row of the table but for the last ones.
func cells(name string, t tally, retries uint64) []any {
	row := append([]any{name, t.calls}, texts(backendIDs, func(id string) string { return percent(t.share(id)) })...)
	return append(row, t.failed, retries, short(t.within(0.5)), short(t.within(0.99)))
}

func texts(ids []string, text func(string) string) []any {
	all := make([]any, len(ids))
	for i, id := range ids {
		all[i] = text(id)
	}
	return all
}

func percent(share float64) string { return fmt.Sprintf("%.0f%%", 100*share) }

// brief is the end of the text of an error, where the root of it stands.
func brief(text string) string { return strings.TrimSpace(text[strings.LastIndex(text, ": ")+1:]) }

// short is d to three digits or so, in ASCII.
func short(d time.Duration) string {
	unit := time.Nanosecond
	for unit < time.Second && d >= 1000*unit {
		unit *= 10
	}
	return strings.Replace(d.Round(unit).String(), "\u00b5s", "us", 1)
}
