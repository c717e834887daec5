package breaker

import (
	"math/rand/v2"
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

// anyStripe picks one of n by chance; n is a power of two. The address of a
// stack variable would tell goroutines apart more cheaply, but needs unsafe,
// which this package does without.
func anyStripe(n int) int {
	if n == 1 {
		return 0
	}
	return int(rand.Uint32()) & (n - 1)
}

// A stripedCounter counts what many goroutines do at once.
type stripedCounter []struct {
	n atomic.Uint64
	_ [lineWords - 1]uint64 // a cache line each
}

func (c stripedCounter) add() { c[anyStripe(len(c))].n.Add(1) }

func (c stripedCounter) load() (n uint64) {
	for i := range c {
		n += c[i].n.Load()
	}
	return n
}
