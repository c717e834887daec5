package bench

import (
	"fmt"
	"io"
	"regexp"
	"runtime"
	"slices"
	"time"
)

// Options say how long to measure, and what.
type Options struct {
	Rounds    int
	BenchTime time.Duration  // of one case in one round
	Match     *regexp.Regexp // of "group/row"; nil: everything
	Progress  io.Writer
}

// Result is a measured subject. Rows and cases that were not measured are left
// out.
type Result struct {
	Subject Subject
	Groups  []GroupResult
	Memory  []MemoryResult
	Tables  []TableResult
}

// GroupResult is a measured group.
type GroupResult struct {
	Name string
	Rows []RowResult
}

// RowResult is a measured row: ours first, then Row.Others in their order.
type RowResult struct {
	Row   Row
	Cases []Samples
}

// Samples of one case, one per round. The rounds of a row's cases belong
// together: they ran one right after the other.
type Samples struct {
	Nanos  []float64 // per operation
	P50    []float64 // of Laps, whose Nanos are the 90th percentile
	P99    []float64
	Allocs []float64
	Bytes  []float64
}

// MemoryResult is a measured memory row: ours first.
type MemoryResult struct {
	Memory Memory
	Bytes  []float64 // per one
}

// TableResult is a table that is worked out.
type TableResult struct {
	Table Table
	Rows  [][]string
}

// Measure runs a subject, group by group. Rounds are the outer loop, so that
// each row sees the quiet and the noisy times of its group; within a round the
// cases of a row take turns in beginning.
func Measure(s Subject, o Options) (Result, error) {
	res := Result{Subject: s}
	for _, g := range s.Groups {
		gr := GroupResult{Name: g.Name}
		for _, row := range g.Rows {
			if o.matches(g.Name, row.Name) {
				gr.Rows = append(gr.Rows, RowResult{Row: row, Cases: make([]Samples, 1+len(row.Others))})
			}
		}
		if gr.Rows == nil {
			continue
		}
		fmt.Fprintf(o.Progress, "%s: %s\n", s.Name, g.Name)
		if err := gr.measure(o); err != nil {
			return res, err
		}
		if g.After != nil {
			g.After()
		}
		res.Groups = append(res.Groups, gr)
	}
	for _, m := range s.Memory {
		if o.matches("Memory", m.Name) {
			fmt.Fprintf(o.Progress, "%s: memory, %s\n", s.Name, m.Name)
			mr, err := m.measure()
			if err != nil {
				return res, err
			}
			res.Memory = append(res.Memory, mr)
		}
	}
	for _, t := range s.Tables {
		if o.matches("Table", t.Name) {
			fmt.Fprintf(o.Progress, "%s: table, %s\n", s.Name, t.Name)
			res.Tables = append(res.Tables, TableResult{Table: t, Rows: t.Rows()})
		}
	}
	return res, nil
}

