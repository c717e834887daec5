package breaker_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// G40, G41: a group under use, deletion, sweeps and reconfiguration.
func TestConcurrent_group(t *testing.T) {
	g := breaker.MustNewGroup(breaker.GroupConfig[int]{Max: 50, IdleFor: -1})
	kept := make([]*breaker.Breaker, 10) // not clean, so never dropped
	for key := range kept {
		kept[key] = g.Get(key)
		failing(t, kept[key], 1)
	}
	together(4, func(_ int, rnd *rand.Rand) {
		for range 3000 {
			switch key := 10 + rnd.IntN(200); rnd.IntN(12) {
			case 0:
				g.Delete(key)
			case 1:
				for k, b := range g.All() {
					if b.Name() != fmt.Sprint(k) {
						assert.Fail(t, "wrong breaker", "key %d has %q", k, b.Name())
					}
				}
			case 2:
				assert.NoError(t, g.Reconfigure(breaker.Config{OpenFor: time.Duration(1 + rnd.IntN(100))}))
			case 3:
				b, err := g.GetWith(key, breaker.Config{Probes: 2})
				assert.NoError(t, err)
				assert.Equal(t, fmt.Sprint(key), b.Name())
			case 4, 5:
				key = rnd.IntN(len(kept))
				assert.Same(t, kept[key], g.Get(key))
			default:
				b := g.Get(key)
				if b.Name() != fmt.Sprint(key) {
					assert.Fail(t, "wrong breaker", "key %d has %q", key, b.Name())
				}
				_ = b.Run(context.Background(), returning([]error{nil, nil, errBoom}[rnd.IntN(3)]))
			}
		}
	})
	n := 0
	for key, b := range g.All() {
		assert.Same(t, b, g.Get(key))
		n++
	}
	assert.Equal(t, n, g.Len())
	for key, b := range kept {
		assert.Same(t, b, g.Get(key))
		assert.EqualValues(t, 1, b.Snapshot().Failures)
	}
}

// G40: many keys, each asked for by all at once, have one breaker each.
func TestConcurrent_firstGets(t *testing.T) {
	g := breaker.MustNewGroup(breaker.GroupConfig[int]{Max: -1})
	got := make([][]*breaker.Breaker, 8)
	together(8, func(i int, _ *rand.Rand) {
		for key := range 2000 {
			got[i] = append(got[i], g.Get(key))
		}
	})
	for i := range got {
		for key, b := range got[i] {
			require.Same(t, got[0][key], b)
		}
	}
	assert.Equal(t, 2000, g.Len())
}
