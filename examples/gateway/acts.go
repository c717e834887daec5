package main

import (
	"context"
	"errors"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// turnSlow makes one backend slow. It keeps answering, and its health checks pass.
func (d *drive) turnSlow(context.Context) error {
	d.backends[slacker].become(d.answer * time.Duration(d.slowness))
	d.watch.add(event{id: slacker, what: turnedSlow})
	return nil
}

// turnQuick makes it as quick as before, and waits until the balancer has found
// out: it tries again when it has forgotten enough of how slow that one was.
func (d *drive) turnQuick(ctx context.Context) error {
	b := d.backends[slacker]
	b.become(d.answer)
	d.watch.add(event{id: slacker, what: turnedQuick})
	live := b.lease.Endpoint().Live()
	for before := live.Picks(); live.Picks() < before+uint64(d.trust); {
		if !pause(ctx, time.Millisecond) {
			return context.Cause(ctx)
		}
	}
	d.watch.add(event{id: slacker, what: trusted})
	return nil
}

// die ends one backend while it has calls under way, and waits until the
// registry knows.
func (d *drive) die(ctx context.Context) error {
	b := d.backends[victim]
	h := b.holdCalls(d.underWay)
	defer h.release()
	if err := h.filled(ctx); err != nil {
		return err
	}
	d.watch.add(event{id: victim, what: died, calls: d.underWay})
	b.crash()
	return d.await(ctx, victim+" is still registered", func(s *registry.Snapshot) bool {
		_, there := s.Get(victim)
		return !there
	})
}

// leave drains one backend while it has calls under way, which are held until
// everybody who asks is told that it leaves.
func (d *drive) leave(ctx context.Context) error {
	b := d.backends[leaver]
	h := b.holdCalls(d.underWay)
	defer h.release()
	if err := h.filled(ctx); err != nil {
		return err
	}
	left := make(chan error, 1)
	go func() { left <- b.leave(ctx) }()
	err := d.unready(ctx, b)
	h.release()
	if err = errors.Join(err, <-left); err == nil {
		d.watch.add(event{id: leaver, what: stopped})
	}
	return err
}

// unready asks until a backend says that it is not ready.
func (d *drive) unready(ctx context.Context, b *backend) error {
	for {
		switch ready, err := b.ready(ctx); {
		case err != nil:
			return err
		case !ready:
			d.watch.add(event{id: b.id, what: unready, calls: b.lease.Endpoint().InFlight()})
			return nil
		}
		if !pause(ctx, time.Millisecond) {
			return context.Cause(ctx)
		}
	}
}
