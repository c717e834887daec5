package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/registry"
)

// A drive runs a script: backends, a gateway in front of them, and a client.
type drive struct {
	script
	log      *timeline
	watch    *watch
	ledger   *ledger
	reg      *registry.Registry
	breakers *breaker.Group[string] // by address
	backends map[string]*backend
	gateway  *gateway
	client   client
	called   int // calls so far
}

// A stage is what happened in one phase.
type stage struct {
	phase
	samples  []sample
	events   []event
	retries  uint64
	breakers map[string]string // their states when all calls had ended, or that the backend is gone
	err      error             // of what was to happen
}

// run plays all phases, or those until ctx is done.
func (d *drive) run(ctx context.Context) []stage {
	var stages []stage
	for _, p := range d.phases {
		if ctx.Err() != nil {
			break
		}
		d.log.printf("--- %s: %s", p.name, p.says)
		stages = append(stages, d.play(ctx, p))
	}
	return stages
}

// tell is how often the shares are told.
const tell = 200 * time.Millisecond

// play makes the calls of one phase, on the beat, while the phase takes its
// course. Whether earlier ones have ended does not matter, up to a limit: a
// machine that is too busy for this pace gets a slower one. A beat that is late is
// not made up for.
func (d *drive) play(ctx context.Context, p phase) stage {
	st := stage{phase: p, breakers: make(map[string]string)}
	before := d.gateway.retries()
	acted := d.act(ctx, p)
	beat, slice := time.NewTicker(d.every), time.NewTicker(tell)
	defer beat.Stop()
	defer slice.Stop()
	share := func() {
		some := d.client.take()
		d.log.shares(some)
		st.samples = append(st.samples, some...)
	}
	var calls sync.WaitGroup
	room := make(chan struct{}, d.crowd)
	for left := p.calls; (left > 0 || acted != nil) && ctx.Err() == nil; {
		select {
		case <-beat.C:
			select {
			case room <- struct{}{}:
			default:
				continue
			}
			left--
			d.called++
			n := d.called
			calls.Go(func() {
				d.client.call(n)
				<-room
			})
		case <-slice.C:
			share()
		case st.err = <-acted:
			acted = nil
		case <-ctx.Done():
		}
	}
	if acted != nil { // interrupted
		st.err = <-acted
	}
	calls.Wait()
	share()

	st.events = d.watch.take()
	st.retries = d.gateway.retries() - before
	for _, id := range backendIDs {
		st.breakers[id] = "gone"
		if e, there := d.reg.Service(service).Get(id); there {
			st.breakers[id] = d.breakers.Get(e.Addr()).State().String()
		}
	}
	return st
}

// act makes happen what is to happen in a phase, and returns where its error
// comes when that is over; nil if it is nothing.
func (d *drive) act(ctx context.Context, p phase) <-chan error {
	if p.act == nil {
		return nil
	}
	acted := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeoutCause(ctx, d.patience, fmt.Errorf("it takes more than %v", d.patience))
		defer cancel()
		acted <- p.act(d, ctx)
	}()
	return acted
}
