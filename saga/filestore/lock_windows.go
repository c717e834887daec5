package filestore

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// sharingViolation is ERROR_SHARING_VIOLATION.
const sharingViolation = syscall.Errno(32)

// lock takes the lock of the directory, a file that is opened and not shared: the
// system closes it when the process dies.
func (d *disk) lock() (io.Closer, error) {
	path := filepath.Join(d.path, lockName)
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, sharingViolation) {
		return nil, ErrLocked
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return handle(h), nil
}

type handle syscall.Handle

// Close frees the lock.
func (h handle) Close() error { return syscall.CloseHandle(syscall.Handle(h)) }
