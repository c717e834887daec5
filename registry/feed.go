package registry

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// feeds are the Feed and Sync calls under way.
type feeds struct {
	mu     sync.Mutex
	closed bool
	ranks  uint64 // given out
	byName map[string]*feed
}

// A feed is one Feed or Sync call, or all that was imported.
type feed struct {
	reg    *Registry
	name   string
	rank   uint64                  // of its claims, see claim.rank
	cancel context.CancelCauseFunc // of the context of Run
	lost   atomic.Bool             // the origin, after it was reached

	// mu is held while a batch is delivered, so that they do not mix, and so
	// that none is after the feed has ended. It is taken before the locks of
	// rosters.
	mu       sync.Mutex
	news     []func() // for the hook, oldest first
	telling  bool     // somebody delivers news
	over     bool
	state    connection
	services map[string]struct{} // in which it may have claims
}

// A connection is what a feed has told last.
type connection uint8

const (
	untold connection = iota
	connected
	disconnected
)

// importRank is behind that of every feed.
const (
	importRank = 1<<64 - 1
	importName = "import"
)

// A feed that lost its origin tries again after a second, twice that, and so
// on, plus or minus a fifth.
const (
	firstRetry  = time.Second
	maxRetry    = 30 * time.Second
	retryJitter = 0.2
)

// Feed takes instances from a source until ctx ends, whose cause it returns; it
// blocks. What the source puts appears beside what is registered here, with name
// as its origin. Of several claims to one ID the local registration counts, then
// that of the feed that was started first; when it leaves the next takes over.
//
// When Run fails the instances stay, those with a TTL until that is over, their
// snapshots are Disconnected, and Run is called again after 1s, 2s, 4s and so on
// up to 30s, plus or minus a fifth. When it returns nil they stay until ctx ends.
// When Feed returns they are removed. A bad record is refused alone;
// Hooks.FeedState tells which.
//
// A name that another feed has is ErrExists. A registry that is or gets closed is
// ErrClosed, and the instances stay as they are.
func (r *Registry) Feed(ctx context.Context, name string, src Source) error {
	if err := r.usable(); err != nil {
		return err
	}
	if src == nil {
		return errNilSource
	}
	ctx, f, err := r.attach(ctx, name)
	if err != nil {
		return err
	}
	defer f.detach(ctx)
	return f.follow(ctx, src)
}

// attach begins a feed.
func (r *Registry) attach(ctx context.Context, name string) (context.Context, *feed, error) {
	if ctx == nil {
		return nil, nil, errNilContext
	}
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	var p problems
	p.check(name != "" && len(name) <= maxName && printable(name) && name != importName, "name", name,
		`1 to 255 bytes of valid UTF-8 without control characters, not "import"`)
	if err := p.of(OpFeed, "", ""); err != nil {
		return nil, nil, err
	}
	all := &r.feeds
	all.mu.Lock()
	defer all.mu.Unlock()
	switch {
	case all.closed:
		return nil, nil, &Error{Op: OpFeed, Kind: ErrClosed}
	case all.byName[name] != nil:
		return nil, nil, &Error{Op: OpFeed, Kind: ErrExists, Err: errors.New("another feed is named " + quoted(name))}
	}
	f := newFeed(r, name, all.ranks+1)
	ctx, f.cancel = context.WithCancelCause(ctx)
	all.ranks++
	all.byName[name] = f
	r.crew.join()
	return ctx, f, nil
}

// op is what its errors are about.
func (f *feed) op() Op {
	if f.rank == importRank {
		return OpImport
	}
	return OpFeed
}

func newFeed(r *Registry, name string, rank uint64) *feed {
	return &feed{reg: r, name: name, rank: rank, services: make(map[string]struct{})}
}

