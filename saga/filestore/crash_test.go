package filestore_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga/filestore"
)

// TestG50_crashAtEveryCall: the machine dies at every call that a store makes of
// its files, compaction included, and any part of what was not synced is gone.
// What was acknowledged is there, what was not is there as a whole or not at all.
func TestG50_crashAtEveryCall(t *testing.T) {
	for seed := range uint64(6) {
		total := calls(t, seed, 60)
		require.Greater(t, total, 300)
		for n := range total {
			crashAt(t, seed, n)
		}
	}
}

func crashAt(t *testing.T, seed uint64, n int) {
	t.Helper()
	d := filestore.NewMemDir(nil)
	left := n
	d.Before = func(op, _ string) error {
		if left--; left < 0 {
			return errDead
		}
		return nil
	}
	w := newWorkload()
	s, err := filestore.OpenDir(d, small)
	if err == nil {
		w.drive(s, seed, 60)
		_ = s.Close(bg)
	}
	rng := rand.New(rand.NewPCG(seed, uint64(n)))
	kept := func(share float64) func() bool { return func() bool { return rng.Float64() < share } }
	for _, names := range []bool{false, true} {
		for _, share := range []float64{0, 0.3, 0.7, 1} {
			w.reopen(t, d.Crash(names, kept(share)), fmt.Sprintf("seed %d, call %d, names %v, share %v", seed, n, names, share))
		}
	}
	w.reopen(t, d.Killed(), fmt.Sprintf("seed %d, call %d, killed", seed, n))
}

// TestG50_crashOfRecovery: the machine dies at every call of Open after a crash,
// and again.
func TestG50_crashOfRecovery(t *testing.T) {
	const seed = 7
	d := filestore.NewMemDir(nil)
	left := calls(t, seed, 60) * 2 / 3
	d.Before = func(op, _ string) error {
		if left--; left < 0 {
			return errDead
		}
		return nil
	}
	s, err := filestore.OpenDir(d, small)
	require.NoError(t, err)
	w := newWorkload()
	w.drive(s, seed, 60)
	rng := rand.New(rand.NewPCG(1, 2))
	coin := func() bool { return rng.IntN(2) == 0 }
	for range 20 {
		first := d.Crash(true, coin)
		for n := 0; ; n++ {
			again := filestore.NewMemDir(first.Files())
			left := n
			again.Before = func(op, _ string) error {
				if left--; left < 0 {
					return errDead
				}
				return nil
			}
			s, err := filestore.OpenDir(again, small)
			w.reopen(t, again.Crash(coin(), coin), fmt.Sprintf("call %d", n))
			if err == nil {
				again.Before = nil
				require.NoError(t, s.Close(bg))
				break
			}
		}
	}
}
