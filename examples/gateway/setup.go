package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// newDrive starts everybody, and returns when all backends are well.
func newDrive(ctx context.Context, s script, n network, log *timeline) (*drive, error) {
	d := &drive{
		script: s, log: log, ledger: newLedger(), backends: make(map[string]*backend),
		watch: &watch{log: log, names: make(map[string]string)},
	}
	log.printf("--- start: everybody registers")
	err := d.start(ctx, n)
	if err == nil {
		err = d.await(ctx, "not all backends are well", func(s *registry.Snapshot) bool {
			well := 0
			for e := range s.All() {
				if e.Health() == registry.Passing {
					well++
				}
			}
			return well == len(backendIDs)
		})
	}
	if err != nil {
		d.clear(goroutines())
		return nil, err
	}
	d.watch.take() // of no phase
	return d, nil
}

func (d *drive) start(ctx context.Context, n network) (err error) {
	outbound := n.transport()
	rc := d.script.registry
	rc.Hooks.Change = func(c registry.Change) {
		d.watch.change(c)
		if c.After == nil {
			// Nobody needs the connections to one that is gone. If it is about
			// to stop, it waits for those that have not been used yet.
			outbound.CloseIdleConnections()
		}
	}
	if d.reg, err = registry.New(rc); err != nil {
		return err
	}
	bc := d.script.breaker
	bc.Hooks.Transition = d.watch.transition
	if d.breakers, err = breaker.NewGroup(breaker.GroupConfig[string]{Config: bc}); err != nil {
		return err
	}
	for _, id := range backendIDs {
		l, err := n.listen(ctx)
		if err != nil {
			return err
		}
		d.watch.names[l.Addr().String()] = id
		if d.backends[id], err = startBackend(ctx, id, l, d.reg, d.script, n, d.ledger); err != nil {
			return err
		}
	}
	l, err := n.listen(ctx)
	if err != nil {
		return err
	}
	lb := d.balancer
	lb.Gate = guard(d.breakers)
	d.gateway, err = startGateway(l, d.reg, registryhttp.TransportConfig{Base: outbound, Balancer: lb})
	if err != nil {
		return err
	}
	d.client.base, d.client.limit = "http://"+d.gateway.addr, d.limit
	d.client.http.Transport = n.transport()
	return nil
}

// await watches the service until ok holds, at most for the patience.
func (d *drive) await(ctx context.Context, still string, ok func(*registry.Snapshot) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, d.patience, fmt.Errorf("%s after %v", still, d.patience))
	defer cancel()
	for u, err := range d.reg.Service(service).Watch(ctx) {
		if err != nil || ok(u.Snapshot) {
			return err
		}
	}
	return nil
}

// Leftovers are what is there at the end that was not at the beginning.
type leftovers struct {
	goroutines int
	err        error // of ending what there was
}

// clear ends everybody, the registry last, and tells what remains after some
// seconds. before is how many goroutines there were before the drive.
func (d *drive) clear(before int) leftovers {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	var errs []error
	d.client.http.CloseIdleConnections()
	if d.gateway != nil {
		errs = append(errs, d.gateway.close(ctx))
	}
	for _, id := range backendIDs {
		if b := d.backends[id]; b != nil && !b.over.Load() {
			errs = append(errs, b.leave(ctx))
		}
	}
	if d.reg != nil {
		errs = append(errs, d.reg.Close(ctx))
	}
	settle(func() bool { return goroutines() <= before })
	return leftovers{max(goroutines()-before, 0), errors.Join(errs...)}
}

// goroutines is how many there are. The runtime still counts some that are at
// their very end; to stop the world, as Stack does, is to wait for those.
func goroutines() int {
	runtime.Stack(nil, true)
	return runtime.NumGoroutine()
}

const grace = 5 * time.Second

// settle waits until ok holds, at most for the grace.
func settle(ok func() bool) {
	for began := time.Now(); !ok() && time.Since(began) < grace; {
		time.Sleep(5 * time.Millisecond)
	}
}
