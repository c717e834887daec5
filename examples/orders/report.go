package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// width is that of a line; what is longer is cut.
const width = 100

// introduce tells what is to come.
func introduce(w io.Writer, p plan) {
	fmt.Fprintf(w, `%d orders, each a run of the saga "checkout": reserve, charge, label and invoice, ship, mail. The
services fail as seed %d has it. A step waits %v for an answer.

`, len(p.orders), p.script.seed, patience)
}

// tell prints what became of the workers, and what came of it all.
func tell(w io.Writer, o outcome) {
	for i, l := range o.lives {
		end := "has brought every run to its end"
		if l.killed {
			end = "was killed"
		}
		fmt.Fprintf(w, "worker %d  %s, after %s\n", i+1, end, count(l.moments, "moment"))
	}
	fmt.Fprintln(w)
	endings(w, o.report.Runs)
	fmt.Fprintln(w)
	visits(w, o)
	fmt.Fprintln(w)
	fmt.Fprintln(w, summary(o))
	fmt.Fprintln(w)
}

// endings prints how many orders have ended how, with their names.
func endings(w io.Writer, runs []ending) {
	type group struct{ status, why string }
	groups := make(map[group][]string)
	for _, e := range runs {
		g := group{e.Status, e.Why}
		if e.Step != "" {
			g.why = e.Step + ": " + e.Why
		}
		if e.Reason != "" {
			g.status += ", " + e.Reason
		}
		groups[g] = append(groups[g], e.Order)
	}
	sorted := slices.SortedFunc(maps.Keys(groups), func(a, b group) int {
		return cmp.Or(cmp.Compare(b.status, a.status), cmp.Compare(a.why, b.why)) // completed first
	})
	const row = "%6v  %-11s  %-33s  %s"
	fmt.Fprintf(w, row+"\n", "orders", "run", "why", "which")
	for _, g := range sorted {
		for i, some := range lines(groups[g], width-56) {
			if i == 0 {
				fmt.Fprintln(w, fit(fmt.Sprintf(row, len(groups[g]), g.status, g.why, some)))
			} else {
				fmt.Fprintln(w, fit(fmt.Sprintf(row, "", "", "", some)))
			}
		}
	}
}

// lines puts names into lines, as far as a few of them go.
func lines(names []string, long int) (all []string) {
	const most = 4
	line, room := "", long
	for _, name := range names {
		if len(all) == most-1 {
			room = long - len(" ...")
		}
		switch {
		case line == "":
			line = name
		case len(line)+1+len(name) <= room:
			line += " " + name
		case len(all) == most-1:
			return append(all, line+" ...")
		default:
			all, line = append(all, line), name
		}
	}
	return append(all, line)
}

// visits prints what the services have seen.
func visits(w io.Writer, o outcome) {
	line := func(cells ...any) {
		const row = "%-12v  %8v  %6v  %6v  %5v  %7v  %8v  %7v"
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf(row, cells...), " "))
	}
	line("service", "requests", "faults", "booked", "again", "refused", "reversed", "too late")
	for _, r := range resources {
		t := o.tallies[r]
		faults := 0
		for f, n := range t.faults {
			if f != fine {
				faults += n
			}
		}
		line(r, t.requests, faults, t.found[booked], t.found[again], t.found[refused], t.found[reversed], t.found[tooLate])
	}
	fmt.Fprintln(w, `
booked: effects          again: the same action or compensation once more, which changed nothing
reversed: undone         too late: actions that came after they had been undone`)
}

// summary tells what the kills have cost.
func summary(o outcome) string {
	attempts, interrupted, repeated := 0, 0, 0
	for _, e := range o.report.Runs {
		attempts, interrupted = attempts+e.Attempts, interrupted+e.Interrupted
	}
	for _, t := range o.tallies {
		repeated += t.found[again]
	}
	return fmt.Sprintf("The worker was killed %s, in the middle of %s of %d; the services recognised\n%s that had been done before. It took %v.",
		count(o.killed(), "time"), count(interrupted, "attempt"), attempts, count(repeated, "thing"), o.took.Round(10*time.Millisecond))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
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
