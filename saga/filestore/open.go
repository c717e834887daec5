package filestore

import (
	"errors"
	"fmt"
	"slices"
)

// Open opens the store in a directory, which is made if it is not there. It reads
// all files, and what it finds is synced before it is used. An end that was never
// acknowledged is cut off ([Stats].CutOff). If anything else is not as it was
// written the error Is [ErrCorrupt], a [*CorruptError] inside it says where, and
// no file is changed. A directory that is in use is [ErrLocked].
func Open(dir string, cfg Config) (*Store, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if err := makeDir(dir); err != nil {
		return nil, fmt.Errorf("filestore: Open: %w", err)
	}
	d, err := openDisk(dir)
	if err != nil {
		return nil, fmt.Errorf("filestore: Open: %w", err)
	}
	return openIn(d, cfg)
}

// openIn opens the store in a directory, and closes that if it fails.
func openIn(dir directory, cfg Config) (*Store, error) {
	s := &Store{
		cfg: cfg.withDefaults(), dir: dir, time: newTimeline(cfg.Clock), index: newIndex(),
		cleaning: make(chan struct{}, 1), watchers: make(map[chan struct{}]struct{}), closed: make(chan struct{}),
	}
	held, err := dir.lock()
	if err == nil {
		s.held = held
		err = s.restore()
		if err != nil {
			err = errors.Join(err, held.Close())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("filestore: Open: %w", errors.Join(err, dir.close()))
	}
	return s, nil
}

// restore reads what is there and makes it ready to be written to.
func (s *Store) restore() error {
	f, err := recovery(s.dir)
	if err != nil {
		return err
	}
	s.index, s.segs, s.records, s.cutOff = f.index, f.segs, f.frames, f.cut
	if err := s.mend(f); err != nil {
		for _, g := range s.segs {
			err = errors.Join(err, g.file.Close())
		}
		return err
	}
	return nil
}

// mend changes files for the first time: all that must not change has been read.
func (s *Store) mend(f *found) error {
	if g := f.newest; g != nil {
		file, err := s.dir.change(segmentName(g.seg))
		if err != nil {
			return err
		}
		if err := g.file.Close(); err != nil {
			return errors.Join(err, file.Close())
		}
		g.file = file
		s.log = log{seg: g, end: g.end, size: f.size}
		if f.cut > 0 {
			s.log.size = extent(g.end)
			if err := file.Truncate(s.log.size); err != nil {
				return err
			}
		}
		// What was read may have been on its way to the disk only.
		if err := s.sync(file); err != nil {
			return err
		}
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(f.waste))) {
		if err := s.dir.remove(name); err != nil {
			return err
		}
	}
	if f.newest == nil {
		return s.roll()
	}
	return s.syncDir()
}

// Verify reads the store in a directory as [Open] does, and changes nothing. It
// may be used while the directory is open, also in another process; what is being
// written meanwhile counts as CutOff. Of Stats, Syncs and Err are zero.
func Verify(dir string) (Stats, error) {
	d, err := openDisk(dir)
	if err != nil {
		return Stats{}, fmt.Errorf("filestore: Verify: %w", err)
	}
	st, err := verify(d)
	if err = errors.Join(err, d.close()); err != nil {
		return Stats{}, fmt.Errorf("filestore: Verify: %w", err)
	}
	return st, nil
}

// verifyTries is how often a directory is read at most that looks different, and
// wrong, each time.
const verifyTries = 100

// verify reads until two readings agree about what is wrong: files come and go
// while a store is open, and a batch may be read in the middle of its write.
func verify(dir directory) (Stats, error) {
	var before error
	for range verifyTries {
		f, err := recovery(dir)
		if err == nil {
			st := f.stats()
			f.close()
			return st, nil
		}
		if before != nil && before.Error() == err.Error() {
			break
		}
		before = err
	}
	return Stats{}, before
}
