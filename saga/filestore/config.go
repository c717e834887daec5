package filestore

import (
	"errors"
	"fmt"
	"math"

	"github.com/mainstay-go/mainstay/saga"
)

// Config says how a [Store] works. It is passed by value, copied, and never changed
// later. The zero Config is valid.
type Config struct {
	// SegmentSize is how many bytes a file takes before the next one is begun; a
	// batch is never split, so a file can be larger. Files are filled with zeros
	// ahead of what is written, up to 1 MiB at a time. Zero: 64 MiB. Negative:
	// one file, which only [Store.Compact] replaces.
	SegmentSize int64

	// MaxBatch is how many bytes one sync covers at most; a single larger call is
	// a batch of its own. Zero: 4 MiB. Negative: no limit.
	MaxBatch int

	// Garbage is the share of dead bytes at which a closed file is rewritten, on
	// a goroutine that ends when there is nothing more to do. Zero: 0.5. Negative:
	// only by [Store.Compact].
	Garbage float64

	// NoSync leaves it to the system when data reach the disk. What was
	// acknowledged outlives the process but not the machine, and a directory may
	// be corrupt after a power failure. It is for tests.
	NoSync bool

	// Clock tells the time of leases and wake-ups. Nil: system time. Give the
	// engine the same one.
	Clock saga.Clock
}

const (
	defaultSegmentSize = 64 << 20
	defaultMaxBatch    = 4 << 20
	defaultGarbage     = 0.5

	// ahead is how far files are filled with zeros beyond what is written. A sync
	// then changes neither the size of a file nor the map of its blocks. It is
	// zeros and not fallocate: a file system that notes which blocks were never
	// written has to change that note with every batch.
	ahead = 1 << 20

	// maxBody is how long the body of one frame may be. It bounds what a damaged
	// length can make the scan ask for.
	maxBody = 1 << 30
)

func (c Config) validate() error {
	var errs []error
	if !(c.Garbage <= 1) || math.IsInf(c.Garbage, 0) {
		errs = append(errs, fmt.Errorf("Garbage is %v, want a share of at most 1, or a negative number for never", c.Garbage))
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("filestore: Open: %w", errors.Join(errs...))
}

func (c Config) withDefaults() Config {
	switch {
	case c.SegmentSize == 0:
		c.SegmentSize = defaultSegmentSize
	case c.SegmentSize < 0:
		c.SegmentSize = math.MaxInt64
	}
	switch {
	case c.MaxBatch == 0:
		c.MaxBatch = defaultMaxBatch
	case c.MaxBatch < 0:
		c.MaxBatch = math.MaxInt
	}
	if c.Garbage == 0 {
		c.Garbage = defaultGarbage
	}
	return c
}
