package eventbus

import (
	"context"
	"sync"
	"sync/atomic"
)

// A Subscription is one interest in a topic or a pattern. It is safe for
// concurrent use, and made only by the functions of this package. Two
// subscriptions with the same function are two: ending one leaves the other.
type Subscription struct {
	bus      *Bus
	number   int64  // on the bus; also the order in which queues are locked
	name     string // see SubscribeConfig
	where    string // the topic or the pattern
	policy   Overflow
	capacity int
	sync     bool // handlers run on the publisher's goroutine
	pattern  bool
	unmanned bool // a Queue

	ofFailures bool            // it gets dead letters; guarded by Bus.mu until that is closing
	dead       *Topic[Failure] // for events that fail before they reach the queue

	wantsTime bool // somebody can see the time of its events
	life      lifetime
	impl      impl
	hands     []*hand
	unread    bool // halted with a reader of the Queue at an event; set before stopping is closed

	stopping chan struct{} // closed when nothing shall start any more
	done     chan struct{} // closed when nothing runs any more

	retried atomic.Uint64
	full    atomic.Pointer[Error] // made once, so that refusals allocate nothing
	drops   baton

	mu     sync.Mutex
	err    error
	unhook func() bool // detaches it from the context given to Subscribe
	then   func()      // what follows its end
}

// impl is how a subscription gets its events.
type impl interface {
	// stop ends it now; drain once its queue is empty. Both return at once, and
	// do nothing if it is stopped already. What they leave has to be run.
	stop(err error) aftermath
	drain() aftermath

	stats() SubscriptionStats

	// watch returns a channel that is closed when everything accepted by now is
	// settled; nil if it is already.
	// unwatch says that nobody waits for that any more.
	watch() <-chan struct{}
	unwatch(done <-chan struct{})

	// forget removes it from where it is registered.
	forget()
}

func newSubscription(ctx context.Context, b *Bus, name, where string, policy Overflow, capacity int) *Subscription {
	return &Subscription{
		bus: b, number: b.lastSub.Add(1), name: name, where: where,
		policy: policy, capacity: capacity,
		life:     newLifetime(ctx),
		stopping: make(chan struct{}), done: make(chan struct{}),
	}
}

// start has the subscription end with the context given to Subscribe.
func (s *Subscription) start() {
	ctx := s.life.outer
	if ctx.Done() == nil {
		return
	}
	unhook := context.AfterFunc(ctx, func() {
		cause := context.Cause(ctx)
		s.life.cancel(cause)
		s.end(cause)
	})
	s.mu.Lock()
	s.unhook = unhook
	s.mu.Unlock()
	select {
	case <-s.done: // it was over before it could be told
		unhook()
	default:
	}
}

// Name is that of [SubscribeConfig].
func (s *Subscription) Name() string {
	if s == nil {
		return ""
	}
	return s.name
}

// Stats returns the numbers of the subscription.
func (s *Subscription) Stats() SubscriptionStats {
	if s == nil || s.impl == nil {
		return SubscriptionStats{}
	}
	st := s.impl.stats()
	st.Name, st.Topic, st.OnFull, st.Capacity = s.name, s.where, s.policy, s.capacity
	st.Retried = s.retried.Load()
	return st
}

// Cancel ends the subscription now and returns at once. Events not yet started
// are discarded. At most one call per worker, already chosen, may still run,
// and its context is not cancelled; <-Done() is the barrier after which none
// does. To end also the context of the running call, cancel the context that
// was given to Subscribe. Calling Cancel again is harmless.
func (s *Subscription) Cancel() {
	if s == nil || s.impl == nil {
		return
	}
	s.end(nil)
}

// end stops it now.
func (s *Subscription) end(err error) {
	after := s.impl.stop(err)
	after.run(context.Background())
}

// Drain ends the subscription once its queue is empty, and waits for that: no
// new events, then the last call returns, then Done is closed. If ctx ends first
// what is left is discarded, running calls have their context cancelled, and
// the error is a [*DrainError] that says how many events were lost. With the
// context of a handler it begins the draining and returns nil, because it would
// wait for itself. A handler of a Sync topic has no queue: its Drain is Cancel.
func (s *Subscription) Drain(ctx context.Context) error {
	if s == nil || s.impl == nil {
		return nil
	}
	if ctx == nil {
		return errNilContext
	}
	inside := handOf(ctx, s.bus) != nil
	after := s.impl.drain()
	after.run(context.Background())
	if s.sync || inside {
		return nil
	}
	select {
	case <-s.done:
		return nil
	default:
	}
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
	}
	left, after := s.halt()
	after.run(context.Background())
	if left == nil {
		s.awaitEnd()
		return nil
	}
	return &DrainError{[]SubscriptionStats{*left}, context.Cause(ctx)}
}