func (gr GroupResult) measure(o Options) error {
	sizes := make(map[string]int)
	for round := range o.Rounds {
		for _, rr := range gr.Rows {
			for i := range rr.Cases {
				turn := (i + round) % len(rr.Cases)
				c := rr.Row.at(turn)
				id := fmt.Sprintf("%s/%s/%s", gr.Name, rr.Row.Name, c.Name)
				if err := rr.Cases[turn].measure(c, id, sizes, o.BenchTime); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (o Options) matches(group, row string) bool {
	return o.Match == nil || o.Match.MatchString(group+"/"+row)
}

// at is ours for 0, else one of the others.
func (r Row) at(i int) Case {
	if i == 0 {
		return r.Ours
	}
	return r.Others[i-1].Case
}

// measure takes one sample. How many operations it consists of is kept in sizes
// for the next round, which corrects it: a machine that stood still for a moment
// makes few operations look like enough.
func (s *Samples) measure(c Case, id string, sizes map[string]int, d time.Duration) error {
	run := c.New()
	if run.Close != nil {
		defer run.Close()
	}
	runtime.GC()
	n, done := sizes[id], 0
	if n == 0 {
		n = 1
	} else {
		done = run.warmUp(n)
		if err := run.repeat(done, run.laps(done)); err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
	}

	var laps []time.Duration
	var took time.Duration
	var before, after runtime.MemStats
	for {
		laps = run.laps(n)
		runtime.ReadMemStats(&before)
		begin := time.Now()
		err := run.repeat(n, laps)
		took = time.Since(begin)
		runtime.ReadMemStats(&after)
		if err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
		done += n
		if enough(n, took, d) {
			break
		}
		n = more(n, took, d)
	}
	sizes[id] = n
	if run.Check != nil {
		if err := run.Check(done); err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
	}
	each := float64(max(1, run.Each))
	if laps != nil {
		s.addLaps(laps, each)
	} else {
		s.Nanos = append(s.Nanos, float64(took.Nanoseconds())/float64(n)/each)
	}
	// As package testing does, so that a stray allocation of the runtime is
	// not one of the operation.
	s.Allocs = append(s.Allocs, float64((after.Mallocs-before.Mallocs)/uint64(n))/each)
	s.Bytes = append(s.Bytes, float64((after.TotalAlloc-before.TotalAlloc)/uint64(n))/each)
	return nil
}

func (s *Samples) addLaps(laps []time.Duration, each float64) {
	slices.Sort(laps)
	nanos := make([]float64, len(laps))
	for i, d := range laps {
		nanos[i] = float64(d) / each
	}
	s.P50 = append(s.P50, quantile(nanos, 0.5))
	s.Nanos = append(s.Nanos, quantile(nanos, 0.9))
	s.P99 = append(s.P99, quantile(nanos, 0.99))
}

const mostOperations = 1_000_000_000

// enough reports whether n operations that took so long are a sample.
func enough(n int, took, d time.Duration) bool { return took >= d/2 || n >= mostOperations }

// more is how many operations should take d if n took less, approached in steps.
func more(n int, took, d time.Duration) int {
	aim := float64(n) * float64(d) / float64(max(took, 1))
	return int(min(mostOperations, max(float64(n)+1, min(aim, 16*float64(n)))))
}

// Try sets a case up, does its loop with each of the given sizes, and checks. It
// measures nothing: it tells whether the case does what it says.
func Try(c Case, sizes ...int) error {
	run := c.New()
	if run.Close != nil {
		defer run.Close()
	}
	all := 0
	for _, n := range sizes {
		if err := run.repeat(n, run.laps(n)); err != nil {
			return err
		}
		all += n
	}
	if run.Check == nil {
		return nil
	}
	return run.Check(all)
}

// warmUp is how many operations precede n that are measured. Laps are few and
// far between.
func (r Run) warmUp(n int) int {
	if r.Laps != nil {
		return max(n/20, 1)
	}
	return min(n, max(n/20, 1000))
}

// laps is where the times of n laps go. It is made beforehand, so as not to
// count as an allocation. Nil: there is a Loop.
func (r Run) laps(n int) []time.Duration {
	if r.Laps == nil {
		return nil
	}
	return make([]time.Duration, n)
}

// repeat is Loop, or Laps, with its results checked.
func (r Run) repeat(n int, laps []time.Duration) error {
	var passed, failed int
	if r.Laps != nil {
		passed, failed = r.Laps(laps)
	} else {
		passed, failed = r.Loop(n)
	}
	wantPassed, wantFailed := n, 0
	if r.Want != nil {
		wantPassed, wantFailed = r.Want(n)
	}
	if passed == wantPassed && failed == wantFailed {
		return nil
	}
	err := fmt.Errorf("of %d operations %d passed and %d failed, not %d and %d", n, passed, failed, wantPassed, wantFailed)
	if r.Why != nil {
		err = fmt.Errorf("%w: %w", err, r.Why())
	}
	return err
}

func (m Memory) measure() (MemoryResult, error) {
	res := MemoryResult{Memory: m}
	for _, c := range append([]MemoryCase{m.Ours}, m.Others...) {
		grown, err := heapOf(c.Prepare(m.N))
		if err != nil {
			return res, fmt.Errorf("%s/%s: %w", m.Name, c.Name, err)
		}
		res.Bytes = append(res.Bytes, float64(grown)/float64(m.N))
	}
	return res, nil
}

// heapOf is how much the heap in use grows by what build returns.
func heapOf(build func() any) (grown int64, err error) {
	before := heapInUse()
	kept := build()
	grown = heapInUse() - before
	runtime.KeepAlive(build)
	if c, ok := kept.(io.Closer); ok {
		err = c.Close()
	}
	runtime.KeepAlive(kept)
	return grown, err
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC() // twice: the first may only finish what pools and finalizers hold
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
