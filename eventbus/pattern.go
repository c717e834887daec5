package eventbus

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// SubscribePattern has fn called for the events of all topics whose names match
// the pattern and whose type fits T, also those made later. In a pattern * stands
// for exactly one token of a name and > as the last token for one or more. T is
// the type of the topics, or an interface that they implement; for a topic whose
// own type is an interface, that is asked of every event.
//
// The subscription has one queue for all its topics: it sees the events of each
// in order, and those of one publisher in the order of its publishes.
func SubscribePattern[T any](ctx context.Context, b *Bus, pattern string, cfg SubscribeConfig[T], fn func(context.Context, Event[T]) error) (*Subscription, error) {
	return subscribePatterns(ctx, b, []string{pattern}, cfg, fn)
}

// anyMailbox is a mailbox of whatever type.
type anyMailbox interface {
	judgeAny(v *verdict, data any, key string)
	putAny(e Event[any], v *verdict) (after aftermath, covered bool)
	takes(v *verdict) bool
	room(n int) bool
	blocks(l *line)
	subscription() *Subscription
	typeOf() reflect.Type
	lock()
	unlock()
}

// A boxedSink is a mailbox of another type than the topic's.
type boxedSink[T any] struct{ anyMailbox }

func (s boxedSink[T]) judges() bool { return true }

func (s boxedSink[T]) judge(v *verdict, data T, key string) { s.judgeAny(v, data, key) }

func (s boxedSink[T]) put(e Event[T], v *verdict) (aftermath, bool) {
	if v.skip {
		return aftermath{}, false
	}
	return s.putAny(e.erased(), v)
}

func (m *mailbox[T]) typeOf() reflect.Type { return reflect.TypeFor[T]() }

func (m *mailbox[T]) putAny(e Event[any], v *verdict) (aftermath, bool) {
	data, _ := e.Data.(T)
	return m.put(Event[T]{data, e.Seq, e.Lag, e.envelope}, v)
}

// addPattern has a pattern subscription get the events of this topic, if their
// type fits. Bus.mu is held.
func (t *Topic[T]) addPattern(m anyMailbox) {
	s := t.sinkOf(m)
	if s == nil {
		return
	}
	if _, letters := any(t).(*Topic[Failure]); letters {
		m.subscription().ofFailures = true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state == open {
		t.addSink(s)
	}
}

func (t *Topic[T]) sinkOf(m anyMailbox) sink[T] {
	if same, ok := m.(sink[T]); ok {
		return same
	}
	has, want := reflect.TypeFor[T](), m.typeOf()
	if want.Kind() != reflect.Interface || has.Kind() != reflect.Interface && !has.Implements(want) {
		return nil
	}
	return boxedSink[T]{m}
}

// A patternSub is a pattern subscription as the bus knows it.
type patternSub struct {
	patterns []pattern
	box      anyMailbox
}

func (s *patternSub) matches(name string) bool {
	return slices.ContainsFunc(s.patterns, func(p pattern) bool { return p.matches(name) })
}

// patternHost is the host of pattern subscriptions.
type patternHost struct{ bus *Bus }

// remove takes the subscription from the bus first, so that no topic made
// meanwhile gets it.
func (h patternHost) remove(s *Subscription) {
	b := h.bus
	b.mu.Lock()
	b.patterns = slices.DeleteFunc(b.patterns, func(p patternSub) bool { return p.box.subscription() == s })
	topics := b.liveLocked()
	b.mu.Unlock()
	for _, t := range topics {
		t.remove(s)
	}
}

func (h patternHost) forget(s *Subscription) {
	h.remove(s)
	for _, t := range h.bus.live() {
		t.forget(s)
	}
}

func parsePatterns(texts []string, field string, p *problems) (list []pattern) {
	for _, text := range texts {
		parsed, err := parsePattern(text)
		if err != nil {
			if field != "" {
				err = errors.New(field + ": " + err.Error())
			}
			*p = append(*p, err)
		}
		list = append(list, parsed)
	}
	return list
}

// subscribePatterns is SubscribePattern for several patterns at once.
func subscribePatterns[T any](ctx context.Context, b *Bus, texts []string, cfg SubscribeConfig[T], fn func(context.Context, Event[T]) error) (*Subscription, error) {
	if err := b.usable(); err != nil {
		return nil, err
	}
	var p problems
	patterns := parsePatterns(texts, "", &p)
	where := strings.Join(texts, ", ")
	if err := invalid("subscribe to pattern "+quoted(where), p); err != nil {
		return nil, err
	}
	at := place{bus: b, capacity: defaultCapacity, pattern: true, handler: true}
	if err := checkSubscribe(ctx, &cfg, at, fn == nil, "pattern "+quoted(where)); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults(at)
	s := newSubscription(ctx, b, cfg.Name, where, cfg.OnFull, cfg.Capacity)
	s.pattern, s.wantsTime, s.dead = true, true, cfg.DeadLetter
	if s.name == "" {
		s.name = where + "/" + strconv.FormatInt(s.number, 10)
	}
	call, err := newCaller(s, cfg.Retry, cfg.Timeout, cfg.DeadLetter, nil, fn)
	if err != nil {
		return nil, err
	}
	workers, batches := newWorkers(s, call, cfg.Workers)
	for _, w := range batches {
		w.hand.sub, w.hand.step = s, oneCall
		s.hands = append(s.hands, &w.hand)
	}
	box := newMailbox(s, &cfg, patternHost{b})
	s.impl = box
	for _, w := range batches {
		w.src = box
	}
	if err := b.addPattern(patternSub{patterns, box}); err != nil {
		return nil, err
	}
	workers.start()
	s.start()
	return s, nil
}

// addPattern registers a pattern subscription with all topics it matches.
func (b *Bus) addPattern(s patternSub) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shut != nil {
		return &Error{Subscription: s.box.subscription().name, Err: ErrClosed}
	}
	b.members.add(s.box.subscription())
	b.patterns = append(b.patterns, s)
	for _, t := range b.liveLocked() {
		if s.matches(t.about().name) {
			t.addPattern(s.box)
		}
	}
	return nil
}
