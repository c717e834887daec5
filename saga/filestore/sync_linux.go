package filestore

import (
	"errors"
	"os"
	"syscall"
)

// syncData syncs what is in a file, and of what the system knows about it only
// what reading needs: the time of a change is not worth a write.
func syncData(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		for {
			// An interrupted call has not failed: it says nothing of the data.
			if failed = syscall.Fdatasync(int(fd)); !errors.Is(failed, syscall.EINTR) {
				return
			}
		}
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}
