package filestore_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
)

// FuzzOpen: a directory holds any bytes, or the golden ones with changes: triples
// of a place and a byte. Open takes it or refuses it, without a panic; what it
// takes goes on to work; and nothing that was written well is changed without being
// cut off or refused.
func FuzzOpen(f *testing.F) {
	base := golden(f, "v1")
	f.Add([]byte(nil), []byte(nil))
	f.Add(base["00000003.saga"], []byte(nil))
	f.Add([]byte(nil), []byte{0, 100, 1})
	f.Add([]byte(nil), []byte{16, 0, 0, 16, 1, 0, 16, 2, 0})
	f.Fuzz(func(t *testing.T, raw, changes []byte) {
		files := map[string][]byte{one: raw}
		few := len(changes) < 3*70 // less than what wipes out a frame, which nobody would miss
		if len(raw) == 0 {
			files = map[string][]byte{}
			names := []string{"00000002.saga", "00000003.saga"}
			for _, name := range names {
				files[name] = slices.Clone(base[name])
			}
			for ; len(changes) >= 3; changes = changes[3:] {
				at := binary.BigEndian.Uint16(changes)
				data := files[names[at>>12&1]]
				data[int(at)&4095] = changes[2]
			}
		}
		d := filestore.NewMemDir(files)
		s, err := filestore.OpenDir(d, filestore.Config{SegmentSize: 4096, Garbage: -1})
		if err != nil {
			require.Nil(t, s)
			require.Equal(t, files, d.Files())
			_, verified := filestore.VerifyDir(d)
			require.Error(t, verified)
			return
		}
		if few && len(raw) == 0 && s.Stats().CutOff == 0 {
			for _, want := range goldenHeads() {
				_, events, err := s.Load(bg, want.ID)
				require.NoError(t, err)
				require.Equal(t, goldenEvents(want.ID), texts(events))
			}
		}
		heads, _, err := s.List(bg, durable.Query{Limit: -1})
		require.NoError(t, err)
		require.Len(t, heads, s.Stats().Runs)
		for _, h := range heads {
			if _, _, err := s.Load(bg, h.ID); err != nil {
				require.ErrorIs(t, err, filestore.ErrCorrupt)
			}
			if err := s.Append(bg, h.Rev, h, 0, nil); err != nil {
				require.True(t, errors.Is(err, durable.ErrConflict) || h.Rev == 0, err)
			}
		}
		_ = s.Compact(bg) // of what makes no sense it may tell
		require.NoError(t, s.Stats().Err)
		runs := s.Stats().Runs
		closeStore(t, s)
		s, err = filestore.OpenDir(d, filestore.Config{})
		require.NoError(t, err)
		require.Equal(t, runs, s.Stats().Runs)
		closeStore(t, s)
	})
}
