package registrytest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// BackendConfig says how a [Backend] behaves. The zero BackendConfig is valid.
type BackendConfig struct {
	// Clock tells when the TTL of a record is over: the one of the registries,
	// if they have one. Nil: system time, which is that of the bubble if the
	// backend is made in one.
	Clock registry.Clock
}

// A Backend is a registry.Backend in memory, as one machine sees it: [NewBackend]
// is for the first machine, [Backend.Machine] for each of the others. Registries
// that share a Backend are one machine to it. It is safe for concurrent use.
type Backend struct {
	store *store

	// Guarded by store.mu.
	down error  // what calls fail with; nil: it is connected
	cuts uint64 // calls of Disconnect
	cut  error  // of the last one
}

// Misuse, and the cause of a cut that has none.
var (
	errNilContext   = errors.New("registrytest: nil context")
	errNilDeliver   = errors.New("registrytest: nil deliver")
	errDisconnected = errors.New("registrytest: disconnected")
)

// NewBackend makes an empty backend. It runs no goroutine. One that is used in a
// synctest bubble has to be made there.
func NewBackend(cfg BackendConfig) *Backend {
	return &Backend{store: newStore(timeline{cfg.Clock})}
}

// Machine returns the same backend as another machine sees it: it has the same
// records, a connection of its own, and Remove knows apart what each of them put.
// It is connected, whether b is or not.
func (b *Backend) Machine() *Backend { return &Backend{store: b.store} }

// Disconnect cuts this machine off, and no other: its runs end with err, and its
// calls fail with it, until [Backend.Reconnect]. What it put stays until its TTL
// is over. A nil err is replaced by one that tells so much. A second Disconnect
// changes the error.
func (b *Backend) Disconnect(err error) {
	if err == nil {
		err = errDisconnected
	}
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	b.down, b.cut = err, err
	b.cuts++
	b.store.wake()
}

// Reconnect ends what Disconnect began. A run that was under way then ends all
// the same; whoever follows a backend calls Run again.
func (b *Backend) Reconnect() {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	b.down = nil
}

// Put keeps a copy of a record, in place of any that has its service and ID,
// whoever put it; its Check and Attrs would not reach another process, and are
// left out. It returns the cause of a ctx that has ended.
func (b *Backend) Put(ctx context.Context, rec registry.Record) error {
	return b.call(ctx, func(s *store) { s.put(b, rec) })
}

// Remove takes out a record that this machine put last. Anything else is left
// alone, without an error. It returns the cause of a ctx that has ended.
func (b *Backend) Remove(ctx context.Context, ref registry.Ref) error {
	return b.call(ctx, func(s *store) { s.remove(b, ref) })
}

// call does something to the store, which has let lapse what is due.
func (b *Backend) call(ctx context.Context, do func(*store)) error {
	if ctx == nil {
		return errNilContext
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	if b.down != nil {
		return b.down
	}
	b.store.expire()
	do(b.store)
	return nil
}

// Run delivers all records in a Reset, which may be empty, and then what changes,
// until ctx ends, whose cause it returns. A record that is put again is delivered
// again, whether it has changed or not, so that its TTL counts anew for those who
// get it. What changes while deliver is at work adds up: only the latest state of
// a record is delivered.
func (b *Backend) Run(ctx context.Context, deliver func(registry.Batch) error) error {
	if ctx == nil {
		return errNilContext
	}
	if deliver == nil {
		return errNilDeliver
	}
	r := b.begin()
	for ctx.Err() == nil {
		batch, news, rest, err := r.look()
		switch {
		case err != nil:
			return err
		case batch.Reset || len(batch.Put)+len(batch.Remove) > 0:
			_ = deliver(batch) // what is refused is for the feed to report
		default:
			b.store.time.wait(ctx, news, rest)
		}
	}
	return context.Cause(ctx)
}

// A run is one call of Run.
type run struct {
	of   *Backend
	err  error                   // why it cannot begin
	cuts uint64                  // when it began
	seen map[registry.Ref]uint64 // the versions that were delivered; nil: nothing was
}

func (b *Backend) begin() *run {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	return &run{of: b, err: b.down, cuts: b.cuts}
}

// look returns what is to be delivered. If that is nothing, it is to be called
// again after news, or when rest has passed, which is zero if no record lapses.
func (r *run) look() (batch registry.Batch, news <-chan struct{}, rest time.Duration, err error) {
	s := r.of.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.cuts != r.of.cuts {
		r.err = r.of.cut
	}
	if r.err != nil {
		return registry.Batch{}, nil, 0, r.err
	}
	s.expire()
	if r.seen == nil {
		batch.Reset, r.seen = true, make(map[registry.Ref]uint64)
	}
	for _, ref := range sorted(maps.Keys(r.seen)) {
		if s.kept[ref] == nil {
			batch.Remove = append(batch.Remove, ref)
			delete(r.seen, ref)
		}
	}
	for _, ref := range sorted(maps.Keys(s.kept)) {
		k := s.kept[ref]
		if r.seen[ref] != k.version {
			batch.Put = append(batch.Put, clone(k.rec))
			r.seen[ref] = k.version
		}
	}
	return batch, s.news, s.rest(), nil
}

// clone copies what the slices and maps of a record hold.
func clone(rec registry.Record) registry.Record {
	rec.Instance.Tags = slices.Clone(rec.Instance.Tags)
	rec.Instance.Meta = maps.Clone(rec.Instance.Meta)
	return rec
}
