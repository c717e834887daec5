// Package bench measures Mainstay against other libraries within one run and
// writes the report. What is measured is data: a [Subject] per package.
package bench

import (
	"sync"
	"sync/atomic"
	"time"
)

// A Subject is one package of Mainstay and what it is measured against.
type Subject struct {
	Name     string
	Settings []Setting // how each library is set up
	Groups   []Group
	Memory   []Memory
	Tables   []Table
}

// A Setting tells people how a library is set up, or why it is left out.
type Setting struct {
	Library string
	Module  string // its version comes from the build; empty for Mainstay
	Text    string
}

// A Group is a headline with the rows below it.
type Group struct {
	Name  string
	Rows  []Row
	After func() // called when the group has been measured; may be nil
}

// A Row is one operation: ours, and the same work done by others.
type Row struct {
	Name   string
	Note   string
	Ours   Case
	Others []Other

	// Limit is the bar for what one operation of ours takes. Zero: none.
	Limit time.Duration
	// Allocs is the bar for the allocations of one operation of ours.
	Allocs int
	// Net has Limit and Allocs apply to what ours costs on top of Others[0].
	Net bool
}

// Other is what ours is compared with.
type Other struct {
	Case
	AtMost float64 // the bar: ours takes at most so many times this. Zero: none
	Floor  bool    // not a rival but a yardstick
	Why    string  // why it is ahead, where it is
}

// A Case is one way to do the work of a row.
type Case struct {
	Name string
	New  func() Run // sets up from scratch; called for every round
}

// A Loop does an operation n times and tells how often it passed and failed.
// It may be called again and again.
type Loop func(n int) (passed, failed int)

// Laps does an operation len(took) times and says how long each took. What it
// does in between, such as a pause, does not count.
type Laps func(took []time.Duration) (passed, failed int)

// A Run is a case that is set up. It has a Loop or Laps. Where it has Laps, its
// time is the 90th percentile of a round, and the report tells median and 99th
// percentile as well.
type Run struct {
	Loop  Loop
	Laps  Laps
	Each  int                              // how many of what the row tells the time of one operation does, such as handler calls. Zero: one
	Want  func(n int) (passed, failed int) // what Loop or Laps must return. Nil: all pass
	Check func(n int) error                // whether the state is right after n operations. May be nil
	Why   func() error                     // what went wrong, asked when Loop or Laps have not returned what they must. May be nil
	Close func()                           // may be nil
}

// A Memory row says how much heap one of many costs.
type Memory struct {
	Name   string
	Note   string
	N      int // how many are made
	Limit  int // the bar for one of ours, in bytes
	Ours   MemoryCase
	Others []MemoryCase
}

// A MemoryCase makes n of something. What prepare allocates is not counted,
// what build allocates and its result still reaches is. A result that is an
// io.Closer is closed when it has been measured.
type MemoryCase struct {
	Name    string
	Prepare func(n int) (build func() any)
	Why     string // why it is ahead, where it is
}

// A Table is what else is told about a subject. It is worked out once, not
// measured round by round.
type Table struct {
	Name    string
	Note    string
	Columns []string          // of which the first has the names of the rows
	Rows    func() [][]string // each as long as Columns
}

// AllFail is a Want: every operation fails.
func AllFail(n int) (passed, failed int) { return 0, n }

// Pattern is a Want: operations repeat a pattern that begins anew with every
// Loop. It holds true where one passes.
func Pattern(pattern []bool) func(n int) (passed, failed int) {
	return func(n int) (passed, failed int) {
		for i := range n {
			if pattern[i%len(pattern)] {
				passed++
			}
		}
		return passed, n - passed
	}
}

// Parallel shares the operations of a loop among goroutines.
func Parallel(goroutines int, loop Loop) Loop {
	return func(n int) (int, int) {
		var passed, failed atomic.Int64
		var wg sync.WaitGroup
		for i := range goroutines {
			share := (n + i) / goroutines
			wg.Go(func() {
				p, f := loop(share)
				passed.Add(int64(p))
				failed.Add(int64(f))
			})
		}
		wg.Wait()
		return int(passed.Load()), int(failed.Load())
	}
}