// follow runs the source again and again.
func (f *feed) follow(ctx context.Context, src Source) error {
	deliver := func(b Batch) error { return f.deliver(ctx, b) }
	wait := firstRetry
	for {
		var err error
		safely(func() { err = src.Run(ctx, deliver) }, func(p *PanicError) {
			if p != nil {
				f.reg.fault(p)
				err = p
			}
		})
		if ctx.Err() == nil && err == nil {
			<-ctx.Done() // nothing more comes
		}
		if ctx.Err() != nil {
			return f.cause(ctx)
		}
		if f.disconnect(err) {
			wait = firstRetry
		}
		if !f.reg.time.wait(ctx, f.reg.time.jitter(wait, retryJitter)) {
			return f.cause(ctx)
		}
		wait = min(2*wait, maxRetry)
	}
}

// cause is the error of a feed whose context has ended.
func (f *feed) cause(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, ErrClosed) {
		return &Error{Op: OpFeed, Kind: ErrClosed}
	}
	return cause
}

// disconnect tells that the origin is lost, once, and reports whether it had
// been reached.
func (f *feed) disconnect(err error) bool {
	f.mu.Lock()
	was := f.state
	f.state = disconnected
	f.lost.Store(true)
	owed := f.show()
	if was != disconnected {
		f.note(false, err)
	}
	f.mu.Unlock()
	deliverAll(owed)
	f.tell()
	return was == connected
}

// show makes the snapshots of all services of the feed tell whether it is
// connected. mu is held.
func (f *feed) show() (owed []*roster) {
	return f.each(func(r *roster) { r.publish(batch{}) })
}

// each does something to every roster in which the feed has claims, in order of
// name, and forgets those in which it has none any more. It returns those whose
// hooks have to be run. mu is held.
func (f *feed) each(do func(*roster)) (owed []*roster) {
	for _, name := range sortedKeys(f.services) {
		r := f.reg.lookup(name)
		if r == nil {
			delete(f.services, name)
			continue
		}
		if !f.reg.closed.Load() {
			do(r)
		}
		if r.feeds[f] == 0 {
			delete(f.services, name)
		}
		if r.leave() {
			owed = append(owed, r)
		}
	}
	return owed
}

// detach ends a feed: what it put is removed, unless the registry is closed.
func (f *feed) detach(ctx context.Context) {
	f.cancel(context.Canceled) // if Run has not returned but called Goexit
	defer f.reg.crew.leave()
	defer f.reg.feeds.remove(f) // only then: who takes the name finds nothing of the old feed
	f.mu.Lock()
	f.over = true
	was := f.state
	owed := f.each(func(r *roster) {
		var b batch
		for _, id := range sortedKeys(r.members) {
			m := r.members[id]
			if c := m.by(f); c != nil {
				r.strike(m, c, nil, &b, ReasonWithdrawn)
			}
		}
		r.publish(b)
	})
	if was == connected {
		f.note(false, f.cause(ctx))
	}
	f.mu.Unlock()
	deliverAll(owed)
	f.tell()
}

func (f *feeds) remove(one *feed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.byName, one.name)
}

// note queues news for Hooks.FeedState, in the order in which the state changes. mu
// is held.
func (f *feed) note(connected bool, err error) {
	if hook := f.reg.cfg.Hooks.FeedState; hook != nil {
		news := FeedState{f.name, connected, err, f.reg.time.date(f.reg.time.now())}
		f.news = append(f.news, func() { hook(news) })
	}
}

// tell runs Hooks.FeedState for all news, unless somebody is at it.
func (f *feed) tell() {
	f.mu.Lock()
	busy := f.telling
	f.telling = true
	f.mu.Unlock()
	if !busy {
		f.reg.relay(f.nextNews)
	}
}

// nextNews takes the oldest news, or gives the delivery up.
func (f *feed) nextNews() func() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.news) == 0 {
		f.news, f.telling = nil, false
		return nil
	}
	tell := f.news[0]
	f.news[0] = nil // what was told is garbage
	f.news = f.news[1:]
	return tell
}

// close ends all feeds, and those to come.
func (f *feeds) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, one := range f.byName {
		one.cancel(ErrClosed)
	}
}

func (f *feeds) len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.byName)
}
