package eventbus

import (
	"context"
	"iter"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"
	"weak"
)

// A Bus is a set of topics. It is safe for concurrent use, and made only by
// [New].
type Bus struct {
	name, source string
	epoch        string // makes the IDs of this bus differ from those of all others
	time         timeline
	stallAfter   time.Duration
	hooks        Hooks
	intercepts   bool // there is something around publishes
	watched      bool // hooks or interceptors can see the time of every event

	aroundPublish, aroundHandle []Interceptor

	lastSub    atomic.Int64
	waits      waitGraph
	pins       pins
	members    members
	arrived    arrivals
	byType     sync.Map // reflect.Type -> *Topic of it, for the type-keyed functions
	declared   sync.Map // reflect.Type -> the CloudEvents type that it asks for
	responders sync.Map // reflect.Type of the request -> *responder

	mu        sync.Mutex // the first to be taken; guards what follows
	topics    map[string]entry
	lastTopic int64
	patterns  []patternSub
	attached  []*attach
	shut      *shutdown // nil until Close
}

// An entry is a topic in the table of names, which does not keep it alive.
type entry struct {
	number int64
	get    func() anyTopic // nil once it is gone
}

// anyTopic is a topic of whatever type.
type anyTopic interface {
	host
	about() *topicInfo
	typeOf() reflect.Type
	Stats() TopicStats
	addPattern(m anyMailbox)
	close(state topicState)
	receive(ctx context.Context, m *meta, unmarshal func(any) error) error
}

// New makes a bus. Its error joins all problems of cfg; each names the field and
// the value. It starts nothing.
func New(cfg Config) (*Bus, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	draw := cfg.Rand
	if draw == nil {
		draw = rand.Uint64
	}
	return &Bus{
		name: cfg.Name, source: cfg.Source,
		epoch:         strconv.FormatUint(draw(), 36),
		time:          newTimeline(cfg.Clock),
		stallAfter:    cfg.StallAfter,
		hooks:         cfg.Hooks,
		intercepts:    len(cfg.AroundPublish) > 0,
		watched:       len(cfg.AroundPublish)+len(cfg.AroundHandle) > 0 || cfg.Hooks.Handled != nil || cfg.Hooks.Failed != nil,
		aroundPublish: cfg.AroundPublish, aroundHandle: cfg.AroundHandle,
		topics: make(map[string]entry),
	}, nil
}

// MustNew is [New] for package-level variables: it panics with its error.
func MustNew(cfg Config) *Bus {
	b, err := New(cfg)
	if err != nil {
		panic(err)
	}
	return b
}

// usable reports misuse of the handle.
func (b *Bus) usable() error {
	switch {
	case b == nil:
		return errNilBus
	case b.topics == nil:
		return errZeroBus
	}
	return nil
}

// Topics are the numbers of all live topics, in the order of their names. Each
// is looked at when its turn comes.
func (b *Bus) Topics() iter.Seq[TopicStats] {
	return func(yield func(TopicStats) bool) {
		if b.usable() != nil {
			return
		}
		for _, t := range b.live() {
			if !yield(t.Stats()) {
				return
			}
		}
	}
}

// live are all topics that are not gone, in the order of their names.
func (b *Bus) live() []anyTopic {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.liveLocked()
}

func (b *Bus) liveLocked() []anyTopic {
	list := make([]anyTopic, 0, len(b.topics))
	for _, e := range b.topics {
		if t := e.get(); t != nil {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(x, y anyTopic) int { return strings.Compare(x.about().name, y.about().name) })
	return list
}

// newTopic finds or makes a topic.
func newTopic[T any](b *Bus, name string, cfg TopicConfig) (*Topic[T], error) {
	typ := reflect.TypeFor[T]()
	var p problems
	keyed := name == ""
	if keyed && typ.Kind() == reflect.Interface {
		p.check(false, "Name", "", "a name, because the type "+typ.String()+" is an interface")
	} else if keyed {
		name = typeName(typ)
	} else if err := checkName(name); err != nil {
		p = append(p, err)
	}
	_, ofFailures := any((*Topic[T])(nil)).(*Topic[Failure])
	cfg.check(&p, b, ofFailures)
	if err := invalid("topic "+quoted(name), p); err != nil {
		return nil, err
	}
	asked := cfg
	if cfg.Type == "" {
		var err error
		if cfg.Type, err = b.declaredType(typ); err != nil {
			return nil, &Error{Topic: name, Err: err}
		}
	}
	cfg = cfg.withDefaults()

	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shut != nil {
		return nil, &Error{Topic: name, Err: ErrClosed}
	}
	if e, ok := b.topics[name]; ok {
		if found := e.get(); found != nil {
			t, err := sameTopic[T](found, name, asked, cfg)
			if keyed && err == nil {
				b.byType.Store(typ, t)
			}
			return t, err
		}
	}
	b.lastTopic++
	info := &topicInfo{name: name, typ: cfg.Type, bus: b, number: b.lastTopic, dead: cfg.DeadLetter}
	t := makeTopic[T](b, info, cfg)
	w := weak.Make(t)
	b.topics[name] = entry{info.number, func() anyTopic {
		if t := w.Value(); t != nil {
			return t
		}
		return nil
	}}
	// The cleanup runs on a goroutine of the runtime, outside every synctest
	// bubble: it may take a mutex and must wake nobody.
	runtime.AddCleanup(t, b.vanished, info)
	if keyed {
		b.byType.Store(typ, t) // it lives as long as the bus
	}
	for _, s := range b.patterns {
		if s.matches(name) {
			t.addPattern(s.box)
		}
	}
	return t, nil
}

// vanished forgets the name of a topic that nobody refers to any more.
func (b *Bus) vanished(info *topicInfo) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.topics[info.name].number == info.number {
		delete(b.topics, info.name)
	}
}

