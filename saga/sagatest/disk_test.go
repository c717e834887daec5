package sagatest_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// A diskFault is what is wrong with a disk.
type diskFault struct {
	reads  func(e *entry)              // changes what is read when it is opened
	writes func(d *disk, e entry) bool // reports whether to write, after what it has written itself
	opens  func() error
	sleeps bool // claims nothing that was there when it was opened
}

// An entry is a run as it is after a write: a line of the file.
type entry struct {
	Head    durable.Head
	Events  [][]byte
	Deleted bool
}

// A disk is the plainest store that outlives its process, and works in other ways
// than the one in memory: it writes a run whole each time, keeps microseconds, knows
// leases by its wall clock, and lists by ID. It is no Watcher.
type disk struct {
	fault diskFault

	mu   sync.Mutex
	file *os.File
	runs map[string]entry
	held []entry         // by a fault
	read map[string]bool // what was there when it was opened, and has not changed since
}

func openDisk(f diskFault) func(dir string) (durable.Store, error) {
	return func(dir string) (durable.Store, error) {
		if f.opens != nil {
			if err := f.opens(); err != nil {
				return nil, err
			}
		}
		file, err := os.OpenFile(filepath.Join(dir, "runs"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, err
		}
		d := &disk{fault: f, file: file, runs: make(map[string]entry), read: make(map[string]bool)}
		lines, whole := bufio.NewReader(file), int64(0)
		for {
			line, err := lines.ReadBytes('\n')
			if errors.Is(err, io.EOF) {
				return d, file.Truncate(whole) // a line without an end was not acknowledged
			}
			if err != nil {
				return nil, err
			}
			whole += int64(len(line))
			var e entry
			if err := json.Unmarshal(line, &e); err != nil {
				return nil, err
			}
			if f.reads != nil {
				f.reads(&e)
			}
			d.runs[e.Head.ID], d.read[e.Head.ID] = e, true
			if e.Deleted {
				delete(d.runs, e.Head.ID)
			}
		}
	}
}

func (d *disk) Close() error { return d.file.Close() }

// put writes a run. mu is held.
func (d *disk) put(e entry) error {
	if d.fault.writes == nil || d.fault.writes(d, e) {
		if err := d.line(e); err != nil {
			return err
		}
	}
	d.runs[e.Head.ID], d.read[e.Head.ID] = e, false
	if e.Deleted {
		delete(d.runs, e.Head.ID)
	}
	return nil
}

func (d *disk) line(e entry) error {
	line, err := json.Marshal(e)
	if err == nil {
		_, err = d.file.Write(append(line, '\n'))
	}
	return err
}

// replaced is an entry with another head.
func (e entry) replaced(h durable.Head, ttl time.Duration) entry {
	old := e.Head
	e.Head = copied(h)
	e.Head.Rev, e.Head.Epoch = old.Rev+1, old.Epoch
	e.Head.WakeAt, e.Head.CreatedAt, e.Head.UpdatedAt = micro(h.WakeAt), micro(h.CreatedAt), micro(h.UpdatedAt)
	switch {
	case h.Owner == "" || ttl < 0:
		e.Head.LeaseUntil = time.Time{}
	case ttl > 0:
		e.Head.LeaseUntil = micro(time.Now().Add(ttl))
	default:
		e.Head.Owner, e.Head.LeaseUntil = old.Owner, old.LeaseUntil
	}
	return e
}

func micro(t time.Time) time.Time { return t.Truncate(time.Microsecond) }

func copied(h durable.Head) durable.Head {
	h.Labels = maps.Clone(h.Labels)
	return h
}

func clones(events [][]byte) [][]byte {
	var all [][]byte
	for _, e := range events {
		all = append(all, bytes.Clone(e))
	}
	return all
}

func (d *disk) Create(ctx context.Context, h durable.Head, ttl time.Duration, events [][]byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, ok := d.runs[h.ID]; ok {
		return durable.ErrConflict
	}
	e := entry{Events: clones(events)}.replaced(h, ttl)
	e.Head.Rev, e.Head.Epoch = 1, 1
	return d.put(e)
}

// find is the run with that ID and Rev. mu is held.
func (d *disk) find(ctx context.Context, id string, at uint64) (entry, error) {
	e, ok := d.runs[id]
	switch {
	case ctx.Err() != nil:
		return e, context.Cause(ctx)
	case !ok:
		return e, durable.ErrNotFound
	case e.Head.Rev != at:
		return e, durable.ErrConflict
	default:
		return e, nil
	}
}

func (d *disk) Append(ctx context.Context, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, err := d.find(ctx, h.ID, at)
	if err != nil {
		return err
	}
	e.Events = append(slices.Clone(e.Events), clones(events)...)
	return d.put(e.replaced(h, ttl))
}

func (d *disk) Load(_ context.Context, id string) (durable.Head, [][]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, ok := d.runs[id]
	if !ok {
		return durable.Head{}, nil, durable.ErrNotFound
	}
	return copied(e.Head), clones(e.Events), nil
}

func (d *disk) Delete(ctx context.Context, id string, at uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, err := d.find(ctx, id, at)
	if err != nil {
		return err
	}
	if !e.Head.Status.Ended() {
		return durable.ErrConflict
	}
	e.Deleted = true
	return d.put(e)
}

// sorted are the runs in an order. mu is held.
func (d *disk) sorted(by func(a, b entry) int) []entry {
	return slices.SortedFunc(maps.Values(d.runs), by)
}

func (d *disk) Claim(ctx context.Context, req durable.ClaimRequest) (heads []durable.Head, next time.Duration, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if ctx.Err() != nil {
		return nil, 0, context.Cause(ctx)
	}
	now := time.Now()
	next = -1
	for _, e := range d.sorted(func(a, b entry) int { return a.Head.WakeAt.Compare(b.Head.WakeAt) }) {
		h := e.Head
		if !slices.Contains(req.Sagas, h.Saga) || h.WakeAt.IsZero() || h.Status == saga.Stuck || h.Status.Ended() ||
			d.fault.sleeps && d.read[h.ID] {
			continue
		}
		due := h.WakeAt
		if h.Owner != "" && h.LeaseUntil.After(due) {
			due = h.LeaseUntil
		}
		endless := h.Owner != "" && h.LeaseUntil.IsZero()
		if !endless && !due.After(now) && len(heads) < req.Limit {
			h.Owner = req.Owner
			e = e.replaced(h, req.TTL)
			e.Head.Epoch++
			if err := d.put(e); err != nil {
				return nil, 0, err
			}
			heads = append(heads, copied(e.Head))
			due, endless = e.Head.LeaseUntil, req.TTL < 0
		}
		if rest := max(due.Sub(now), 0); !endless && (next < 0 || rest < next) {
			next = rest
		}
	}
	return heads, next, nil
}

func (d *disk) List(_ context.Context, q durable.Query) (heads []durable.Head, cursor string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.sorted(func(a, b entry) int { return strings.Compare(a.Head.ID, b.Head.ID) }) {
		h := e.Head
		if h.ID <= q.Cursor || q.Saga != "" && q.Saga != h.Saga || len(q.Status) > 0 && !slices.Contains(q.Status, h.Status) {
			continue
		}
		matches := q.UpdatedBefore.IsZero() || h.UpdatedAt.Before(q.UpdatedBefore)
		for k, v := range q.Labels {
			got, ok := h.Labels[k]
			matches = matches && ok && got == v
		}
		if matches {
			heads = append(heads, copied(h))
		}
		if len(heads) == cmp.Or(q.Limit, 100) {
			return heads, h.ID, nil
		}
	}
	return heads, "", nil
}

// diskFaults are what is lost when a disk is opened again, or when its process is
// killed.
func diskFaults() map[string]struct {
	diskFault
	must string
} {
	type finding = struct {
		diskFault
		must string
	}
	reading := func(change func(e *entry)) finding { return finding{diskFault{reads: change}, "reopen"} }
	writing := func(must string, writes func(d *disk, e entry) bool) finding {
		return finding{diskFault{writes: writes}, must}
	}
	return map[string]finding{
		"forgets labels":    reading(func(e *entry) { e.Head.Labels = nil }),
		"forgets WakeAt":    reading(func(e *entry) { e.Head.WakeAt = time.Time{} }),
		"forgets events":    reading(func(e *entry) { e.Events = nil }),
		"forgets the last":  reading(func(e *entry) { e.Events = e.Events[:min(len(e.Events), 50)] }),
		"counts Rev anew":   reading(func(e *entry) { e.Head.Rev = 1 }),
		"counts Epoch anew": reading(func(e *entry) { e.Head.Epoch = 1 }),
		"forgets deletions": reading(func(e *entry) { e.Deleted = false }),
		"events become text": reading(func(e *entry) {
			e.Events[0] = bytes.ToValidUTF8(e.Events[0], nil)
			e.Events[1%len(e.Events)] = bytes.ToValidUTF8(e.Events[1%len(e.Events)], nil)
		}),
		"writes no heads":    writing("reopen", func(d *disk, e entry) bool { return e.Deleted || len(e.Events) != len(d.runs[e.Head.ID].Events) }),
		"claims nothing old": {diskFault{sleeps: true}, "reopen"},
		"writes nothing":     writing("killed", func(*disk, entry) bool { return false }),
		"writes later": writing("killed", func(d *disk, e entry) bool {
			if d.held = append(d.held, e); len(d.held) == 40 {
				for _, e := range d.held {
					_ = d.line(e)
				}
				d.held = nil
			}
			return false
		}),
		"writes one event at a time": writing("killed", func(d *disk, e entry) bool {
			for n := len(d.runs[e.Head.ID].Events) + 1; n < len(e.Events); n++ {
				half := e
				half.Events = e.Events[:n]
				_ = d.line(half)
				time.Sleep(time.Millisecond)
			}
			return true
		}),
		"cannot be opened again": func() finding {
			opened := 0
			return finding{diskFault{opens: func() error {
				if opened++; opened > 1 {
					return errors.New("directory is locked")
				}
				return nil
			}}, "reopen"}
		}(),
		"cannot be opened by a child": {diskFault{opens: func() error {
			if os.Getenv("MAINSTAY_SAGATEST_DIR") != "" {
				return errors.New("directory is locked")
			}
			return nil
		}}, "killed"},
	}
}
