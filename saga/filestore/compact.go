package filestore

import (
	"context"
	"errors"
	"fmt"

	"github.com/mainstay-go/mainstay/saga/durable"
)

// To rewrite a segment is to append what is still needed of it at the end of the
// log, as any other batch, and then to remove the file. A run is moved as a whole,
// in one frame: its frames refer to each other by their places. Whether the process
// dies before, in between or after, the frame written last counts.

const (
	moveRuns  = 256     // at most this many runs share a batch
	moveBytes = 1 << 20 // and about this many bytes, so that nobody waits for long
)

// Compact begins a new file and rewrites every one before that holds dead bytes; if
// none does it does nothing. Other calls go on meanwhile. If ctx ends first, or the store is closed,
// what is done remains done.
func (s *Store) Compact(ctx context.Context) error {
	if err := s.enter(ctx, "Compact"); err != nil {
		return err
	}
	defer s.leave()
	select {
	case s.cleaning <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("filestore: Compact: %w", context.Cause(ctx))
	}
	defer func() { <-s.cleaning }()
	if err := s.compact(ctx); err != nil {
		return fmt.Errorf("filestore: Compact: %w", err)
	}
	return nil
}

func (s *Store) compact(ctx context.Context) error {
	upTo, dead := s.newest()
	if !dead {
		return nil
	}
	// What is moved goes behind all that may have to be rewritten.
	if err := s.submitAll([]*op{{kind: kindManifest, roll: true}}); err != nil {
		return err
	}
	for {
		g := s.victim(upTo)
		if g == nil {
			return nil
		}
		if err := s.clean(ctx, g); err != nil {
			return err
		}
	}
}

// newest returns the number of the last segment, and whether any holds dead bytes.
func (s *Store) newest() (seg uint32, dead bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, g := range s.segs {
		seg, dead = max(seg, n), dead || g.dead() > 0
	}
	return seg, dead
}

// rewrite rewrites what has become mostly garbage. It is the only goroutine of a
// store, and ends when there is nothing more to do.
func (s *Store) rewrite() {
	defer s.leave()
	s.cleaning <- struct{}{}
	defer func() { <-s.cleaning }()
	for {
		s.mu.Lock()
		g := s.garbage()
		if g == nil || s.failed != nil || s.closing {
			s.auto = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		if err := s.clean(context.Background(), g); err != nil {
			s.mu.Lock()
			g.spared = true // until Compact, which can tell somebody why
			s.mu.Unlock()
		}
	}
}

// wantsRewrite reports whether the caller has to start rewrite. s.mu is held.
func (s *Store) wantsRewrite() bool {
	if s.auto || s.failed != nil || s.closing || s.garbage() == nil {
		return false
	}
	s.auto = true
	s.active++
	return true
}

// garbage returns a closed segment of which too much is dead. s.mu is held.
func (s *Store) garbage() *segment {
	if s.cfg.Garbage < 0 {
		return nil
	}
	for _, g := range s.segs {
		if g != s.log.seg && !g.spared && float64(g.dead()) >= s.cfg.Garbage*float64(g.end) {
			return g
		}
	}
	return nil
}

// victim returns the oldest segment up to a number that holds dead bytes.
func (s *Store) victim(upTo uint32) *segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	var oldest *segment
	for _, g := range s.segs {
		if g.seg <= upTo && g.dead() > 0 && (oldest == nil || g.seg < oldest.seg) {
			oldest = g
		}
	}
	return oldest
}

// clean moves what is needed out of a segment and removes it.
func (s *Store) clean(ctx context.Context, g *segment) error {
	for num := uint64(0); ; {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		runs, next, more := s.runsIn(g.seg, num)
		for len(runs) > 0 {
			rest, err := s.move(runs, g.seg)
			if err != nil {
				return err
			}
			runs = rest
		}
		if num = next; !more {
			break
		}
	}
	if err := s.moveTombs(g); err != nil {
		return err
	}
	if err := s.submitAll([]*op{{kind: kindManifest, drop: g}}); err != nil {
		return err
	}
	// The manifest without it is synced: from now on nothing of it counts, and
	// Open would remove it too.
	err := s.dir.remove(segmentName(g.seg))
	if err == nil {
		err = s.syncDir()
	}
	s.release(g) // of settleDrop
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.fail(err)
		return s.failed
	}
	return nil
}

