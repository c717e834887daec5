package sagatest_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

// A fault is what is wrong with a store. The zero fault is none. Each function
// replaces a method; f.MemoryStore does it right.
type fault struct {
	create func(ctx context.Context, f *faulty, h durable.Head, ttl time.Duration, events [][]byte) error
	append func(ctx context.Context, f *faulty, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error
	load   func(ctx context.Context, f *faulty, id string) (durable.Head, [][]byte, error)
	claim  func(ctx context.Context, f *faulty, req durable.ClaimRequest) ([]durable.Head, time.Duration, error)
	list   func(ctx context.Context, f *faulty, q durable.Query) ([]durable.Head, string, error)
	remove func(ctx context.Context, f *faulty, id string, at uint64) error
	watch  func(ctx context.Context, f *faulty) (<-chan struct{}, error)
}

// A faulty is a store in memory with a fault.
type faulty struct {
	*durable.MemoryStore
	fault

	// mu guards what a fault remembers.
	mu    sync.Mutex
	heads map[string]durable.Head
	kept  map[string][][]byte
	more  []durable.Head
	calls int
	hints []chan struct{}
}

// opened is the harness of a store with a fault.
func opened(f fault) sagatest.Harness {
	return sagatest.Harness{
		Open: func(string) (durable.Store, error) {
			return &faulty{MemoryStore: new(durable.MemoryStore), fault: f, heads: make(map[string]durable.Head), kept: make(map[string][][]byte)}, nil
		},
		Volatile: true,
	}
}

// locked does something with what a fault remembers.
func (f *faulty) locked(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

func (f *faulty) Create(ctx context.Context, h durable.Head, ttl time.Duration, events [][]byte) error {
	if f.fault.create != nil {
		return f.fault.create(ctx, f, h, ttl, events)
	}
	return f.MemoryStore.Create(ctx, h, ttl, events)
}

func (f *faulty) Append(ctx context.Context, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
	if f.fault.append != nil {
		return f.fault.append(ctx, f, at, h, ttl, events)
	}
	return f.MemoryStore.Append(ctx, at, h, ttl, events)
}

func (f *faulty) Load(ctx context.Context, id string) (durable.Head, [][]byte, error) {
	if f.fault.load != nil {
		return f.fault.load(ctx, f, id)
	}
	return f.MemoryStore.Load(ctx, id)
}

func (f *faulty) Claim(ctx context.Context, req durable.ClaimRequest) ([]durable.Head, time.Duration, error) {
	if f.fault.claim != nil {
		return f.fault.claim(ctx, f, req)
	}
	return f.MemoryStore.Claim(ctx, req)
}

func (f *faulty) List(ctx context.Context, q durable.Query) ([]durable.Head, string, error) {
	if f.fault.list != nil {
		return f.fault.list(ctx, f, q)
	}
	return f.MemoryStore.List(ctx, q)
}

func (f *faulty) Delete(ctx context.Context, id string, at uint64) error {
	if f.fault.remove != nil {
		return f.fault.remove(ctx, f, id, at)
	}
	return f.MemoryStore.Delete(ctx, id, at)
}

func (f *faulty) Watch(ctx context.Context) (<-chan struct{}, error) {
	if f.fault.watch != nil {
		return f.fault.watch(ctx, f)
	}
	return f.MemoryStore.Watch(ctx)
}

// A finding is a fault with the checks that have to fail; others may.
type finding struct {
	fault
	must []string
}

func found(f fault, must ...string) finding { return finding{f, must} }

// creating, appending and so on have one method that is wrong.
func creating(create func(ctx context.Context, f *faulty, h durable.Head, ttl time.Duration, events [][]byte) error) fault {
	return fault{create: create}
}

func appending(do func(ctx context.Context, f *faulty, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error) fault {
	return fault{append: do}
}

func claiming(claim func(ctx context.Context, f *faulty, req durable.ClaimRequest) ([]durable.Head, time.Duration, error)) fault {
	return fault{claim: claim}
}

func listing(list func(ctx context.Context, f *faulty, q durable.Query) ([]durable.Head, string, error)) fault {
	return fault{list: list}
}

func removing(remove func(ctx context.Context, f *faulty, id string, at uint64) error) fault {
	return fault{remove: remove}
}

// writing changes what is passed to Create and Append.
func writing(change func(h *durable.Head, ttl *time.Duration, events *[][]byte)) fault {
	return fault{
		create: func(ctx context.Context, f *faulty, h durable.Head, ttl time.Duration, events [][]byte) error {
			events = slices.Clone(events)
			change(&h, &ttl, &events)
			return f.MemoryStore.Create(ctx, h, ttl, events)
		},
		append: func(ctx context.Context, f *faulty, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
			events = slices.Clone(events)
			change(&h, &ttl, &events)
			return f.MemoryStore.Append(ctx, at, h, ttl, events)
		},
	}
}

// leasing changes the ttl that is passed to Append.
func leasing(change func(h *durable.Head, ttl *time.Duration)) fault {
	return fault{append: writing(func(h *durable.Head, ttl *time.Duration, _ *[][]byte) { change(h, ttl) }).append}
}

// reading changes every head that is returned.
func reading(change func(h *durable.Head)) fault {
	all := func(heads []durable.Head) []durable.Head {
		for i := range heads {
			change(&heads[i])
		}
		return heads
	}
	return fault{
		load: func(ctx context.Context, f *faulty, id string) (durable.Head, [][]byte, error) {
			h, events, err := f.MemoryStore.Load(ctx, id)
			change(&h)
			return h, events, err
		},
		claim: func(ctx context.Context, f *faulty, req durable.ClaimRequest) ([]durable.Head, time.Duration, error) {
			heads, next, err := f.MemoryStore.Claim(ctx, req)
			return all(heads), next, err
		},
		list: func(ctx context.Context, f *faulty, q durable.Query) ([]durable.Head, string, error) {
			heads, cursor, err := f.MemoryStore.List(ctx, q)
			return all(heads), cursor, err
		},
	}
}

// loading changes the journals that are returned.
func loading(change func(events [][]byte) [][]byte) fault {
	return fault{load: func(ctx context.Context, f *faulty, id string) (durable.Head, [][]byte, error) {
		h, events, err := f.MemoryStore.Load(ctx, id)
		return h, change(events), err
	}}
}

// renaming has IDs fold into each other.
func renaming(rename func(string) string) fault {
	f := writing(func(h *durable.Head, _ *time.Duration, _ *[][]byte) { h.ID = rename(h.ID) })
	f.load = func(ctx context.Context, f *faulty, id string) (durable.Head, [][]byte, error) {
		return f.MemoryStore.Load(ctx, rename(id))
	}
	f.remove = func(ctx context.Context, f *faulty, id string, at uint64) error {
		return f.MemoryStore.Delete(ctx, rename(id), at)
	}
	return f
}

// both is two faults at once, of which the first has precedence.
func both(a, b fault) fault {
	if a.create == nil {
		a.create = b.create
	}
	if a.append == nil {
		a.append = b.append
	}
	if a.load == nil {
		a.load = b.load
	}
	if a.claim == nil {
		a.claim = b.claim
	}
	if a.list == nil {
		a.list = b.list
	}
	if a.remove == nil {
		a.remove = b.remove
	}
	return a
}
