package bench

import (
	"fmt"
	"time"
)

// A verdict compares a bar with what was measured.
type verdict struct {
	row, against, bar, measured string
	met                         bool
}

// verdicts of all bars, in the order of the rows.
func (res Result) verdicts() (out []verdict) {
	for _, g := range res.Groups {
		for _, rr := range g.Rows {
			out = append(out, rr.verdicts()...)
		}
	}
	for _, m := range res.Memory {
		if m.Memory.Limit > 0 {
			out = append(out, verdict{
				row: m.Memory.Name, bar: fmt.Sprintf("<= %d bytes", m.Memory.Limit),
				measured: whole(m.Bytes[0]) + " bytes",
				met:      m.Bytes[0] <= float64(m.Memory.Limit),
			})
		}
	}
	return out
}

func (rr RowResult) verdicts() (out []verdict) {
	for i, o := range rr.Row.Others {
		if o.AtMost > 0 {
			ratio := rr.ratio(i + 1)
			out = append(out, verdict{
				row: rr.Row.Name, against: o.Name, bar: "<= " + exactly(o.AtMost) + " x",
				measured: ratio.String() + " x", met: ratio.Median <= o.AtMost,
			})
		}
	}
	if rr.Row.Limit > 0 {
		out = append(out, rr.limitVerdict())
	}
	// That nothing allocates is told only where it is not so.
	allocs := SpreadOf(rr.Cases[0].Allocs)
	if rr.Row.Net {
		allocs = SpreadOf(differences(rr.Cases[0].Allocs, rr.Cases[1].Allocs))
	}
	if most := float64(rr.Row.Allocs); most > 0 || allocs.Median > most {
		out = append(out, verdict{
			row: rr.Row.Name, against: rr.base(), bar: "<= " + exactly(most) + " allocs" + rr.more(),
			measured: number(allocs.Median) + " allocs" + rr.more(), met: allocs.Median <= most,
		})
	}
	return out
}

// limitVerdict puts a time of ours beside its ratio to a yardstick, because
// alone it says nothing.
func (rr RowResult) limitVerdict() verdict {
	v := verdict{row: rr.Row.Name, against: rr.base(), bar: rr.limit()}
	took := rr.nanos(0)
	if rr.Row.Net {
		took = SpreadOf(differences(rr.Cases[0].Nanos, rr.Cases[1].Nanos))
	}
	v.measured = number(took.Median) + " ns" + rr.more()
	v.met = took.Median <= float64(rr.Row.Limit)
	for i, o := range rr.Row.Others {
		if o.Floor {
			v.measured += fmt.Sprintf(", %s x %s", number(rr.ratio(i+1).Median), o.Name)
			break
		}
	}
	return v
}

func (rr RowResult) limit() string {
	return fmt.Sprintf("<= %d ns%s", rr.Row.Limit/time.Nanosecond, rr.more())
}

func (rr RowResult) more() string {
	if rr.Row.Net {
		return " more"
	}
	return ""
}

func (rr RowResult) base() string {
	if rr.Row.Net {
		return rr.Row.Others[0].Name
	}
	return ""
}

// A loss is where, and by how much, a rival is ahead of us.
type loss struct {
	rival, why string
	where      []string
}

// losses are gathered by rival and reason.
func (res Result) losses() (out []loss) {
	tell := func(row, rival, ratio, why string) {
		where := fmt.Sprintf("%s (%s x)", row, ratio)
		for i := range out {
			if out[i].rival == rival && out[i].why == why {
				out[i].where = append(out[i].where, where)
				return
			}
		}
		out = append(out, loss{rival, why, []string{where}})
	}
	for _, g := range res.Groups {
		for _, rr := range g.Rows {
			for i, o := range rr.Row.Others {
				if ratio := rr.ratio(i + 1).Median; !o.Floor && ratio > 1 {
					tell(rr.Row.Name, o.Name, number(ratio), o.Why)
				}
			}
		}
	}
	for _, m := range res.Memory {
		for i, o := range m.Memory.Others {
			if ratio := m.Bytes[0] / m.Bytes[i+1]; ratio > 1 {
				tell(m.Memory.Name, o.Name, number(ratio), o.Why)
			}
		}
	}
	return out
}

func (rr RowResult) nanos(i int) Spread { return SpreadOf(rr.Cases[i].Nanos) }

// ratio of ours to case i, round by round.
func (rr RowResult) ratio(i int) Spread {
	return SpreadOf(ratios(rr.Cases[0].Nanos, rr.Cases[i].Nanos))
}

// at is ours for 0, else one of the others.
func (m MemoryResult) at(i int) MemoryCase {
	if i == 0 {
		return m.Memory.Ours
	}
	return m.Memory.Others[i-1]
}