// runsIn returns numbers of runs that need a segment, the last number that it
// looked at, and whether there are more.
func (s *Store) runsIn(seg uint32, num uint64) (runs []uint64, next uint64, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, 0, false // settleDrop refuses what is not empty
	}
	for i, r := range s.order[s.from(num):] {
		if i == listChunk || len(runs) == moveRuns {
			return runs, num, true
		}
		num = r.num
		if r.exists() && r.in(seg) {
			runs = append(runs, r.num)
		}
	}
	return runs, num, false
}

// move moves some runs, and returns those that are left to do.
func (s *Store) move(runs []uint64, seg uint32) (rest []uint64, err error) {
	var ops []*op
	bytes := 0
	for bytes < moveBytes && len(runs) > 0 {
		o, err := s.copyOf(runs[0], seg)
		if errors.Is(err, errGone) {
			continue // it has been written to, or moved: look again
		}
		if err != nil {
			return nil, err
		}
		runs = runs[1:]
		if o != nil {
			ops = append(ops, o)
			bytes += len(o.body)
		}
	}
	if err := s.submitAll(ops); err != nil && !errors.Is(err, errMoved) {
		return nil, err
	}
	for _, o := range ops {
		if errors.Is(o.err, errMoved) {
			runs = append(runs, o.hdr.run)
		}
	}
	return runs, nil
}

// copyOf reads a run and returns the op that moves it; nil if it does not need the
// segment any more.
func (s *Store) copyOf(num uint64, seg uint32) (*op, error) {
	s.mu.Lock()
	r := s.numbered(num)
	if r == nil || !r.in(seg) {
		s.mu.Unlock()
		return nil, nil
	}
	o := &op{kind: kindCopy, head: r.shown(), from: r.last, hdr: header{run: num}}
	s.mu.Unlock()
	events, err := s.journal(o.from)
	if err != nil {
		return nil, err
	}
	if !fits(&o.head, events) {
		return nil, fmt.Errorf("cannot move the journal of a run: %w", errTooLarge)
	}
	o.setBody(appendBody(nil, &o.head, events))
	return o, nil
}

// moveTombs moves the tombstones of a segment that are needed.
func (s *Store) moveTombs(g *segment) error {
	for {
		s.mu.Lock()
		var ops []*op
		for _, t := range g.tombs[:min(len(g.tombs), moveRuns)] {
			ops = append(ops, &op{kind: kindDelete, tomb: t})
		}
		s.mu.Unlock()
		if len(ops) == 0 {
			return nil
		}
		if err := s.submitAll(ops); err != nil {
			return err
		}
		s.mu.Lock()
		for _, t := range g.tombs[:len(ops)] {
			g.live -= t.size
		}
		g.tombs = g.tombs[len(ops):]
		s.mu.Unlock()
	}
}

// admitDrop decides about the removal of a segment. s.mu is held.
func (s *Store) admitDrop(o *op) error {
	if o.drop != nil && o.drop.live > o.drop.fixed {
		return durable.ErrClosed // cleaning was cut short
	}
	return nil
}

// settleDrop takes a segment out. s.mu is held.
func (s *Store) settleDrop(o *op) {
	g := o.drop
	if g == nil {
		return
	}
	delete(s.segs, g.seg)
	g.dropped = true
	g.refs++ // until the file is removed
	for _, other := range s.segs {
		tombs := other.tombs
		other.tombs = nil
		for _, t := range tombs {
			other.live -= t.size
			other.bury(t, s.segs)
		}
	}
}
