package registry

import (
	"slices"
	"sync"
	"sync/atomic"
)

// outboxes are those of the Sync calls under way. The slice is replaced as a
// whole, since every publish looks at it and most registries have none.
type outboxes struct {
	mu  sync.Mutex // held by who replaces it
	all atomic.Pointer[[]*outbox]
}

// An outbox collects which IDs have changed since a Sync looked last. Only
// their names: what it sends is what is true when it gets to it.
type outbox struct {
	mu    sync.Mutex
	dirty map[Ref]struct{}
	latch latch
}

func newOutbox() *outbox { return &outbox{dirty: make(map[Ref]struct{}), latch: newLatch()} }

// mark is called under the lock of a roster.
func (o *outboxes) mark(service string, edits []edit) {
	for _, box := range o.boxes() {
		box.mark(service, edits)
	}
}

func (o *outboxes) boxes() []*outbox {
	if all := o.all.Load(); all != nil {
		return *all
	}
	return nil
}

func (o *outboxes) add(box *outbox) {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := append(slices.Clone(o.boxes()), box)
	o.all.Store(&all)
}

func (o *outboxes) remove(box *outbox) {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(o.boxes()), func(b *outbox) bool { return b == box })
	o.all.Store(&all)
}

func (b *outbox) mark(service string, edits []edit) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, ed := range edits {
		b.dirty[Ref{service, ed.id}] = struct{}{}
	}
	b.latch.set()
}

func (b *outbox) take() map[Ref]struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	dirty := b.dirty
	b.dirty = make(map[Ref]struct{})
	return dirty
}
