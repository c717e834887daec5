package filestore_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga/filestore"
)

// TestG51_everyShortWrite: there is no space left in the middle of any write: none, one,
// or some bytes of it are written, up to all but one. The store writes nothing after
// that, and all that was acknowledged is there.
func TestG51_everyShortWrite(t *testing.T) {
	short := 0
	for n := 0; ; n++ {
		random := rand.New(rand.NewPCG(4, uint64(n)))
		hit := 0
		for _, cut := range []int{0, 1, 511, 512, 513, random.IntN(3000), 1 << 20} {
			writes, late := 0, 0
			d := filestore.NewMemDir(nil)
			d.Before = func(op, _ string) error {
				if op != "write" {
					return nil
				}
				if writes++; writes == n+1 {
					return fmt.Errorf("%w: %w", syscall.ENOSPC, filestore.ShortWriteError{N: cut})
				}
				if writes > n+1 {
					late++
				}
				return nil
			}
			why := fmt.Sprintf("write %d, %d bytes of it", n, cut)
			s, err := filestore.OpenDir(d, small)
			w := newWorkload()
			if err == nil {
				w.drive(s, 4, 60)
				if len(w.fails) == 0 {
					require.LessOrEqual(t, writes, n, why)
					require.NoError(t, s.Close(bg))
					break
				}
				require.ErrorIs(t, w.fails[0], filestore.ErrFailed, why)
				require.ErrorIs(t, w.fails[0], syscall.ENOSPC, why)
				poisoned(t, w, s)
				require.Zero(t, late, why)
				require.NoError(t, s.Close(bg))
			} else {
				require.ErrorIs(t, err, syscall.ENOSPC, why)
			}
			hit++
			d.Before = nil
			w.reopen(t, d.Killed(), why)
			w.reopen(t, d.Crash(true, func() bool { return random.IntN(2) == 0 }), why)
			w.reopen(t, d.Crash(false, func() bool { return false }), why)
		}
		if hit == 0 {
			break
		}
		short += hit
	}
	require.Greater(t, short, 400)
}

// TestG51_everyRead: any one read of a workload that also loads fails, once. Who asked for
// it is told, or asks again; nothing is lost, nothing counts as damaged, and the store goes
// on.
func TestG51_everyRead(t *testing.T) {
	failed := 0
	for n := 0; ; n++ {
		d := filestore.NewMemDir(nil)
		s, err := filestore.OpenDir(d, small)
		require.NoError(t, err)
		w, reads := newWorkload(), 0
		told := func(err error) {
			if err == nil {
				return
			}
			require.ErrorIs(t, err, errDisk, n)
			require.NotErrorIs(t, err, filestore.ErrCorrupt, n)
			failed++
		}
		d.Before = func(op, _ string) error {
			if op == "read" {
				if reads++; reads == n+1 {
					return errDisk
				}
			}
			return nil
		}
		for part := range uint64(4) {
			fails := len(w.fails)
			w.drive(s, part, 30)
			if len(w.fails) > fails { // Compact reads, too; it has changed nothing
				told(w.fails[fails])
			}
			for id := range w.runs {
				_, _, err := s.Load(bg, id)
				if w.runs[id].rev > 0 {
					told(err)
				}
			}
			require.NoError(t, s.Stats().Err, n)
		}
		d.Before = nil
		w.check(t, s)
		require.NoError(t, s.Close(bg))
		w.reopen(t, d.Killed(), fmt.Sprint("read ", n))
		if reads <= n {
			require.Greater(t, n, 50)
			require.GreaterOrEqual(t, failed, n, "not everybody is told")
			return
		}
	}
}

// TestG51_place: the place at which damage is told to be is that of the frame, or the
// sector, that holds the bit that was flipped.
func TestG51_place(t *testing.T) {
	_, after, _, to := lastBatch(t)
	flips := 0
	for at := range to {
		for bit := range 8 {
			after[at] ^= 1 << bit
			_, err := filestore.VerifyDir(filestore.NewMemDir(map[string][]byte{one: after}))
			after[at] ^= 1 << bit
			var c *filestore.CorruptError
			if !errors.As(err, &c) { // another format, which is told as such
				require.Error(t, err)
				require.Less(t, at, 64)
				continue
			}
			require.Equal(t, one, c.File)
			require.LessOrEqual(t, c.Offset, int64(at/512*512+512), "byte %d, bit %d: %v", at, bit, err)
			require.GreaterOrEqual(t, c.Offset, int64(at-2000), "byte %d, bit %d: %v", at, bit, err) // no frame is longer
			flips++
		}
	}
	require.Greater(t, flips, 32_768)
}
