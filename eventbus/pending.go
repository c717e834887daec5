package eventbus

import "context"

// A pending is a publish under way: one event, or a batch that is accepted as a
// whole. Those that need not wait are used again and again.
type pending[T any] struct {
	ctx     context.Context //nolint:containedctx // bounds the waiting
	org     origin          // of every event, but for what ctxs says
	ctxs    []context.Context
	one     [1]T
	data    []T
	stamped bool

	mode

	sinks    *sinks[T] // that the verdicts are of
	verdicts []verdict // one for each event, for each sink
	judging  []verdict // those to come
	neutral  verdict   // where no sink has functions to be asked

	// The outcome. over is set with it.
	over     bool
	err      error
	after    []aftermath
	unrouted []Event[T]
	call     struct { // of a Sync topic: the handlers to be called, and with what Seq
		list *syncList[T]
		seq  int64
	}

	// Of one that has to wait.
	known      bool // hand and since have been found out
	hand       *hand
	since      int64
	ready      chan struct{}
	waiting    bool
	prev, next *pending[T] // in the line; next also in the free list
	record     *waitRecord
	stalls     bool // a timer knows of it
}

// newPending is one that is good for use. The lock of the topic is held.
func (t *Topic[T]) newPending(ctx context.Context) *pending[T] {
	p := t.spare
	if p == nil {
		p = new(pending[T])
	} else {
		t.spare, p.next = p.next, nil
	}
	p.ctx, p.org.ctx = ctx, ctx
	p.data = p.one[:]
	return p
}

// recycle takes one back. The lock of the topic is held.
func (t *Topic[T]) recycle(p *pending[T]) {
	if p.stalls {
		return
	}
	clear(p.verdicts)
	clear(p.judging)
	*p = pending[T]{verdicts: p.verdicts[:0], judging: p.judging[:0], ready: p.ready, next: t.spare}
	t.spare = p
}

// envelope has the events published with cfg.
func (p *pending[T]) envelope(m *meta) {
	p.org.meta = m
}

// origin is what the i-th event comes with.
func (p *pending[T]) origin(i int) origin {
	o := p.org
	if p.ctxs != nil {
		o.ctx = p.ctxs[i]
	}
	return o
}

func (p *pending[T]) key() string {
	if p.org.meta == nil {
		return ""
	}
	return p.org.meta.key
}

// verdict is that of the i-th event in the s-th sink.
func (p *pending[T]) verdict(s, i int) *verdict {
	if p.sinks == nil {
		p.neutral.key = p.key()
		return &p.neutral
	}
	return &p.verdicts[s*len(p.data)+i]
}

// claims is how many events the s-th sink would take.
func (p *pending[T]) claims(s int) (n int) {
	if p.sinks == nil {
		return len(p.data)
	}
	for i := range p.data {
		if v := p.verdict(s, i); !v.skip && !v.refused && v.err == nil {
			n++
		}
	}
	return n
}

// prepare finds out what may need user code, which must not run with the lock:
// the time, what filters and keys say. The lock is held before and after, but
// may be given up; then subscriptions may have come and gone, so it goes on until
// nothing is missing, or until p, which may be in line, is over.
func (t *Topic[T]) prepare(p *pending[T]) {
	for !p.over {
		t.cut(p)
		if t.timed && !p.stamped && t.bus.time.clock == nil {
			p.org.at, p.stamped = t.bus.time.stamp(), true
		}
		time, judge := t.timed && !p.stamped, t.sinks.judged && p.sinks != t.sinks
		if !time && !judge {
			if !t.sinks.judged {
				p.sinks = nil
			}
			return
		}
		s, at := t.sinks, stamp(0)
		t.mu.Unlock()
		if time {
			at = t.bus.time.stamp()
		}
		if judge {
			p.judge(s)
		}
		t.mu.Lock()
		// Not before: others may be looking at p, if it is in line.
		if time {
			p.org.at, p.stamped = at, true
		}
		if judge {
			p.sinks, p.verdicts, p.judging = s, p.judging, p.verdicts
		}
	}
}

// cut has a batch be no longer than what is accepted as a whole: a subscription
// with less room may have come since it was made, and would never have enough. The
// rest follows by itself. Only the publisher of p may call it, who knows that
// nobody is asking functions about its events.
func (t *Topic[T]) cut(p *pending[T]) {
	if len(p.data) == 1 {
		return
	}
	if n := t.longest(); n < len(p.data) {
		p.data, p.sinks = p.data[:n], nil // what functions said is laid out by the length
		if p.ctxs != nil {
			p.ctxs = p.ctxs[:n]
		}
	}
}

// judge asks the functions of s, without the lock.
func (p *pending[T]) judge(s *sinks[T]) {
	n := len(p.data)
	p.judging = resized(p.judging[:0], len(s.list)*n)
	key := p.key()
	for i, m := range s.list {
		for j := range p.data {
			m.judge(&p.judging[i*n+j], p.data[j], key)
		}
	}
}
