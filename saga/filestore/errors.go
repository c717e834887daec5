package filestore

import (
	"errors"
	"fmt"
)

// The sentinels are what callers decide on.
var (
	// ErrLocked tells that the directory is in use, by this process or another.
	ErrLocked = errors.New("filestore: directory is in use")

	// ErrCorrupt tells that a file does not hold what was written to it. It comes
	// inside a [*CorruptError], which says where.
	ErrCorrupt = errors.New("filestore: corrupt")

	// ErrFailed tells that writing failed once. Nothing is written any more until
	// the directory is opened again: what the system then has is read, whereas a
	// sync that failed would not fail twice. Reads go on.
	ErrFailed = errors.New("filestore: writing failed")
)

// Reasons that stay inside the package.
var (
	errNilContext = errors.New("nil context")
	errZeroStore  = errors.New("nil or zero Store, use Open")
	errTooLarge   = errors.New("more than 1 GiB of events in one call")
	errMoved      = errors.New("the run has changed")
	errGone       = errors.New("the segment was removed")
)

// A CorruptError is damage: bytes that were synced once and do not hold what was
// written. It Is [ErrCorrupt].
type CorruptError struct {
	File   string // name inside the directory
	Offset int64  // of the damage, in bytes from the start of the file
	Why    string
}

// Error names the file, the place and the reason.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("filestore: %s is corrupt at byte %d: %s", e.File, e.Offset, e.Why)
}

// Is reports whether target is ErrCorrupt.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// damage is a CorruptError for a place in the stream of a segment.
func damage(seg uint32, off int64, format string, args ...any) error {
	return &CorruptError{File: segmentName(seg), Offset: place(off), Why: fmt.Sprintf(format, args...)}
}
