package filestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/saga/durable"
)

// A Store keeps runs in the files of one directory. It is a [durable.Store] and a
// [durable.Watcher], made by [Open], safe for concurrent use, and must not be
// copied.
type Store struct {
	cfg  Config
	dir  directory
	time timeline
	held io.Closer // the lock of the directory

	cleaning chan struct{} // one slot: who rewrites segments

	// mu guards what follows. It is never held while a file is used.
	mu sync.Mutex
	index
	segs     map[uint32]*segment
	watchers map[chan struct{}]struct{}
	failed   error // ErrFailed and its cause
	records  uint64
	syncs    uint64
	cutOff   int64
	auto     bool // a goroutine rewrites segments

	queue   []*op // what waits to be written
	leading bool  // somebody writes, or has been told to

	active   int // calls under way
	closing  bool
	closed   chan struct{} // closed when all is released
	closeErr error         // read after closed

	// Of the leader, the one goroutine that writes.
	log log
}

// Stats are figures of a store at one moment.
type Stats struct {
	Runs     int // kept
	Unended  int // of these, not ended
	Segments int // files

	Bytes  int64 // of the files, without what is filled with zeros ahead
	Dead   int64 // of these, what belongs to nothing that is kept
	CutOff int64 // at the end, never acknowledged, that Open removed or Verify would

	Records uint64 // written and found: one for each Create, Append and Delete, and for each move
	Syncs   uint64 // of files, since Open

	Err error // Is ErrFailed once writing has failed; nil before
}

// Create makes a run, as [durable.Store] says.
func (s *Store) Create(ctx context.Context, h durable.Head, ttl time.Duration, events [][]byte) error {
	return s.write(ctx, "Create", &op{kind: kindAppend, create: true, head: own(h), ttl: ttl}, events)
}

// Append adds to a run, as [durable.Store] says.
func (s *Store) Append(ctx context.Context, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
	return s.write(ctx, "Append", &op{kind: kindAppend, head: own(h), at: at, ttl: ttl}, events)
}

// Delete deletes a run that has ended, as [durable.Store] says.
func (s *Store) Delete(ctx context.Context, id string, at uint64) error {
	return s.write(ctx, "Delete", &op{kind: kindDelete, head: durable.Head{ID: id}, at: at}, nil)
}

// write has one op written. The body is made here, where callers do not wait for
// each other.
func (s *Store) write(ctx context.Context, verb string, o *op, events [][]byte) error {
	if err := s.enter(ctx, verb); err != nil {
		return err
	}
	defer s.leave()
	err := errTooLarge
	if fits(&o.head, events) {
		if o.kind == kindAppend {
			o.setBody(appendBody(nil, &o.head, events))
		}
		err = s.submit(ctx, o)
	}
	if err != nil {
		return fmt.Errorf("filestore: %s: %w", verb, err)
	}
	return nil
}

// fits reports whether a head and events are a body that is not too long.
func fits(h *durable.Head, events [][]byte) bool {
	n := 4096 + len(h.ID) + len(h.Saga) + len(h.Fingerprint) + len(h.Step)
	for k, v := range h.Labels {
		n += len(k) + len(v) + 10
	}
	for _, e := range events {
		if n += len(e) + 5; n > maxBody {
			return false
		}
	}
	return n <= maxBody
}

// Load returns a run, as [durable.Store] says. If a file does not hold any more
// what was written, the error Is [ErrCorrupt].
func (s *Store) Load(ctx context.Context, id string) (durable.Head, [][]byte, error) {
	if err := s.enter(ctx, "Load"); err != nil {
		return durable.Head{}, nil, err
	}
	defer s.leave()
	for {
		s.mu.Lock()
		r := s.byID[id]
		if !r.exists() {
			s.mu.Unlock()
			return durable.Head{}, nil, fmt.Errorf("filestore: Load: %w", durable.ErrNotFound)
		}
		h, last := r.shown(), r.last
		s.mu.Unlock()
		events, err := s.journal(last)
		if errors.Is(err, errGone) {
			continue // it has been moved meanwhile
		}
		if err != nil {
			return durable.Head{}, nil, fmt.Errorf("filestore: Load: %w", err)
		}
		return h, events, nil
	}
}

