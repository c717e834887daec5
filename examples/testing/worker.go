package shop

import (
	"context"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

const (
	thumbnails = "thumbnails" // the service of the workers
	leaseTime  = 30 * time.Second
)

// A Worker makes thumbnails. Others find it in the registry, as long as it lives.
type Worker struct{ lease *registry.Lease }

// Join registers a worker. If its process ends without a word, which is what the end
// of ctx stands for, it is found for as long as its lease lasts.
func Join(ctx context.Context, reg *registry.Registry, addr string) (*Worker, error) {
	lease, err := reg.Register(ctx, registry.Instance{Service: thumbnails, Addr: addr, TTL: leaseTime})
	if err != nil {
		return nil, err
	}
	go lease.KeepAlive(ctx) // every ten seconds, plus or minus one
	return &Worker{lease}, nil
}

// Leave takes the worker out, once nobody calls it any more.
func (w *Worker) Leave(ctx context.Context) error { return w.lease.Drain(ctx) }

// Workers are the addresses of those that pictures can be sent to.
func Workers(reg *registry.Registry) (addrs []string) {
	for e := range reg.Service(thumbnails).Snapshot().All() {
		if e.Health().Usable() {
			addrs = append(addrs, e.Addr())
		}
	}
	return addrs
}

// Change waits until the workers are others than those of an index, and returns the
// present one.
func Change(ctx context.Context, reg *registry.Registry, index uint64) (uint64, error) {
	s, err := reg.Service(thumbnails).Wait(ctx, index)
	if err != nil {
		return 0, err
	}
	return s.Index(), nil
}
