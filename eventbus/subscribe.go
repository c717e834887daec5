package eventbus

import (
	"context"
	"strconv"
)

// Subscribe has fn called for every event that is published from now on, one at
// a time and in order. The subscription ends when ctx ends, by
// [Subscription.Cancel] or Drain, or with the bus.
//
// On a queued topic fn runs on a goroutine of the subscription. Its context has
// the values of the publisher's context but not its cancellation: it ends with
// ctx, and with the context of a Drain or Close that ends first. An error of fn
// counts as Failed; see [SubscribeConfig] for retries and dead letters. On a Sync
// topic fn runs on the goroutine of the publisher with the publisher's context,
// and its error is the publisher's.
func (t *Topic[T]) Subscribe(ctx context.Context, fn func(context.Context, T) error) (*Subscription, error) {
	return t.SubscribeWith(ctx, SubscribeConfig[T]{}, fn)
}

// SubscribeWith is Subscribe with a config.
func (t *Topic[T]) SubscribeWith(ctx context.Context, cfg SubscribeConfig[T], fn func(context.Context, T) error) (*Subscription, error) {
	return t.subscribe(ctx, cfg, fn, nil, fn == nil)
}

// SubscribeEvents is SubscribeWith for handlers that look at the envelope.
func (t *Topic[T]) SubscribeEvents(ctx context.Context, cfg SubscribeConfig[T], fn func(context.Context, Event[T]) error) (*Subscription, error) {
	return t.subscribe(ctx, cfg, nil, fn, fn == nil)
}

// Subscribe has fn called for every event of type T that is published from now
// on. See [Topic.Subscribe]. A T that is an interface has no topic of its own:
// see [SubscribePattern].
func Subscribe[T any](ctx context.Context, b *Bus, fn func(context.Context, T) error) (*Subscription, error) {
	t, err := topicOf[T](b)
	if err != nil {
		return nil, err
	}
	return t.Subscribe(ctx, fn)
}

// Queue makes a subscription without a handler, whose owner reads it.
func (t *Topic[T]) Queue(ctx context.Context, cfg SubscribeConfig[T]) (*Queue[T], error) {
	at, err := t.place(ctx, &cfg, false, false)
	if err != nil {
		return nil, err
	}
	s := newSubscription(ctx, t.bus, cfg.Name, t.info.name, cfg.OnFull, cfg.Capacity)
	q := newQueue[T](s)
	t.enlist(s, at, cfg.DeadLetter)
	s.wantsTime = true
	if err := t.begin(s, &cfg, []*batch[T]{&q.batch}, nil); err != nil {
		return nil, err
	}
	return q, nil
}

// place checks a config, fills in its defaults, and tells what it is for.
func (t *Topic[T]) place(ctx context.Context, cfg *SubscribeConfig[T], handler, nilFunc bool) (place, error) {
	if err := t.usable(); err != nil {
		return place{}, err
	}
	_, ofFailures := any(t).(*Topic[Failure])
	at := place{
		bus: t.bus, capacity: t.cfg.Capacity, sync: t.sync != nil && handler, syncTopic: t.sync != nil,
		handler: handler, ofFailures: ofFailures,
	}
	err := checkSubscribe(ctx, cfg, at, nilFunc, "topic "+quoted(t.info.name))
	if err != nil {
		return at, err
	}
	*cfg = cfg.withDefaults(at)
	if cfg.DeadLetter == nil {
		cfg.DeadLetter = t.cfg.DeadLetter
	}
	return at, nil
}