// journal reads the events of the frames that lead to last.
func (s *Store) journal(last link) ([][]byte, error) {
	var bodies [][]byte
	for l := last; l != (link{}); {
		g := s.use(l.seg)
		if g == nil {
			return nil, errGone
		}
		h, body, err := g.frame(l)
		s.release(g)
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
		l = h.prev
	}
	var events [][]byte
	for _, body := range slices.Backward(bodies) {
		var ok bool
		if events, ok = readEvents(events, body); !ok {
			return nil, damage(last.seg, last.off, "the events of a run make no sense")
		}
	}
	return events, nil
}

// use keeps a segment open for reading. nil: it is there no more.
func (s *Store) use(seg uint32) *segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.segs[seg]
	if g != nil {
		g.refs++
	}
	return g
}

// release ends a use. Closing a file that was only read can lose nothing.
func (s *Store) release(g *segment) {
	s.mu.Lock()
	g.refs--
	last := g.dropped && g.refs == 0
	s.mu.Unlock()
	if last {
		_ = g.file.Close()
	}
}

// Stats returns figures of the store. It never blocks for long, and works after
// Close too. It panics if the store is nil or zero.
func (s *Store) Stats() Stats {
	if !s.made() {
		panic(fmt.Errorf("filestore: Stats: %w", errZeroStore))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{
		Runs: len(s.order) - s.gone, Segments: len(s.segs), CutOff: s.cutOff,
		Records: s.records, Syncs: s.syncs, Err: s.failed,
	}
	st.Unended = st.Runs - s.ended
	for _, g := range s.segs {
		st.Bytes += extent(g.end)
		st.Dead += g.dead()
	}
	return st
}

// made reports whether Open has made the store.
func (s *Store) made() bool { return s != nil && s.closed != nil }

// misused tells what is wrong with a call whatever becomes of the store.
func (s *Store) misused(ctx context.Context, verb string) error {
	switch {
	case !s.made():
		return fmt.Errorf("filestore: %s: %w", verb, errZeroStore)
	case ctx == nil:
		return fmt.Errorf("filestore: %s: %w", verb, errNilContext)
	}
	return nil
}

// enter begins a call.
func (s *Store) enter(ctx context.Context, verb string) error {
	if err := s.misused(ctx, verb); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("filestore: %s: %w", verb, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return fmt.Errorf("filestore: %s: %w", verb, durable.ErrClosed)
	}
	s.active++
	return nil
}

// leave ends it. The last one after Close releases all.
func (s *Store) leave() {
	s.mu.Lock()
	s.active--
	last := s.closing && s.active == 0
	s.mu.Unlock()
	if last {
		s.shut()
	}
}

// Close refuses new calls, waits for those under way, and frees the directory. What
// was acknowledged has been synced before. If ctx ends first Close returns its
// cause, and the last call under way frees the directory. Every Close waits and
// returns the same. Afterwards calls return [durable.ErrClosed].
func (s *Store) Close(ctx context.Context) error {
	if err := s.misused(ctx, "Close"); err != nil {
		return err
	}
	s.mu.Lock()
	last := !s.closing && s.active == 0
	s.closing = true
	s.mu.Unlock()
	if last {
		s.shut()
	}
	select {
	case <-s.closed:
		return s.closeErr
	default:
	}
	select {
	case <-s.closed:
		return s.closeErr
	case <-ctx.Done():
		return fmt.Errorf("filestore: Close: %w", context.Cause(ctx))
	}
}

// shut releases everything. It runs once, when nothing else does.
func (s *Store) shut() {
	s.mu.Lock()
	segs := slices.Collect(maps.Values(s.segs))
	s.watchers = nil
	s.mu.Unlock()
	var errs []error
	for _, g := range segs {
		errs = append(errs, g.file.Close())
	}
	errs = append(errs, s.dir.close(), s.held.Close())
	if err := errors.Join(errs...); err != nil {
		s.closeErr = fmt.Errorf("filestore: Close: %w", err)
	}
	close(s.closed)
}

var (
	_ durable.Store   = (*Store)(nil)
	_ durable.Watcher = (*Store)(nil)
)
