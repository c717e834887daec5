package filestore

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// A directory is all that the store asks of a file system: a seam, so that tests
// can make any call fail, and the machine die after any.
type directory interface {
	list() ([]string, error)
	open(name string) (file, error) // for reading
	change(name string) (file, error)
	create(name string) (file, error)
	rename(from, to string) error
	remove(name string) error
	sync() error
	lock() (io.Closer, error) // ErrLocked: somebody else has it
	close() error
}

type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error // what was written, and the size
	Truncate(size int64) error
	size() (int64, error)
}

// disk is a directory of the system. Files are opened through an os.Root: no name
// leads out of it, and on Windows files opened so can be removed while they are
// read.
type disk struct {
	path string
	root *os.Root
}

// makeDir makes a directory, and sees to it that it is still there after a crash.
func makeDir(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(path, 0o750); err != nil {
		return err
	}
	return syncDir(filepath.Dir(filepath.Clean(path)))
}

func openDisk(path string) (*disk, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &disk{path: path, root: root}, nil
}

func (d *disk) list() ([]string, error) {
	entries, err := fs.ReadDir(d.root.FS(), ".")
	found := make([]string, len(entries))
	for i, e := range entries {
		found[i] = e.Name()
	}
	return found, err
}

func (d *disk) open(name string) (file, error) { return d.with(name, os.O_RDONLY) }

func (d *disk) change(name string) (file, error) { return d.with(name, os.O_RDWR) }

func (d *disk) create(name string) (file, error) {
	return d.with(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

func (d *disk) with(name string, flags int) (file, error) {
	f, err := d.root.OpenFile(name, flags, 0o640)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

func (d *disk) rename(from, to string) error { return d.root.Rename(from, to) }

func (d *disk) remove(name string) error { return d.root.Remove(name) }

func (d *disk) sync() error { return syncDir(d.path) }

func (d *disk) close() error { return d.root.Close() }

// syncDir syncs the names in a directory. Windows has no call for that.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

type diskFile struct{ *os.File }

func (f diskFile) Sync() error { return syncData(f.File) }

func (f diskFile) size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
