package breaker

import (
	"runtime"
	"sync/atomic"
)

// stripes is into how many parts a hot counter is split: a power of two that is
// at least GOMAXPROCS, at most 16.
func stripes() int {
	n := 1
	for n < 16 && n < runtime.GOMAXPROCS(0) {
		n *= 2
	}
	return n
}

// stripe picks one of n, a power of two, by a hash of the time. Callers have
// just read the clock, and two that have read the same nanosecond are rare; a
// random number would cost as much as the whole addition. (The address of a
// stack variable would tell goroutines apart too, but needs unsafe, which this
// package does without.) A clock that stands still makes for one stripe.
func stripe(now int64, n int) int {
	return int(uint64(now)*0x9e3779b97f4a7c15>>32) & (n - 1)
}

// A stripedCounter counts what many goroutines do at once.
type stripedCounter []struct {
	n atomic.Uint64
	_ [lineWords - 1]uint64 // a cache line each
}

func (c stripedCounter) add(now int64) { c[stripe(now, len(c))].n.Add(1) }

func (c stripedCounter) load() (n uint64) {
	for i := range c {
		n += c[i].n.Load()
	}
	return n
}
