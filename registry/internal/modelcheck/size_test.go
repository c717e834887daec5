package modelcheck

import (
	"flag"
	"os"
)

// How much is checked. Zero: as much as the run is for.
var (
	histories = flag.Int("histories", 0, "concurrent histories")
	walks     = flag.Int("walks", 0, "walks of one goroutine")
	seed      = flag.Uint64("seed", 0, "the plan of all histories and walks; 0: one for each")
	shrink    = flag.Bool("smallest", true, "look for a smaller history that has no order either")
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
