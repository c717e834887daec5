package registrytest

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// A process is what follows a backend and puts records there, in place of a
// registry.
type process struct {
	origin  *origin
	backend registry.Backend
	owner   string
	answer  func() error // what deliver does and returns; nil: nothing

	// These belong to the goroutine of the check.
	cancel  context.CancelCauseFunc
	stopped chan struct{} // closed when the last Run has returned

	turn chan struct{} // a slot that deliver takes; in a bubble a mutex would stop the time

	// mu guards the fields below.
	mu       sync.Mutex
	known    map[registry.Ref]registry.Record // after the batches so far
	first    map[registry.Ref]registry.Record // after the first batch of the last follow
	batches  int                              // of the last follow
	runs     int                              // of the last follow
	err      error                            // of the last Run
	missed   map[registry.Ref]bool            // what was taken out since the last follow
	versions []string                         // that were put since then, as they came
	over     bool                             // nobody may deliver
	breaches []string
	news     chan struct{} // closed by the next batch
}

// follow calls Run, again and again if it fails, as a Feed does, and waits for the
// first batch.
func (p *process) follow() {
	p.origin.tb.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	stopped := make(chan struct{})
	p.cancel, p.stopped = cancel, stopped
	p.mu.Lock()
	p.first, p.batches, p.runs, p.err, p.over = nil, 0, 0, nil, false
	p.missed, p.versions = make(map[registry.Ref]bool), nil
	p.mu.Unlock()
	go func() {
		defer close(stopped)
		for {
			p.mu.Lock()
			p.runs++
			p.mu.Unlock()
			err := p.backend.Run(ctx, p.deliver)
			p.mu.Lock()
			p.err = err
			p.mu.Unlock()
			if ctx.Err() != nil || err == nil {
				break
			}
			pause(ctx, 20*time.Millisecond)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.over = true
	}()
	p.await("there is a first batch", func(map[registry.Ref]registry.Record) bool { return true })
}

// stop ends what follow began.
func (p *process) stop() {
	p.origin.tb.Helper()
	if p.cancel == nil {
		return
	}
	p.cancel(context.Canceled)
	p.cancel = nil
	ctx, free := bounded()
	defer free()
	select {
	case <-p.stopped:
	case <-ctx.Done():
		p.origin.tb.Errorf("registrytest: %s: Run has not returned %v after its context ended", p.owner, patience)
	}
}

// deliver is what Run is given.
func (p *process) deliver(b registry.Batch) error {
	select {
	case p.turn <- struct{}{}:
	default:
		p.breach("deliver was called while another call of it was at work")
		p.turn <- struct{}{}
	}
	defer func() { <-p.turn }()
	p.mu.Lock()
	p.take(b)
	p.mu.Unlock()
	if p.answer != nil {
		return p.answer()
	}
	return nil
}

func (p *process) breach(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.breachLocked(what)
}

func (p *process) breachLocked(what string) {
	if !slices.Contains(p.breaches, what) {
		p.breaches = append(p.breaches, what)
	}
}

// take applies a batch as a registry does. mu is held.
func (p *process) take(b registry.Batch) {
	if p.over {
		p.breachLocked("deliver was called after Run had returned")
	}
	if p.batches == 0 && len(p.known) == 0 && !b.Reset {
		p.breachLocked("the first batch is no Reset")
	}
	named := make(map[registry.Ref]bool)
	for _, rec := range b.Put {
		ref := refOf(rec)
		if named[ref] {
			p.breachLocked("a batch puts an ID twice, of which the second is refused")
		}
		named[ref] = true
	}
	gone := b.Remove
	if b.Reset {
		gone = slices.Collect(maps.Keys(p.known))
	}
	for _, ref := range gone {
		if _, ok := p.known[ref]; ok && !named[ref] {
			delete(p.known, ref)
			p.missed[ref] = true
		}
	}
	for _, rec := range b.Put {
		if strings.HasPrefix(rec.Instance.Service, p.origin.service) {
			p.known[refOf(rec)] = clone(rec)
			p.versions = append(p.versions, rec.Instance.Version)
		}
	}
	if p.batches == 0 {
		p.first = maps.Clone(p.known)
	}
	p.batches++
	close(p.news)
	p.news = make(chan struct{})
}

// await waits until what p knows is as it should be, which what describes.
func (p *process) await(what string, ok func(known map[registry.Ref]registry.Record) bool) {
	p.origin.tb.Helper()
	ctx, free := bounded()
	defer free()
	for {
		p.mu.Lock()
		done, news := p.batches > 0 && ok(p.known), p.news
		ids, runs, err := sorted(maps.Keys(p.known)), p.runs, p.err
		p.mu.Unlock()
		if done {
			return
		}
		select {
		case <-news:
		case <-ctx.Done():
			p.origin.tb.Fatalf("registrytest: %s: %s: not so after %v; it knows %q; calls of Run: %d, the last error is %v",
				p.owner, what, patience, ids, runs, err)
		}
	}
}

// awaitAll waits until exactly these versions are known.
func (p *process) awaitAll(what string, want map[registry.Ref]string) {
	p.origin.tb.Helper()
	p.await(what, func(known map[registry.Ref]registry.Record) bool {
		return maps.EqualFunc(known, want, func(rec registry.Record, version string) bool { return rec.Instance.Version == version })
	})
}

// awaitVersion waits until an instance is known with a version.
func (p *process) awaitVersion(ref registry.Ref, version string) {
	p.origin.tb.Helper()
	p.await("Put of "+strconv.Quote(ref.ID)+" with version "+strconv.Quote(version)+" arrives", func(known map[registry.Ref]registry.Record) bool {
		rec, ok := known[ref]
		return ok && rec.Instance.Version == version
	})
}

// awaitGone waits until an instance is not known.
func (p *process) awaitGone(what string, ref registry.Ref) {
	p.origin.tb.Helper()
	p.await(what+" of "+strconv.Quote(ref.ID)+" arrives", func(known map[registry.Ref]registry.Record) bool {
		_, ok := known[ref]
		return !ok
	})
}

// put puts a record, which must not fail.
func (p *process) put(rec registry.Record) {
	p.origin.tb.Helper()
	ctx, free := bounded()
	defer free()
	if err := p.backend.Put(ctx, rec); err != nil {
		p.origin.tb.Fatalf("registrytest: %s: Put of %q: %v", p.owner, rec.Instance.ID, err)
	}
}

// remove removes a record, which must not fail.
func (p *process) remove(ref registry.Ref) {
	p.origin.tb.Helper()
	ctx, free := bounded()
	defer free()
	if err := p.backend.Remove(ctx, ref); err != nil {
		p.origin.tb.Fatalf("registrytest: %s: Remove of %q: %v", p.owner, ref.ID, err)
	}
}

// expectFirst expects exactly these versions in the first batch.
func (p *process) expectFirst(versions map[string]string) {
	tb := p.origin.tb
	tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	want := p.origin.named(versions)
	for _, ref := range sorted(maps.Keys(p.first)) {
		if _, ok := want[ref]; !ok {
			tb.Errorf("registrytest: %s: the first batch has %q, which ought not to be there", p.owner, ref.ID)
		}
	}
	for _, ref := range sorted(maps.Keys(want)) {
		rec, ok := p.first[ref]
		switch {
		case !ok:
			tb.Errorf("registrytest: %s: the first batch lacks %q", p.owner, ref.ID)
		case rec.Instance.Version != want[ref]:
			tb.Errorf("registrytest: %s: the first batch has %q with version %q, want %q", p.owner, ref.ID, rec.Instance.Version, want[ref])
		}
	}
}

// record is one of p, as a Sync would put it.
func (p *process) record(id, version string) registry.Record {
	return registry.Record{
		Instance: registry.Instance{
			Service: p.origin.service, ID: id, Addr: "10.0.0.1:80", Version: version, Weight: 100, TTL: time.Minute,
		},
		Health: registry.Passing,
		Owner:  p.owner,
	}
}
