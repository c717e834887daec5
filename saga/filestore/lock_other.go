//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package filestore

import (
	"errors"
	"fmt"
	"io"
	"runtime"
)

// lock has nothing to lock with: two processes could write the same directory.
func (d *disk) lock() (io.Closer, error) {
	return nil, fmt.Errorf("filestore: no lock that ends with the process on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
