package modelcheck

import (
	"flag"
	"os"
	"testing"
)

// How much is checked. Zero: as much as the run is for.
var (
	operations = flag.Int("operations", 0, "operations of the state machine, all families together")
	histories  = flag.Int("histories", 0, "concurrent histories, and rounds of the other concurrent tests")
	seed       = flag.Uint64("seed", 0, "the plan of all histories; 0: one for each")
	shrink     = flag.Bool("smallest", true, "look for a smaller history that has no order either")
)

func deep() bool { return os.Getenv("MAINSTAY_DEEP") != "" }

// size chooses what a flag says, or the size of this kind of run. The race
// detector slows everything down and finds its races in few steps.
func size(asked *int, usual, deeply, raced int) int {
	switch {
	case *asked > 0:
		return *asked
	case raceEnabled:
		return raced
	case deep():
		return deeply
	}
	return usual
}

// set changes a flag of another package, unless the command line did.
func set(tb testing.TB, name, value string) {
	tb.Helper()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if given {
		return
	}
	if err := flag.Set(name, value); err != nil {
		tb.Fatal(err)
	}
}