// sameTopic is found, if it is what was asked for.
func sameTopic[T any](found anyTopic, name string, asked, cfg TopicConfig) (*Topic[T], error) {
	t, ok := found.(*Topic[T])
	if !ok {
		return nil, &Error{Topic: name, Err: typeClash(found.typeOf(), reflect.TypeFor[T]())}
	}
	if asked == (TopicConfig{}) {
		return t, nil
	}
	var p problems
	check := func(same bool, field string, got, has any) {
		p.check(same, field, got, fmtAny(has)+", as the topic has already")
	}
	check(cfg.Capacity == t.cfg.Capacity, "Capacity", cfg.Capacity, t.cfg.Capacity)
	check(cfg.History == t.cfg.History, "History", cfg.History, t.cfg.History)
	check(cfg.Sync == t.cfg.Sync, "Sync", cfg.Sync, t.cfg.Sync)
	check(cfg.Untimed == t.cfg.Untimed, "Untimed", cfg.Untimed, t.cfg.Untimed)
	check(cfg.Type == t.cfg.Type, "Type", cfg.Type, t.cfg.Type)
	check(cfg.DeadLetter == t.cfg.DeadLetter, "DeadLetter", cfg.DeadLetter.Name(), t.cfg.DeadLetter.Name())
	if err := invalid("topic "+quoted(name), p); err != nil {
		return nil, err
	}
	return t, nil
}

// declaredType is the CloudEvents type that a Go type asks for.
func (b *Bus) declaredType(typ reflect.Type) (string, error) {
	if name, ok := b.declared.Load(typ); ok {
		return name.(string), nil
	}
	name, err := askType(typ)
	if err == nil {
		b.declared.Store(typ, name)
	}
	return name, err
}

func askType(typ reflect.Type) (string, error) {
	name, ok, err := eventType(typ)
	if err != nil {
		return "", err
	}
	if !ok {
		return typeName(typ), nil
	}
	if !printable(name) {
		return "", problem("EventType()", name, "valid UTF-8 without control characters")
	}
	return name, nil
}

// printable reports whether s may stand in stats, errors and CloudEvents.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// topicOf is the type-keyed topic of T.
func topicOf[T any](b *Bus) (*Topic[T], error) {
	if err := b.usable(); err != nil {
		return nil, err
	}
	key := reflect.TypeFor[T]()
	if t, ok := b.byType.Load(key); ok {
		return t.(*Topic[T]), nil
	}
	return newTopic[T](b, "", TopicConfig{})
}

// Publish gives data to the topic of its type. See [Topic.Publish]. A T that is
// an interface has no such topic.
func Publish[T any](ctx context.Context, b *Bus, data T) error {
	t, err := topicOf[T](b)
	if err != nil {
		return err
	}
	return t.Publish(ctx, data)
}

// pins keeps topics alive that somebody depends on without holding them.
type pins struct {
	mu  sync.Mutex // a leaf
	set map[anyTopic]struct{}
}

func (p *pins) keep(t anyTopic, keep bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !keep {
		delete(p.set, t)
		return
	}
	if p.set == nil {
		p.set = make(map[anyTopic]struct{})
	}
	p.set[t] = struct{}{}
}

// members are all subscriptions of a bus that are not done.
type members struct {
	mu  sync.Mutex // a leaf
	set map[*Subscription]struct{}
}

func (m *members) add(s *Subscription) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.set == nil {
		m.set = make(map[*Subscription]struct{})
	}
	m.set[s] = struct{}{}
}

func (m *members) remove(s *Subscription) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.set, s)
}

// list is in order of age.
func (m *members) list() []*Subscription {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]*Subscription, 0, len(m.set))
	for s := range m.set {
		list = append(list, s)
	}
	slices.SortFunc(list, olderFirst)
	return list
}
