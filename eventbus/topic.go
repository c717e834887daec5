package eventbus

import (
	"cmp"
	"maps"
	"math"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
)

// A Topic is a name and a Go type. It is safe for concurrent use, and made only
// by [NewTopic], which returns the same one for the same name and type for as
// long as somebody refers to it: a holder of this pointer, a subscription, or an
// event that is retained as history.
type Topic[T any] struct {
	bus  *Bus
	info *topicInfo
	cfg  TopicConfig // with defaults
	sync *syncTopic[T]
	live atomic.Int32 // subscriptions that take new events

	mu     sync.Mutex // after Bus.mu; guards what follows
	parked parking
	ring   ring[T]
	until  int64 // Publish may write up to this Seq without looking at anything else
	sinks  *sinks[T]
	subs   map[*Subscription]struct{} // that are not done
	state  topicState
	timing int // subs of which somebody can see the time of events
	pinned bool
	timed  bool // somebody can see the time of events

	queue    waitQueue[T]
	line     line            // the queue as others have to know it
	offering bool            // subscriptions are being ended in the middle of a publish
	blocking []*Subscription // for offer
	awaited  int             // how many the publisher in front waits for
	piece    int             // longest batch that is accepted as a whole; 0: to be worked out
	spare    *pending[T]     // free list
	unrouted uint64
}

type topicState uint8

const (
	open    topicState = iota
	closing            // takes nothing but dead letters
	closed
)

// A sink is a mailbox as a topic of T sees it.
type sink[T any] interface {
	subscription() *Subscription
	judges() bool
	judge(v *verdict, data T, key string)

	lock() // the other methods need it
	unlock()
	takes(v *verdict) bool
	room(n int) bool
	blocks(l *line)
	put(e Event[T], v *verdict) (after aftermath, covered bool)
}

// sinks are the mailboxes of a topic in the order of their locks. Immutable.
type sinks[T any] struct {
	list   []sink[T]
	judged bool // some have functions to be asked
}

// NewTopic returns the topic of that name and type, made if need be. An empty
// name is the name of type T: import path, dot, type name. A topic that exists
// is taken as it is if cfg is the zero TopicConfig; else cfg must agree with its
// own. A name with another type is an error that matches ErrTopicType, and that
// of a closed bus is ErrClosed. Any other error joins all problems of name and
// cfg; each names the field and the value.
func NewTopic[T any](b *Bus, name string, cfg TopicConfig) (*Topic[T], error) {
	if err := b.usable(); err != nil {
		return nil, err
	}
	return newTopic[T](b, name, cfg)
}

// MustNewTopic is [NewTopic] for package-level variables: it panics with its
// error.
func MustNewTopic[T any](b *Bus, name string, cfg TopicConfig) *Topic[T] {
	t, err := NewTopic[T](b, name, cfg)
	if err != nil {
		panic(err)
	}
	return t
}

func makeTopic[T any](b *Bus, info *topicInfo, cfg TopicConfig) *Topic[T] {
	t := &Topic[T]{bus: b, info: info, cfg: cfg, ring: newRing[T](cfg.History), sinks: new(sinks[T])}
	t.parked = newParking()
	t.line = line{topic: info.name, again: t.lookAgain}
	if cfg.Sync {
		t.sync = newSyncTopic(t)
	}
	t.look()
	return t
}

func (t *Topic[T]) about() *topicInfo    { return t.info }
func (t *Topic[T]) typeOf() reflect.Type { return reflect.TypeFor[T]() }

// lookAgain is for those who freed room in a mailbox.
func (t *Topic[T]) lookAgain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.admit()
}

// close ends the publishing, but for dead letters if it is only closing.
func (t *Topic[T]) close(state topicState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if state <= t.state {
		return
	}
	t.state = state
	if t.sync != nil {
		t.sync.queued.Store(true) // so that it is the lock that decides
		if state == closed {
			t.sync.change(new(syncList[T]), true) // so that ten thousand may end without as many copies
		}
	}
	for p := t.queue.front; p != nil; {
		next := p.next
		if !p.dead || state == closed {
			t.release(p, &Error{Topic: t.info.name, Err: ErrClosed})
			p.tell()
		}
		p = next
	}
	t.admit()
	t.refresh()
}

// usable reports misuse of the handle.
func (t *Topic[T]) usable() error {
	switch {
	case t == nil:
		return errNilTopic
	case t.bus == nil:
		return errZeroTopic
	}
	return nil
}

// Name is that of the topic.
func (t *Topic[T]) Name() string {
	if t.usable() != nil {
		return ""
	}
	return t.info.name
}

