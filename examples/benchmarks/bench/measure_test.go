package bench

import (
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// noted is a case that notes when it is set up and what it is asked for.
func noted(name string, log *[]string) Case {
	return Case{Name: name, New: func() Run {
		*log = append(*log, name)
		return Run{Loop: func(n int) (int, int) { return n, 0 }}
	}}
}

func quick(rounds int) Options {
	return Options{Rounds: rounds, BenchTime: time.Microsecond, Progress: io.Discard}
}

func TestMeasureInterleaves(t *testing.T) {
	var log []string
	row := func(name string) Row {
		return Row{Name: name, Ours: noted(name+"0", &log), Others: []Other{{Case: noted(name+"1", &log)}, {Case: noted(name+"2", &log)}}}
	}
	res, err := Measure(Subject{Groups: []Group{{Name: "g", Rows: []Row{row("a"), row("b")}}}}, quick(3))
	require.NoError(t, err)
	assert.Equal(t, strings.Fields("a0 a1 a2 b0 b1 b2 a1 a2 a0 b1 b2 b0 a2 a0 a1 b2 b0 b1"), log,
		"every round has every row, whose cases stand together and take turns in beginning")
	for _, rr := range res.Groups[0].Rows {
		for _, c := range rr.Cases {
			assert.Len(t, c.Nanos, 3)
			assert.Len(t, c.Allocs, 3)
			assert.Len(t, c.Bytes, 3)
		}
	}
}

func TestMeasureTidiesUpAfterAGroup(t *testing.T) {
	var log []string
	group := func(name string) Group {
		return Group{Name: name, Rows: []Row{{Ours: noted(name, &log)}}, After: func() { log = append(log, "after") }}
	}
	o := quick(2)
	o.Match = regexp.MustCompile("a|c")
	_, err := Measure(Subject{Groups: []Group{group("a"), group("b"), group("c")}}, o)
	require.NoError(t, err)
	assert.Equal(t, strings.Fields("a a after c c after"), log)
}

func TestMeasureMatches(t *testing.T) {
	var log []string
	s := Subject{
		Groups: []Group{
			{Name: "first", Rows: []Row{{Name: "one", Ours: noted("one", &log)}, {Name: "two", Ours: noted("two", &log)}}},
			{Name: "second", Rows: []Row{{Name: "three", Ours: noted("three", &log)}}},
		},
		Memory: []Memory{{Name: "four", N: 1, Ours: MemoryCase{Prepare: func(int) func() any {
			log = append(log, "four")
			return func() any { return nil }
		}}}},
		Tables: []Table{{Name: "five", Rows: func() [][]string {
			log = append(log, "five")
			return [][]string{{"a"}}
		}}},
	}
	for pattern, want := range map[string]string{
		"":             "one two three four five",
		"first":        "one two",
		"two|three":    "two three",
		"^second/thr":  "three",
		"Memory":       "four",
		"^Table/five$": "five",
		"nothing here": "",
	} {
		log = nil
		o := quick(1)
		if pattern != "" {
			o.Match = regexp.MustCompile(pattern)
		}
		res, err := Measure(s, o)
		require.NoError(t, err)
		assert.Equal(t, want, strings.Join(log, " "), pattern)
		for _, g := range res.Groups {
			assert.NotEmpty(t, g.Rows, "a group without rows is left out")
		}
	}
}

// A case that does not do its work is not measured: it would be fast.
func TestMeasureChecks(t *testing.T) {
	cases := map[string]struct {
		run  Run
		want string
	}{
		"a call too few": {Run{Loop: func(n int) (int, int) { return n - 1, 0 }}, "passed"},
		"failures":       {Run{Loop: func(n int) (int, int) { return n - 1, 1 }}, "1 failed"},
		"no failures":    {Run{Loop: func(n int) (int, int) { return n, 0 }, Want: AllFail}, "0 failed"},
		"wrong state":    {Run{Loop: func(n int) (int, int) { return n, 0 }, Check: func(int) error { return errors.New("half-open") }}, "half-open"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			closed := 0
			test.run.Close = func() { closed++ }
			row := Row{Name: "row", Ours: Case{Name: "ours", New: func() Run { return test.run }}}
			_, err := Measure(Subject{Groups: []Group{{Name: "group", Rows: []Row{row}}}}, quick(1))
			require.ErrorContains(t, err, "group/row/ours")
			assert.ErrorContains(t, err, test.want)
			assert.Equal(t, 1, closed)
			assert.ErrorContains(t, Try(row.Ours, 7), test.want)
			assert.Equal(t, 2, closed)
		})
	}
}