// checkSubscribe joins all that is wrong with a subscribing call.
func checkSubscribe[T any](ctx context.Context, cfg *SubscribeConfig[T], at place, nilFunc bool, what string) error {
	var p problems
	p.refuse(ctx == nil, errNilContext)
	p.refuse(nilFunc, errNilFunc)
	cfg.check(&p, at)
	if err := invalid("subscribe to "+what, p); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// enlist completes a subscription of this topic.
func (t *Topic[T]) enlist(s *Subscription, at place, dead *Topic[Failure]) {
	if s.name == "" {
		s.name = t.info.name + "/" + strconv.FormatInt(s.number, 10)
	}
	s.ofFailures, s.sync, s.dead = at.ofFailures, at.sync, dead
}

func (t *Topic[T]) subscribe(ctx context.Context, cfg SubscribeConfig[T],
	data func(context.Context, T) error, event func(context.Context, Event[T]) error, nilFunc bool,
) (*Subscription, error) {
	at, err := t.place(ctx, &cfg, true, nilFunc)
	if err != nil {
		return nil, err
	}
	s := newSubscription(ctx, t.bus, cfg.Name, t.info.name, cfg.OnFull, cfg.Capacity)
	t.enlist(s, at, cfg.DeadLetter)
	call, err := newCaller(s, cfg.Retry, cfg.Timeout, cfg.DeadLetter, data, event)
	if err != nil {
		return nil, err
	}
	s.wantsTime = event != nil || cfg.DeadLetter != nil
	if at.sync {
		return t.beginSync(s, &cfg, call)
	}
	workers, batches := newWorkers(s, call, cfg.Workers)
	if err := t.begin(s, &cfg, batches, workers); err != nil {
		return nil, err
	}
	return s, nil
}

// team are the workers of a subscription.
type team[T any] []*worker[T]

func newWorkers[T any](s *Subscription, call *caller[T], n int) (team[T], []*batch[T]) {
	workers, batches := make(team[T], n), make([]*batch[T], n)
	for i := range workers {
		workers[i] = &worker[T]{call: call}
		workers[i].bare = call.bare
		batches[i] = &workers[i].batch
	}
	return workers, batches
}

func (t team[T]) start() {
	for _, w := range t {
		go w.loop()
	}
}

// beginSync puts a handler of a Sync topic in force.
func (t *Topic[T]) beginSync(s *Subscription, cfg *SubscribeConfig[T], call *caller[T]) (*Subscription, error) {
	sub := &syncSub[T]{sub: s, topic: t, order: cfg.Order, call: call, filter: cfg.Filter, once: cfg.Once}
	s.impl = sub
	if call.bare && cfg.Filter == nil && !cfg.Once && cfg.Retry.Attempts == 1 {
		sub.plain = call.data
	}
	t.mu.Lock()
	if t.state != open {
		t.mu.Unlock()
		return nil, &Error{Topic: t.info.name, Err: ErrClosed}
	}
	t.bus.members.add(s)
	sub.join()
	t.mu.Unlock()
	s.start()
	return s, nil
}

// begin registers a subscription with a queue, which is the ring of the topic
// where that will do, and starts its workers; a Queue has none.
func (t *Topic[T]) begin(s *Subscription, cfg *SubscribeConfig[T], batches []*batch[T], workers team[T]) error {
	s.unmanned = workers == nil
	for _, b := range batches {
		b.hand.sub, b.hand.step = s, oneCall
		s.hands = append(s.hands, &b.hand)
	}
	bind := func(src source[T]) {
		for _, b := range batches {
			b.src = src
		}
	}
	ring := t.sync == nil && cfg.Filter == nil && !cfg.Once && cfg.Workers == 1 &&
		(cfg.OnFull == Block || cfg.OnFull == DropOldest || cfg.OnFull == Fail || cfg.OnFull == Disconnect) &&
		cfg.Capacity != noLimit && (t.cfg.Capacity == noLimit && cfg.Capacity <= defaultCapacity || cfg.Capacity <= t.cfg.Capacity)
	var box *mailbox[T]
	var read *reader[T]
	if ring {
		read = &reader[T]{crew: newCrew(s), topic: t, most: atOnce(cfg.Capacity)}
		read.spot.cond.L = &t.mu
		read.cursor = cursor{owner: read, policy: cfg.OnFull, limit: int64(cfg.Capacity)}
		s.impl = read
		bind(read)
	} else {
		box = newMailbox(s, cfg, t)
		s.impl = box
		bind(box)
	}
	t.mu.Lock()
	if t.state != open {
		t.mu.Unlock()
		return &Error{Topic: t.info.name, Err: ErrClosed}
	}
	t.bus.members.add(s)
	var past []Event[T]
	var lag uint64
	if ring {
		lag = t.beginReading(read, cfg.From)
	} else {
		past, lag = t.beginReceiving(box, cfg.From)
	}
	t.mu.Unlock()
	workers.start() // before anything of the user's is called, which might wait for the end of the subscription
	begun := false
	defer func() {
		if !begun { // a filter or hook has ended the goroutine: nobody will have this subscription
			s.end(nil)
		}
	}()
	s.lost(lag, 0, t.info)
	if box != nil {
		box.replay(past)
	}
	begun = true
	s.start()
	return nil
}

// beginReading adds a cursor to the ring, and returns how many events it lost
// because they are no longer retained.
func (t *Topic[T]) beginReading(r *reader[T], from int64) uint64 {
	seq, lag := t.ring.start(from)
	r.cursor.next = min(seq, t.ring.next)
	r.cursor.from, r.cursor.free = seq, max(seq, t.ring.next)
	r.cursor.lag = lag
	r.lagged = uint64(lag)
	t.ring.join(&r.cursor)
	t.attach(r.sub)
	return r.lagged
}

// beginReceiving is beginReading with a mailbox. What it gets from history is
// returned, and has to be given to replay: until then nothing is taken from it.
func (t *Topic[T]) beginReceiving(m *mailbox[T], from int64) (past []Event[T], lost uint64) {
	if t.sync == nil {
		seq, lag := t.ring.start(from)
		m.from = seq
		m.lag, m.lagged = uint64(lag), uint64(lag)
		for ; seq < t.ring.next; seq++ {
			past = append(past, t.ring.event(seq, t.info))
		}
	}
	m.judging, m.latest = len(past), t.info
	lost = m.lagged
	t.addSink(m)
	return past, lost
}
