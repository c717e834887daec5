package balance

import (
	"runtime/debug"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// Hooks observe a balancer. Nil fields are skipped. They run outside all locks,
// in order, never two at a time, on the goroutine whose pick, Done, Members or
// Stats noticed what they tell, or on another one that is still delivering. They
// may use the balancer, and must not block. A panic in one is contained, counted
// in Stats.Panics and reported to Fault.
type Hooks struct {
	// PanicMode is told when picks begin to go to unusable endpoints too, and
	// when that ends.
	PanicMode func(PanicMode)

	// Ejection is told when an endpoint is ejected, and when that ends: at the
	// first pick after its time, or when the endpoint left.
	Ejection func(Ejection)

	// Fault is told every contained panic and Goexit of Filter and of a hook.
	// One of Fault itself is only counted.
	Fault func(*registry.PanicError)
}

// PanicMode is a beginning or an end of panic mode, see Config.PanicThreshold.
type PanicMode struct {
	Service string
	Active  bool
	Usable  int // endpoints
	Total   int // of those that are not Starting, Draining or Down
	At      time.Time
}

// An Ejection is a beginning or an end of one, see [Outlier].
type Ejection struct {
	Endpoint *registry.Endpoint
	Active   bool
	Rule     string        // "consecutive failures", "failure rate" or "success rate"
	For      time.Duration // how long it lasts; 0 at the end
	At       time.Time
}

func (b *Balancer) panicked(active bool, usable, total int, now int64) {
	if hook := b.cfg.Hooks.PanicMode; hook != nil {
		news := PanicMode{b.svc.Name(), active, usable, total, b.time.date(now)}
		b.news = append(b.news, func() { hook(news) })
	}
}

func (b *Balancer) ejected(m *member, active bool, d time.Duration, now int64) {
	if hook := b.cfg.Hooks.Ejection; hook != nil {
		news := Ejection{m.seen, active, m.rule, d, b.time.date(now)}
		b.news = append(b.news, func() { hook(news) })
	}
}

// unlock ends a critical section of mu and runs the hooks that it owes.
func (b *Balancer) unlock() {
	owed := len(b.news) > 0 && !b.telling
	b.telling = b.telling || owed
	b.mu.Unlock()
	if owed {
		b.deliver()
	}
}

// deliver runs the hooks for all news, in order, until there are none. A hook
// that calls runtime.Goexit ends this goroutine, but not before the deferred
// call has gone on with the rest.
func (b *Balancer) deliver() {
	finished := false
	defer func() {
		if !finished {
			b.deliver()
		}
	}()
	for {
		tell := b.nextNews()
		if tell == nil {
			break
		}
		b.contain(tell)
	}
	finished = true
}

// nextNews takes the oldest news, or gives the delivery up.
func (b *Balancer) nextNews() func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.news) == 0 {
		b.news, b.telling = nil, false
		return nil
	}
	tell := b.news[0]
	b.news[0] = nil // what was told is garbage
	b.news = b.news[1:]
	return tell
}

// contain runs a hook.
func (b *Balancer) contain(fn func()) {
	safely(fn, func(p *registry.PanicError) {
		b.panics.Add(1)
		if hook := b.cfg.Hooks.Fault; hook != nil {
			safely(func() { hook(p) }, func(*registry.PanicError) { b.panics.Add(1) })
		}
	})
}

// safely runs a function of the user's and tells if it did not return. After a
// Goexit the goroutine ends all the same.
func safely(fn func(), failed func(*registry.PanicError)) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if v := recover(); v != nil {
			failed(&registry.PanicError{Value: v, Stack: debug.Stack()})
			return
		}
		failed(&registry.PanicError{Goexit: true})
	}()
	fn()
	returned = true
}