// What went wrong is told where the counts are not as wanted.
func TestMeasureTellsWhy(t *testing.T) {
	why := errors.New("no space left")
	run := Run{Loop: func(n int) (int, int) { return n - 1, 1 }, Why: func() error { return why }}
	_, err := Measure(Subject{Groups: []Group{{Rows: []Row{{Ours: Case{New: func() Run { return run }}}}}}}, quick(1))
	require.ErrorIs(t, err, why)
	assert.ErrorContains(t, err, "1 failed")
}

func TestCheckIsToldAllCalls(t *testing.T) {
	called, told := 0, 0
	c := Case{Name: "c", New: func() Run {
		called = 0
		return Run{
			Loop:  func(n int) (int, int) { called += n; return n, 0 },
			Check: func(n int) error { told = n; return nil },
		}
	}}
	require.NoError(t, Try(c, 1, 20, 300))
	assert.Equal(t, 321, told)

	_, err := Measure(Subject{Groups: []Group{{Rows: []Row{{Ours: c}}}}}, quick(3))
	require.NoError(t, err)
	assert.Equal(t, called, told)
}

func TestSampleSizes(t *testing.T) {
	const d = time.Millisecond
	assert.Equal(t, 16, more(1, 0, d), "in steps")
	assert.Equal(t, 200, more(100, d/2, d))
	assert.Equal(t, 101, more(100, d, d), "in any case")
	assert.Equal(t, mostOperations, more(mostOperations-5, 1, d))
	assert.True(t, enough(1, d/2, d))
	assert.False(t, enough(1_000_000, d/2-1, d))
	assert.True(t, enough(mostOperations, 1, d))
}

// A machine that stands still while the size of a sample is found out spoils
// that sample, not those of the rounds to come.
func TestSampleSizeIsCorrected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		setups := 0
		row := Row{Ours: Case{New: func() Run {
			setups++
			still := setups == 1
			return Run{Loop: func(n int) (int, int) {
				time.Sleep(time.Duration(n) * time.Microsecond)
				if still {
					time.Sleep(time.Second)
				}
				return n, 0
			}}
		}}}
		o := quick(4)
		o.BenchTime = 100 * time.Millisecond
		res, err := Measure(Subject{Groups: []Group{{Rows: []Row{row}}}}, o)
		require.NoError(t, err)
		nanos := res.Groups[0].Rows[0].Cases[0].Nanos
		assert.Equal(t, []float64{1_000_001_000, 1000, 1000, 1000}, nanos)
	})
}

func TestAllocations(t *testing.T) {
	var kept *[128]byte
	row := Row{Ours: Case{Name: "allocates", New: func() Run {
		return Run{Loop: func(n int) (int, int) {
			for range n {
				kept = new([128]byte)
			}
			return n, 0
		}}
	}}}
	o := quick(3)
	o.BenchTime = time.Millisecond
	res, err := Measure(Subject{Groups: []Group{{Rows: []Row{row}}}}, o)
	require.NoError(t, err)
	assert.NotNil(t, kept)
	assert.Equal(t, []float64{1, 1, 1}, res.Groups[0].Rows[0].Cases[0].Allocs)
	assert.Equal(t, []float64{128, 128, 128}, res.Groups[0].Rows[0].Cases[0].Bytes)
}

