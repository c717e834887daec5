package main

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
)

// A drive runs a script: a server, and two clients that differ only in the
// breaker of one.
type drive struct {
	script
	log         *timeline
	server      *faultServer
	watch       *watch
	protected   client
	unprotected client
}

// A stage is what happened in one phase.
type stage struct {
	phase
	protected   side
	unprotected side
	events      []event
	after       breaker.State // when all calls had ended
}

// A side is a stage as one client saw it.
type side struct {
	samples []sample
	reached int // calls that the server saw
}

// newDrive starts the server on l. base makes what connects a client to it.
func newDrive(s script, l net.Listener, base func() http.RoundTripper, log *timeline) (*drive, error) {
	target := url.URL{Scheme: "http", Host: l.Addr().String(), Path: "/charges"}
	charge := func(ctx context.Context) (*http.Request, error) {
		return http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader("amount=42"))
	}
	d := &drive{script: s, log: log, watch: &watch{log: log}}
	s.breaker.Hooks = d.watch.hooks()
	guard, err := protect(base(), s.breaker)
	if err != nil {
		return nil, err
	}
	d.protected = client{
		name: "protected", http: http.Client{Transport: guard}, limit: s.limit, prepare: charge,
		// Get per call: a group may forget a breaker that it does not see used.
		state: func() breaker.State { return guard.Group().Get(target.Host).State() },
	}
	d.unprotected = client{
		name: "unprotected", http: http.Client{Transport: base()}, limit: s.limit, prepare: charge,
		state: alwaysClosed,
	}
	d.server = serve(l)
	return d, nil
}

// run plays all phases, or those until ctx is done.
func (d *drive) run(ctx context.Context) []stage {
	var stages []stage
	for _, p := range d.phases {
		if ctx.Err() != nil {
			break
		}
		d.log.begin(p)
		st := d.play(ctx, p)
		d.log.end(st)
		stages = append(stages, st)
	}
	return stages
}

// play makes the calls of one phase, on the beat and whether earlier ones have
// ended or not, as the calls of a busy service come. A beat that is late is not
// made up for.
func (d *drive) play(ctx context.Context, p phase) stage {
	before := [...]int{d.server.calls(d.protected.name), d.server.calls(d.unprotected.name)}
	d.server.become(p.fault)

	began := time.Now()
	beat := time.NewTicker(d.every)
	defer beat.Stop()
	var calls sync.WaitGroup
	for left := p.calls; left > 0 && ctx.Err() == nil; {
		if p.sick() || d.protected.state() == breaker.Closed {
			left--
		} else if time.Since(began) > d.patience {
			break
		}
		calls.Go(d.protected.call)
		calls.Go(d.unprotected.call)
		select {
		case <-beat.C:
		case <-ctx.Done():
		}
	}
	calls.Wait()

	return stage{
		phase:       p,
		protected:   side{d.protected.take(), d.server.calls(d.protected.name) - before[0]},
		unprotected: side{d.unprotected.take(), d.server.calls(d.unprotected.name) - before[1]},
		events:      d.watch.take(),
		after:       d.protected.state(),
	}
}

// Leftovers are what is there at the end that was not at the beginning.
type leftovers struct {
	connections int
	goroutines  int
	err         error // of ending the server
}

// clear ends everything and tells what remains of it after some seconds. before
// is how many goroutines there were before the drive.
func (d *drive) clear(before int) leftovers {
	d.protected.http.CloseIdleConnections()
	d.unprotected.http.CloseIdleConnections()
	// Before the server ends, or it would close the connections of the clients.
	settle(func() bool { return d.server.connections() == 0 })
	left := leftovers{connections: d.server.connections()}

	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	left.err = d.server.close(ctx)
	settle(func() bool { return goroutines() <= before })
	left.goroutines = max(goroutines()-before, 0)
	return left
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
		time.Sleep(time.Millisecond)
	}
}
