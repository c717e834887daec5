package registrytest_test

import (
	"context"
	"maps"
	"sync"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registrytest"
)

// A fault is what is wrong with a backend. The zero fault is none.
type fault struct {
	// run, put and remove replace those of the backend.
	run    func(ctx context.Context, b *registrytest.Backend, deliver func(registry.Batch) error) error
	put    func(ctx context.Context, f *faulty, rec registry.Record) error
	remove func(ctx context.Context, f *faulty, ref registry.Ref) error

	// deliver replaces the delivery of a batch.
	deliver func(f *faulty, b registry.Batch, deliver func(registry.Batch) error) error

	alone    bool // every process has an origin of its own
	oneOwner bool // all processes are one to the origin
}

// A faulty is a backend in memory with a fault.
type faulty struct {
	*registrytest.Backend
	fault

	mu     sync.Mutex
	state  map[registry.Ref]registry.Record // what was delivered
	resets int
	puts   int
}

// opened opens a backend with a fault, to one origin if that is not the fault.
func opened(f fault) func() registry.Backend {
	first := registrytest.NewBackend(registrytest.BackendConfig{})
	return func() registry.Backend {
		b := first
		switch {
		case f.alone:
			b = registrytest.NewBackend(registrytest.BackendConfig{})
		case !f.oneOwner:
			b = first.Machine()
		}
		return &faulty{Backend: b, fault: f, state: make(map[registry.Ref]registry.Record)}
	}
}

func (f *faulty) Run(ctx context.Context, deliver func(registry.Batch) error) error {
	run := f.fault.run
	if run == nil {
		run = func(ctx context.Context, b *registrytest.Backend, deliver func(registry.Batch) error) error {
			return b.Run(ctx, deliver)
		}
	}
	return run(ctx, f.Backend, func(b registry.Batch) error {
		if f.fault.deliver == nil {
			return deliver(b)
		}
		return f.fault.deliver(f, b, deliver)
	})
}

func (f *faulty) Put(ctx context.Context, rec registry.Record) error {
	f.mu.Lock()
	f.puts++
	f.mu.Unlock()
	if f.fault.put != nil {
		return f.fault.put(ctx, f, rec)
	}
	return f.Backend.Put(ctx, rec)
}

func (f *faulty) Remove(ctx context.Context, ref registry.Ref) error {
	if f.fault.remove != nil {
		return f.fault.remove(ctx, f, ref)
	}
	return f.Backend.Remove(ctx, ref)
}

func (f *faulty) known() map[registry.Ref]registry.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.state)
}

// whole is a Reset with all that is there after a batch.
func (f *faulty) whole(b registry.Batch) registry.Batch {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b.Reset {
		f.resets++
		clear(f.state)
	}
	for _, r := range b.Remove {
		delete(f.state, r)
	}
	for _, rec := range b.Put {
		f.state[registry.Ref{Service: rec.Instance.Service, ID: rec.Instance.ID}] = rec
	}
	whole := registry.Batch{Reset: true}
	for _, rec := range f.state {
		whole.Put = append(whole.Put, rec)
	}
	return whole
}

// difference is what leads from a state to a Reset.
func (f *faulty) difference(from map[registry.Ref]registry.Record, to registry.Batch) registry.Batch {
	diff := registry.Batch{Put: to.Put}
	for r := range from {
		if _, ok := f.known()[r]; !ok {
			diff.Remove = append(diff.Remove, r)
		}
	}
	return diff
}