// Of an operation that does several of what the row tells, a part is told.
func TestEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept [3]*[64]byte
		row := Row{Ours: Case{New: func() Run {
			return Run{Each: 4, Loop: func(n int) (int, int) {
				for range n {
					time.Sleep(100 * time.Nanosecond)
					for i := range kept {
						kept[i] = new([64]byte)
					}
				}
				return n, 0
			}}
		}}}
		o := quick(2)
		o.BenchTime = time.Millisecond
		res, err := Measure(Subject{Groups: []Group{{Rows: []Row{row}}}}, o)
		require.NoError(t, err)
		assert.NotNil(t, kept)
		c := res.Groups[0].Rows[0].Cases[0]
		assert.Equal(t, []float64{25, 25}, c.Nanos)
		assert.Equal(t, []float64{0.75, 0.75}, c.Allocs, "what an operation allocates does not vanish among its parts")
		assert.Equal(t, []float64{48, 48}, c.Bytes)
	})
}

// Operations that are timed one by one: pauses do not count.
func TestLaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		laps := 0
		run := Run{Each: 2, Laps: func(took []time.Duration) (int, int) {
			for i := range took {
				time.Sleep(time.Millisecond)
				took[i] = time.Duration(2 * (i%101 + 1))
			}
			laps += len(took)
			return len(took), 0
		}}
		checked := 0
		run.Check = func(n int) error { checked += n; return nil }
		row := Row{Ours: Case{New: func() Run { return run }}}
		o := quick(2)
		o.BenchTime = 101 * time.Millisecond
		res, err := Measure(Subject{Groups: []Group{{Rows: []Row{row}}}}, o)
		require.NoError(t, err)
		c := res.Groups[0].Rows[0].Cases[0]
		assert.Equal(t, Samples{
			P50: []float64{51, 51}, Nanos: []float64{91, 91}, P99: []float64{100, 100},
			Allocs: []float64{0, 0}, Bytes: []float64{0, 0},
		}, c)
		assert.Equal(t, laps, checked)

		require.NoError(t, Try(row.Ours, 3, 4))
		run.Laps = func(took []time.Duration) (int, int) { return len(took) - 1, 1 }
		require.ErrorContains(t, Try(row.Ours, 3), "1 failed")
	})
}

func TestMemoryCountsWhatIsKept(t *testing.T) {
	m := Memory{N: 1000, Ours: MemoryCase{Prepare: func(n int) func() any {
		kept := make([]*[1024]byte, n) // not counted
		return func() any {
			for i := range kept {
				kept[i] = new([1024]byte)
				_ = slices.Clone(kept[i][:]) // not kept
			}
			return kept
		}
	}}}
	res, err := m.measure()
	require.NoError(t, err)
	require.Len(t, res.Bytes, 1)
	assert.InDelta(t, 1024, res.Bytes[0], 100)
}

type closer func() error

func (c closer) Close() error { return c() }

func TestMemoryIsClosed(t *testing.T) {
	closed := 0
	var failure error
	m := Memory{Name: "row", N: 1, Ours: MemoryCase{Name: "ours", Prepare: func(int) func() any {
		return func() any {
			return closer(func() error {
				closed++
				return failure
			})
		}
	}}}
	_, err := Measure(Subject{Memory: []Memory{m}}, quick(2))
	require.NoError(t, err)
	assert.Equal(t, 1, closed)
	failure = errors.New("still open")
	_, err = Measure(Subject{Memory: []Memory{m}}, quick(1))
	require.ErrorIs(t, err, failure)
	assert.ErrorContains(t, err, "row/ours")
}

func TestParallel(t *testing.T) {
	for _, goroutines := range []int{1, 2, 8} {
		shares := make(chan int, goroutines)
		loop := Parallel(goroutines, func(n int) (int, int) {
			shares <- n
			return n - n/2, n / 2
		})
		for _, n := range []int{1, 7, 1000} {
			passed, failed := loop(n)
			assert.Equal(t, n, passed+failed)
			for range goroutines {
				assert.InDelta(t, n/goroutines, <-shares, 1, "shared out evenly")
			}
		}
	}
}

func TestPattern(t *testing.T) {
	want := Pattern([]bool{true, false, false})
	for n, wantPassed := range []int{0, 1, 1, 1, 2, 2, 2, 3} {
		passed, failed := want(n)
		assert.Equal(t, wantPassed, passed, n)
		assert.Equal(t, n-wantPassed, failed, n)
	}
}