// HasSubscribers reports whether a publish would reach a subscription now. It is
// lock-free, and lets callers skip building costly events.
func (t *Topic[T]) HasSubscribers() bool {
	return t.usable() == nil && t.live.Load() > 0
}

// Stats returns the numbers of the topic and its subscriptions.
func (t *Topic[T]) Stats() TopicStats {
	if t.usable() != nil {
		return TopicStats{}
	}
	t.mu.Lock()
	s := TopicStats{
		Name: t.info.name, Type: t.info.typ, Seq: t.lastSeq(),
		Retained: int(t.ring.retained()), Unrouted: t.unrouted,
		Waiting: t.queue.len, Waited: t.queue.waited,
	}
	subs := slices.SortedFunc(maps.Keys(t.subs), olderFirst)
	t.mu.Unlock()
	s.HookPanics = t.info.hookPanics.Load()
	for _, sub := range subs {
		s.Subscriptions = append(s.Subscriptions, sub.Stats())
	}
	return s
}

func (t *Topic[T]) lastSeq() int64 {
	if t.sync != nil {
		return t.sync.lastSeq()
	}
	return t.ring.next - 1
}

// refresh works out how far Publish may go on without looking at anything but
// t.until. The lock is held, as for all that follows.
func (t *Topic[T]) refresh() {
	t.until = math.MinInt64
	if t.sync == nil && t.state == open && len(t.sinks.list) == 0 && t.queue.len == 0 && !t.timed {
		t.until = t.ring.quick()
	}
}

// attach registers a subscription. It must not cost more where there are many.
func (t *Topic[T]) attach(s *Subscription) {
	if t.subs == nil {
		t.subs = make(map[*Subscription]struct{})
	}
	t.subs[s] = struct{}{}
	t.count(s, 1)
	t.live.Add(1)
	t.look()
}

func (t *Topic[T]) count(s *Subscription, n int) {
	if s.wantsTime {
		t.timing += n
	}
}

func olderFirst(a, b *Subscription) int { return cmp.Compare(a.number, b.number) }

// detached notes that a subscription takes no more events.
func (t *Topic[T]) detached(s *Subscription) {
	t.live.Add(-1)
	t.look()
}

// look works out what follows from the subscriptions.
func (t *Topic[T]) look() {
	t.piece = 0
	t.timed = !t.cfg.Untimed && (t.bus.watched || t.cfg.History > 0 || t.timing > 0)
	if t.sync != nil && t.sync.list.Load().timed != t.timed {
		t.sync.change(t.sync.list.Load().copied(), false)
	}
	t.pin()
	t.admit()
	t.refresh()
}

// longest is the longest batch that is accepted as a whole.
func (t *Topic[T]) longest() int {
	if t.piece > 0 {
		return t.piece
	}
	t.piece = math.MaxInt
	if t.cfg.Capacity > 0 {
		t.piece = t.cfg.Capacity
	}
	for _, c := range t.ring.cursors {
		if c.policy.gating() {
			t.piece = min(t.piece, int(c.limit))
		}
	}
	for _, m := range t.sinks.list {
		if s := m.subscription(); s.policy.gating() && s.capacity > 0 {
			t.piece = min(t.piece, s.capacity)
		}
	}
	return t.piece
}

// pin keeps the topic alive while it has history. Its own subscriptions do so
// anyway; those of patterns do not: a pattern for all topics must not keep every
// topic there ever was.
func (t *Topic[T]) pin() {
	keep := t.ring.retained() > 0
	if keep != t.pinned {
		t.pinned = keep
		t.bus.pins.keep(t, keep)
	}
}

// addSink registers a mailbox.
func (t *Topic[T]) addSink(m sink[T]) {
	list := slices.Clone(t.sinks.list)
	i, _ := slices.BinarySearchFunc(list, m.subscription().number, func(o sink[T], number int64) int {
		return cmp.Compare(o.subscription().number, number)
	})
	t.setSinks(slices.Insert(list, i, m))
	t.attach(m.subscription())
}

func (t *Topic[T]) setSinks(list []sink[T]) {
	t.sinks = &sinks[T]{list, slices.ContainsFunc(list, sink[T].judges)}
	if t.sync != nil {
		t.sync.queued.Store(len(list) > 0 || t.state != open)
	}
}

// remove has a mailbox get no more events.
func (t *Topic[T]) remove(s *Subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(t.sinks.list), func(m sink[T]) bool { return m.subscription() == s })
	if len(list) < len(t.sinks.list) {
		t.setSinks(list)
		t.detached(s)
	}
}

// forget drops a subscription that is done.
func (t *Topic[T]) forget(s *Subscription) {
	t.remove(s)
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.subs[s]; ok {
		delete(t.subs, s)
		t.count(s, -1)
		t.look()
	}
}