// awaitEnd waits for one that was halted and has nothing to do but to end. Of a
// Queue nothing runs: if it is not done, somebody else ended it, who may be held up.
func (s *Subscription) awaitEnd() {
	if !s.sync && !s.unmanned {
		<-s.done
	}
}

// halt ends the subscription at once, running calls included, and returns what
// that left undone, nil for nothing, and what is left to do.
func (s *Subscription) halt() (*SubscriptionStats, aftermath) {
	before, err := s.Stats(), errHalted
	if s.sync { // which has no crew
		if err = nil; before.Running > 0 {
			err = ErrClosed
		}
	}
	after := s.impl.stop(err)
	s.life.cancel(ErrClosed)
	st := s.Stats()
	if s.unread {
		// The end of the subscription settled what the reader of the Queue was
		// at, because it may never come back. Until it does it is running.
		st.Handled--
		st.Running++
	}
	if st.Discarded == before.Discarded && st.Running == 0 {
		return nil, after
	}
	return &st, after
}

// Done is closed when no call of the handler runs and none will start. From
// then on Stats are exact.
func (s *Subscription) Done() <-chan struct{} {
	if s == nil || s.done == nil {
		return closedChan()
	}
	return s.done
}

// Err tells, once Done is closed, why the subscription ended. Nil: in an orderly
// way, by Cancel, Drain, Once or Close. An error that matches ErrFull: its queue
// was full, see Disconnect. ErrClosed: the context of Drain or Close ended
// first. Anything else is the cause of the context given to Subscribe. Before
// Done it is nil.
func (s *Subscription) Err() error {
	if s == nil || s.done == nil {
		return nil
	}
	select {
	case <-s.done:
		return s.reason()
	default:
		return nil
	}
}

// reason is why nothing starts any more. Nil: it is an orderly end.
func (s *Subscription) reason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// stopped notes that nothing shall start any more, once. No lock of a queue is
// needed, and one may be held.
func (s *Subscription) stopped(err error) {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
	close(s.stopping)
}

// finish is called once, without locks, when nothing runs any more.
func (s *Subscription) finish() {
	s.impl.forget()
	close(s.done) // before Close can overlook it, so that all is done when Close returns
	s.life.cancel(ErrClosed)
	s.bus.members.remove(s)
	s.mu.Lock()
	unhook, then := s.unhook, s.then
	s.then = nil
	s.mu.Unlock()
	if unhook != nil {
		unhook()
	}
	if then != nil {
		then()
	}
}

// onDone has f called when the subscription is done, once.
func (s *Subscription) onDone(f func()) {
	s.mu.Lock()
	s.then = f
	s.mu.Unlock()
	select {
	case <-s.done: // perhaps before then was set
		s.mu.Lock()
		f, s.then = s.then, nil
		s.mu.Unlock()
		if f != nil {
			f()
		}
	default:
	}
}

// fullError says that this subscription has no room.
func (s *Subscription) fullError() *Error {
	if e := s.full.Load(); e != nil {
		return e
	}
	s.full.CompareAndSwap(nil, &Error{Topic: s.where, Subscription: s.name, Err: ErrFull})
	return s.full.Load()
}

// disconnected says why the subscription is ended by its policy.
func (s *Subscription) disconnected(seq int64) error {
	return &Error{Topic: s.where, Subscription: s.name, Seq: seq, Err: ErrFull}
}

// lost tells the hook of events that the subscription lost. No lock is held.
func (s *Subscription) lost(lagged, discarded uint64, info *topicInfo) {
	if lagged+discarded == 0 || s.bus.hooks.Dropped == nil {
		return
	}
	d := Drop{Topic: s.where, Subscription: s.name}
	drops := make([]Drop, 0, 2)
	if lagged > 0 {
		d.Lagged = lagged
		drops = append(drops, d)
	}
	if discarded > 0 {
		d.Lagged, d.Discarded = 0, discarded
		drops = append(drops, d)
	}
	s.drops.deliver(s.bus.hooks.Dropped, info, drops...)
}

func closedChan() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}
