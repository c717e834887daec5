package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// width is that of a line; what is longer is cut.
const width = 100

// A timeline prints what happens, with the time, line by line. Several goroutines may
// use it.
type timeline struct {
	mu  sync.Mutex
	out io.Writer
}

func (t *timeline) say(at time.Duration, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintln(t.out, fit(fmt.Sprintf("%7.2fs  %s", at.Seconds(), text)))
}

// introduce tells what is to come.
func introduce(w io.Writer, p plan) {
	faults := "nothing fails"
	if p.faults {
		faults = fmt.Sprintf("what fails is by seed %d", p.script.seed)
	}
	fmt.Fprintf(w, `%s within %v; %s. Each is a run of the saga "checkout": reserve,
charge, label and invoice, ship, pick, by HTTP calls of stock, payment and shipping by name.

`, number(len(p.orders), "order"), p.tempo.script, faults)
}

// tell prints what came of it.
func tell(w io.Writer, o outcome) {
	fmt.Fprintln(w)
	tellOrders(w, o)
	tellServices(w, o)
	tellInstances(w, o)
	tellBus(w, o)
	fmt.Fprintf(w, "The order service was started %s. All of it took %v.\n\n", number(o.starts, "time"), o.took.Round(10*time.Millisecond))
}

// table prints rows of cells, the first one in capitals. Numbers are at the right.
func table(w io.Writer, rows [][]any) {
	var text strings.Builder
	tw := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(tw, "\t")
			}
			fmt.Fprint(tw, cell)
		}
		fmt.Fprintln(tw)
	}
	_ = tw.Flush() // into memory
	for line := range strings.Lines(text.String()) {
		fmt.Fprintln(w, fit(line))
	}
	fmt.Fprintln(w)
}

func tellOrders(w io.Writer, o outcome) {
	type group struct{ status, why string }
	groups := make(map[group]int)
	for _, order := range o.tally.placed {
		e := o.ends[order.ID]
		groups[group{e.status.String(), e.why}]++
	}
	rows := [][]any{{"ORDERS", "RUN", "WHY"}}
	for _, g := range slices.SortedFunc(maps.Keys(groups), func(a, b group) int {
		return cmp.Or(cmp.Compare(b.status, a.status), cmp.Compare(groups[b], groups[a]), cmp.Compare(a.why, b.why)) // completed first
	}) {
		rows = append(rows, []any{groups[g], g.status, g.why})
	}
	table(w, rows)
}

func tellServices(w io.Writer, o outcome) {
	rows := [][]any{{"SERVICE", "requests", "503", "slow", "late", "booked", "again", "refused", "undone", "nothing to undo", "too late"}}
	for _, s := range services {
		visits, found := o.visits[s.name], o.books[s.name].found
		all := 0
		for _, n := range visits {
			all += n
		}
		rows = append(rows, []any{
			s.name, all, visits[storm], visits[slow], visits[late],
			found[booked], found[again], found[refused], found[reversed], found[nothing], found[tooLate],
		})
	}
	table(w, rows)
}

func tellInstances(w io.Writer, o outcome) {
	rows := [][]any{{"INSTANCE", "calls since its start", "breaker opened"}}
	for _, id := range slices.Sorted(maps.Keys(o.served)) {
		rows = append(rows, []any{id, o.served[id], o.opened[id]})
	}
	table(w, rows)
}

func tellBus(w io.Writer, o outcome) {
	rows := [][]any{{"SUBSCRIBER", "topic", "handled", "tried again", "given up", "lost"}}
	for _, s := range o.bus {
		rows = append(rows, []any{s.Name, s.Topic, s.Handled, s.Retried, s.Failed, s.Lagged})
	}
	table(w, rows)
}

// verdicts prints them and reports whether all held.
func verdicts(w io.Writer, vs []verdict) bool {
	const column = 62
	all := true
	for _, v := range vs {
		mark := "ok    "
		if !v.held {
			mark, all = "FAILED", false
		}
		line := fmt.Sprintf("%s  %-*s  %s", mark, column, v.expected, v.found)
		if len(line) > width {
			line = fmt.Sprintf("%s  %s\n        %s", mark, v.expected, v.found)
		}
		fmt.Fprintln(w, line)
	}
	return all
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
	line = strings.TrimRight(line, " ")
	if len(line) > width {
		line = line[:width-3] + "..."
	}
	return line
}
