package modelcheck

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// steps is how long a walk is.
const steps = 300

// TestWalk does random operations one after the other, and compares each with
// the model.
func TestWalk(t *testing.T) {
	want := size(walks, 3_000, 200_000, 1_000)
	from := *seed
	if from == 0 {
		from = rand.Uint64()
	}
	done := 0
	for i := range want {
		s := from + uint64(i)
		h := newHistory(s, 1, steps)
		h.run()
		for service := range services {
			m := newModel()
			for _, o := range h.of(service) {
				require.True(t, h.step(&m, o, service), "the walk that -run TestWalk -walks 1 -seed %d replays goes wrong at:\n%v\nin:\n%v", s, o, h)
				done++
			}
		}
	}
	t.Logf("%d walks, seeds from %d: %d operations as in the model", want, from, done)
}
