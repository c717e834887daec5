package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A Report is what [Report.Write] writes.
type Report struct {
	Machine  Machine
	Command  string
	Rounds   int
	Versions map[string]string
	Results  []Result
}

// enoughRounds is how many make a report one to quote.
const enoughRounds = 10

// Write writes the report as Markdown. It has no date: what it depends on is
// the machine and the versions, and those it states.
func (r Report) Write(w io.Writer) error {
	p := &page{}
	p.line("# Benchmark results")
	p.line("")
	p.line("Written by the command below, in `examples/benchmarks`; do not edit. README.md there says what is measured and how.")
	p.line("")
	p.line("    %s", r.Command)
	p.line("")
	p.line("Machine: %s.", r.Machine)
	if r.Rounds < enoughRounds {
		p.line("")
		p.line("**A quick look of %d rounds, which shows the form of the report. Do not quote its numbers.**", r.Rounds)
	}
	p.line("")
	p.line("Each of %d rounds measures every case of a group once, freshly set up, the cases of a row right after one another. ns/op is the median of the rounds. "+
		"A ratio is ours divided by the other's, taken within each round; given are its median and, in brackets, the middle half of the rounds. "+
		"Below 1 ours is faster. Bars are fixed beforehand and compared with the median.", r.Rounds)
	for _, res := range r.Results {
		res.write(p, r.Versions)
	}
	_, err := io.WriteString(w, p.String())
	return err
}

func (res Result) write(p *page, versions map[string]string) {
	p.line("")
	p.line("## Package %s", res.Subject.Name)
	res.writeBars(p)
	res.writeLosses(p)
	p.line("")
	p.line("### How each is set up")
	p.line("")
	for _, s := range res.Subject.Settings {
		name := s.Library
		if v := versions[s.Module]; v != "" {
			name += " " + v
		}
		p.line("- **%s**: %s", name, s.Text)
	}
	for _, g := range res.Groups {
		p.line("")
		p.line("### %s", g.Name)
		for _, row := range g.Rows {
			row.write(p)
		}
	}
	if len(res.Memory) > 0 {
		p.line("")
		p.line("### Memory")
		for _, m := range res.Memory {
			m.write(p)
		}
	}
	for _, t := range res.Tables {
		t.write(p)
	}
}

func (res Result) writeBars(p *page) {
	p.line("")
	p.line("### Bars")
	p.line("")
	met, missed := 0, 0
	var lines []string
	for _, v := range res.verdicts() {
		word := "met"
		if v.met {
			met++
		} else {
			missed++
			word = "**missed**"
		}
		lines = append(lines, row(v.row, v.against, v.bar, v.measured, word))
	}
	if lines == nil {
		p.line("None of these rows has one.")
		return
	}
	p.line("%d met, %d missed. That no operation of ours allocates is a bar of every row; it is listed where it differs or is missed.", met, missed)
	p.line("")
	p.line("%s", row("operation", "against", "bar", "measured", ""))
	p.line("|---|---|---|---|---|")
	for _, l := range lines {
		p.line("%s", l)
	}
}

func (res Result) writeLosses(p *page) {
	p.line("")
	p.line("### Where we lose")
	p.line("")
	losses := res.losses()
	if len(losses) == 0 {
		p.line("Nowhere in these rows.")
	}
	for _, l := range losses {
		why := ""
		if l.why != "" {
			why = " " + l.why
		}
		p.line("- Against **%s**: %s.%s", l.rival, strings.Join(l.where, "; "), why)
	}
}

func (rr RowResult) write(p *page) {
	p.line("")
	p.title(rr.Row.Name, rr.Row.Note)
	p.line("")
	times := []string{"ns/op"}
	if rr.Cases[0].P50 != nil {
		times = []string{"p50 ns", "p90 ns", "p99 ns"}
	}
	p.line("%s", row(slices.Concat([]string{""}, times, []string{"ours is", "bar", "B/op", "allocs/op"})...))
	p.line("|---%s|--:|--:|--:|--:|", strings.Repeat("|--:", len(times)))
	for i, c := range rr.Cases {
		ratio, bar := "", ""
		if i > 0 {
			ratio = rr.ratio(i).String() + " x"
			if most := rr.Row.Others[i-1].AtMost; most > 0 {
				bar = "<= " + exactly(most)
			}
		} else if rr.Row.Limit > 0 {
			bar = rr.limit()
		}
		space := []string{number(SpreadOf(c.Bytes).Median), number(SpreadOf(c.Allocs).Median)}
		p.line("%s", row(slices.Concat([]string{rr.Row.at(i).Name}, c.times(), []string{ratio, bar}, space)...))
	}
}

// times are the medians of the rounds.
func (c Samples) times() []string {
	nanos := number(SpreadOf(c.Nanos).Median)
	if c.P50 == nil {
		return []string{nanos}
	}
	return []string{number(SpreadOf(c.P50).Median), nanos, number(SpreadOf(c.P99).Median)}
}

func (m MemoryResult) write(p *page) {
	p.line("")
	p.title(m.Memory.Name, m.Memory.Note)
	p.line("")
	p.line("%s", row("", "bytes each", "ours is", "bar"))
	p.line("|---|--:|--:|--:|")
	for i, b := range m.Bytes {
		ratio, bar := "", ""
		if i > 0 {
			ratio = number(m.Bytes[0]/b) + " x"
		} else if m.Memory.Limit > 0 {
			bar = fmt.Sprintf("<= %d", m.Memory.Limit)
		}
		p.line("%s", row(m.at(i).Name, whole(b), ratio, bar))
	}
}

func (t TableResult) write(p *page) {
	p.line("")
	p.line("### %s", t.Table.Name)
	p.line("")
	p.line("%s", t.Table.Note)
	p.line("")
	p.line("%s", row(t.Table.Columns...))
	p.line("|---%s|", strings.Repeat("|--:", len(t.Table.Columns)-1))
	for _, r := range t.Rows {
		p.line("%s", row(r...))
	}
}

// A page is Markdown under construction.
type page struct{ strings.Builder }

func (p *page) line(format string, args ...any) {
	fmt.Fprintf(p, format, args...)
	p.WriteByte('\n')
}

func (p *page) title(name, note string) {
	if note != "" {
		note = ". " + note
	}
	p.line("**%s**%s", name, note)
}

func row(cells ...string) string { return "| " + strings.Join(cells, " | ") + " |" }
