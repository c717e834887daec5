package filestore

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"
)

// A MemDir is a directory in memory that can fail any call, die, and lose what was
// not synced. Reads see what was written, as those of a system do.
type MemDir struct {
	// Before is called before every call with its name: list, open, change, create,
	// rename, remove, syncdir, lock, read, write, sync, truncate. Its error is that
	// of the call, which has no effect then, but for a ShortWriteError.
	Before func(op, name string) error

	mu     sync.Mutex
	names  map[string]*memNode // as they are
	synced map[string]*memNode // as they are after a crash
	locked bool
}

// A ShortWriteError is the error of a write that wrote N bytes.
type ShortWriteError struct{ N int }

func (ShortWriteError) Error() string { return "no space" }

type memNode struct{ data, synced []byte }

// NewMemDir returns a directory with files that are synced.
func NewMemDir(files map[string][]byte) *MemDir {
	d := &MemDir{names: map[string]*memNode{}, synced: map[string]*memNode{}}
	for name, data := range files {
		n := &memNode{data: slices.Clone(data), synced: slices.Clone(data)}
		d.names[name], d.synced[name] = n, n
	}
	return d
}

// Files returns what is in the files now.
func (d *MemDir) Files() map[string][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	files := map[string][]byte{}
	for name, n := range d.names {
		files[name] = slices.Clone(n.data)
	}
	return files
}

// Killed is what another process finds: nothing is lost.
func (d *MemDir) Killed() *MemDir {
	c := NewMemDir(d.Files())
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, n := range c.names {
		n.synced = nil // but nothing is safe for that
		if old := d.names[name]; old != nil {
			n.synced = slices.Clone(old.synced)
		}
	}
	c.synced = map[string]*memNode{}
	for name := range d.synced {
		if n := c.names[name]; n != nil {
			c.synced[name] = n
		}
	}
	return c
}

// Crash is what is left after a power failure: of what was not synced, the names
// if keepNames, and every page for which keep says so.
func (d *MemDir) Crash(keepNames bool, keep func() bool) *MemDir {
	const page = 4096
	d.mu.Lock()
	defer d.mu.Unlock()
	names := d.synced
	if keepNames {
		names = d.names
	}
	files := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		n := names[name]
		data := slices.Clone(n.synced)
		if len(n.data) < len(data) && keep() {
			data = data[:len(n.data)]
		}
		for at := 0; at < len(n.data); at += page {
			end := min(at+page, len(n.data))
			if !keep() {
				continue
			}
			if len(data) < end {
				data = append(data, make([]byte, end-len(data))...)
			}
			copy(data[at:end], n.data[at:end])
		}
		files[name] = data
	}
	return NewMemDir(files)
}

func (d *MemDir) before(op, name string) error {
	if d.Before == nil {
		return nil
	}
	return d.Before(op, name)
}

// do runs a call, unless it is to fail.
func (d *MemDir) do(op, name string, call func() error) error {
	if err := d.before(op, name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return call()
}

func (d *MemDir) list() (all []string, err error) {
	return all, d.do("list", "", func() error {
		all = slices.Sorted(maps.Keys(d.names))
		return nil
	})
}

func (d *MemDir) find(op, name string) (f file, err error) {
	return f, d.do(op, name, func() error {
		n := d.names[name]
		if n == nil {
			return fs.ErrNotExist
		}
		f = &memFile{dir: d, name: name, node: n}
		return nil
	})
}

func (d *MemDir) open(name string) (file, error)   { return d.find("open", name) }
func (d *MemDir) change(name string) (file, error) { return d.find("change", name) }

func (d *MemDir) create(name string) (f file, err error) {
	return f, d.do("create", name, func() error {
		n := &memNode{}
		d.names[name] = n
		f = &memFile{dir: d, name: name, node: n}
		return nil
	})
}

func (d *MemDir) rename(from, to string) error {
	return d.do("rename", from, func() error {
		d.names[to] = d.names[from]
		delete(d.names, from)
		return nil
	})
}

func (d *MemDir) remove(name string) error {
	return d.do("remove", name, func() error {
		delete(d.names, name)
		return nil
	})
}

func (d *MemDir) sync() error {
	return d.do("syncdir", "", func() error {
		d.synced = maps.Clone(d.names)
		return nil
	})
}

func (d *MemDir) lock() (io.Closer, error) {
	return memLock{d}, d.do("lock", "", func() error {
		if d.locked {
			return ErrLocked
		}
		d.locked = true
		return nil
	})
}

func (d *MemDir) close() error { return d.before("closedir", "") }

type memLock struct{ dir *MemDir }

func (l memLock) Close() error {
	return l.dir.do("unlock", "", func() error {
		l.dir.locked = false
		return nil
	})
}

type memFile struct {
	dir  *MemDir
	name string
	node *memNode
	shut bool
}

func (f *memFile) do(op string, call func(n *memNode) error) error {
	return f.dir.do(op, f.name, func() error {
		if f.shut {
			return fs.ErrClosed
		}
		return call(f.node)
	})
}

func (f *memFile) ReadAt(b []byte, off int64) (k int, err error) {
	return k, f.do("read", func(n *memNode) error {
		if off < int64(len(n.data)) {
			k = copy(b, n.data[off:])
		}
		if k < len(b) {
			return io.EOF
		}
		return nil
	})
}

func (f *memFile) WriteAt(b []byte, off int64) (int, error) {
	put := func(n *memNode, b []byte) {
		if grow := int(off) + len(b) - len(n.data); grow > 0 {
			n.data = append(n.data, make([]byte, grow)...)
		}
		copy(n.data[off:], b)
	}
	err := f.do("write", func(n *memNode) error {
		put(n, b)
		return nil
	})
	var short ShortWriteError
	if errors.As(err, &short) {
		f.dir.mu.Lock()
		defer f.dir.mu.Unlock()
		k := min(short.N, len(b))
		put(f.node, b[:k])
		return k, err
	}
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

func (f *memFile) Sync() error {
	return f.do("sync", func(n *memNode) error {
		n.synced = slices.Clone(n.data)
		return nil
	})
}

func (f *memFile) Truncate(size int64) error {
	return f.do("truncate", func(n *memNode) error {
		n.data = n.data[:size:size]
		return nil
	})
}

func (f *memFile) size() (size int64, err error) {
	return size, f.do("size", func(n *memNode) error {
		size = int64(len(n.data))
		return nil
	})
}

func (f *memFile) Close() error {
	return f.do("close", func(*memNode) error {
		f.shut = true
		return nil
	})
}
