package eventbus

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"
)

// problems collects what is wrong with a config.
type problems []error

func (p *problems) check(ok bool, field string, value any, want string) {
	if !ok {
		*p = append(*p, problem(field, value, want))
	}
}

// refuse is check for what has no field to name. Its text leaves out the prefix,
// which invalid puts before all.
func (p *problems) refuse(bad bool, misuse error) {
	if bad {
		*p = append(*p, errors.New(strings.TrimPrefix(misuse.Error(), "eventbus: ")))
	}
}

func (c Config) validate() error {
	var p problems
	p.check(printable(c.Name), "Name", c.Name, "valid UTF-8 without control characters")
	_, err := url.Parse(c.Source)
	p.check(err == nil && printable(c.Source), "Source", c.Source, "a URI reference")
	for i, in := range c.AroundPublish {
		p.check(in != nil, fmt.Sprintf("AroundPublish[%d]", i), words("nil"), "a function")
	}
	for i, in := range c.AroundHandle {
		p.check(in != nil, fmt.Sprintf("AroundHandle[%d]", i), words("nil"), "a function")
	}
	return invalid("New", p)
}

func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name = defaultName
	}
	if c.Source == "" {
		c.Source = "/" + (&url.URL{Path: c.Name}).EscapedPath()
	}
	if c.StallAfter == 0 {
		c.StallAfter = defaultStallAfter
	}
	c.AroundPublish = slices.Clone(c.AroundPublish)
	c.AroundHandle = slices.Clone(c.AroundHandle)
	return c
}

// check appends what is wrong with the config of a topic of bus b.
func (c TopicConfig) check(p *problems, b *Bus, ofFailures bool) {
	p.check(c.Capacity <= maxCapacity, "Capacity", c.Capacity, fmt.Sprintf("at most %d", maxCapacity))
	p.check(c.History <= maxCapacity, "History", c.History, fmt.Sprintf("at most %d", maxCapacity))
	if c.Sync {
		p.check(c.Capacity == 0, "Capacity", c.Capacity, "0, because Sync topics have no queue")
		p.check(c.History <= 0, "History", c.History, "0, because Sync topics have no history")
	}
	p.check(printable(c.Type), "Type", c.Type, "valid UTF-8 without control characters")
	checkDeadLetter(p, c.DeadLetter, b, ofFailures)
}

func (c TopicConfig) withDefaults() TopicConfig {
	if c.Capacity == 0 {
		c.Capacity = defaultCapacity
	}
	if c.Capacity < 0 {
		c.Capacity = noLimit
	}
	c.History = max(c.History, 0)
	return c
}

func checkDeadLetter(p *problems, dead *Topic[Failure], b *Bus, ofFailures bool) {
	if dead == nil {
		return
	}
	switch {
	case dead.bus == nil:
		p.check(false, "DeadLetter", words("a zero Topic"), "one made by NewTopic")
	case ofFailures:
		p.check(false, "DeadLetter", dead.info.name, "nil, because there are no dead letters about dead letters")
	case dead.bus != b:
		p.check(false, "DeadLetter", dead.info.name, "a topic of the same bus")
	}
}

// A place is what a subscription is made on, as far as it matters to its config.
type place struct {
	bus        *Bus
	capacity   int  // of the topic
	sync       bool // handlers run on the publisher's goroutine
	syncTopic  bool // there is no history to begin with
	pattern    bool
	handler    bool // false: a Queue
	ofFailures bool
}

func (c *SubscribeConfig[T]) check(p *problems, at place) {
	p.check(printable(c.Name), "Name", c.Name, "valid UTF-8 without control characters")
	p.check(c.OnFull < overflows, "OnFull", int(c.OnFull), "a policy")
	p.check(c.Capacity <= maxCapacity, "Capacity", c.Capacity, fmt.Sprintf("at most %d", maxCapacity))
	p.check(c.Workers >= 0 && c.Workers <= maxWorkers, "Workers", c.Workers, fmt.Sprintf("0 to %d", maxWorkers))
	p.check(!c.Once || c.Workers <= 1, "Workers", c.Workers, "1, because of Once")
	if at.sync {
		const why = ", because handlers of a Sync topic run on the publisher's goroutine"
		p.check(c.OnFull == Block, "OnFull", c.OnFull, "none"+why)
		p.check(c.Capacity == 0, "Capacity", c.Capacity, "0"+why)
		p.check(c.Workers == 0, "Workers", c.Workers, "0"+why)
		p.check(c.Key == nil, "Key", words("a function"), "nil"+why)
	} else {
		p.check(c.Order == 0, "Order", c.Order, "0, because only handlers of a Sync topic have one")
	}
	p.check(c.From == 0 || !at.syncTopic, "From", c.From, "0, because a Sync topic has no history")
	p.check(c.From == 0 || !at.pattern, "From", c.From, "0, because a pattern has no history")
	if !at.handler {
		const why = ", because a Queue has no handler"
		p.check(c.Workers == 0, "Workers", c.Workers, "0"+why)
		p.check(c.Key == nil, "Key", words("a function"), "nil"+why)
		p.check(c.Timeout <= 0, "Timeout", c.Timeout, "0"+why)
		p.check(c.Retry.Attempts == 0 && c.Retry.Wait == 0 && c.Retry.MaxWait == 0 && c.Retry.Delay == nil,
			"Retry", words("set"), "none"+why)
	}
	checkDeadLetter(p, c.DeadLetter, at.bus, at.ofFailures)
}

// withDefaults fills in what the place says. Capacity is then noLimit or more
// than 0, but 0 where there is no queue.
func (c SubscribeConfig[T]) withDefaults(at place) SubscribeConfig[T] {
	c.Workers = max(c.Workers, 1)
	c.Timeout = max(c.Timeout, 0)
	c.Retry = c.Retry.withDefaults()
	if at.sync {
		return c
	}
	switch {
	case c.Capacity < 0:
		c.Capacity = noLimit
	case c.Capacity > 0:
	case c.OnFull == Unbounded:
		c.Capacity = defaultUnbounded
	default:
		c.Capacity = at.capacity
	}
	return c
}

func (r Retry) withDefaults() Retry {
	if r.Attempts == 0 {
		r.Attempts = 1
	}
	if r.Wait == 0 {
		r.Wait = defaultWait
	}
	r.Wait = max(r.Wait, 0)
	if r.MaxWait == 0 {
		r.MaxWait = max(defaultMaxWait, r.Wait)
	}
	if r.MaxWait < 0 {
		r.MaxWait = math.MaxInt64
	}
	return r
}

// wait is the time between a failed attempt, 1 being the first, and the next.
// Negative: none will follow.
func (r *Retry) wait(attempt int, err error) time.Duration {
	if r.Attempts >= 0 && attempt >= r.Attempts {
		return -1
	}
	if r.Delay != nil {
		return r.Delay(attempt, err)
	}
	wait := r.Wait
	for i := 1; i < attempt && 0 < wait && wait < r.MaxWait; i++ {
		if wait > math.MaxInt64/2 {
			return r.MaxWait
		}
		wait *= 2
	}
	return min(wait, r.MaxWait)
}
