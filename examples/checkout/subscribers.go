package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/saga"
)

// Subscribers know of the shop only what the bus tells them.
type subscribers struct {
	ledger   *ledger
	notifier *notifier
	audit    *audit
	all      []*eventbus.Subscription
}

// A ledger is the accounting: what each customer has bought. It must not lose an
// event, and so its queue has no limit. The same order may be told twice.
type ledger struct {
	mu      sync.Mutex
	ends    map[string]saga.Status // by order
	revenue map[string]int64       // in cents, by customer
	grown   chan struct{}          // has a token when ends has grown
}

func (l *ledger) book(_ context.Context, e Ended) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.ends[e.Order.ID]; known {
		return nil
	}
	l.ends[e.Order.ID] = e.Status
	if e.Status == saga.Completed {
		l.revenue[e.Order.Customer] += e.Order.Cents
	}
	select {
	case l.grown <- struct{}{}:
	default: // there is one already
	}
	return nil
}

// await waits until so many orders have come to their end.
func (l *ledger) await(ctx context.Context, orders int) error {
	for {
		l.mu.Lock()
		n := len(l.ends)
		l.mu.Unlock()
		if n >= orders {
			return nil
		}
		select {
		case <-l.grown:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d orders have come to their end: %w", n, orders, context.Cause(ctx))
		}
	}
}

func (l *ledger) totals() map[string]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.revenue)
}

// A notifier tells customers how their orders have ended, by a mail gateway that
// fails. It tries again, and puts aside what cannot be delivered.
type notifier struct {
	script script

	mu       sync.Mutex
	tries    map[string]int
	told     map[string]bool
	returned map[string]bool
}

var errBounced = errors.New("mail gateway: try again")

func (n *notifier) tell(_ context.Context, e Ended) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	id := e.Order.ID
	if n.told[id] {
		return nil
	}
	n.tries[id]++
	if n.tries[id] <= n.bounces(id) {
		return errBounced
	}
	n.told[id] = true
	return nil
}

// takeBack hears of a mail that was given up.
func (n *notifier) takeBack(_ context.Context, f eventbus.Failure) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if e, ok := f.Event.Data.(Ended); ok {
		n.returned[e.Order.ID] = true
	}
	return nil
}

// bounces is how often a mail fails: of a hundred some do once or twice, and three
// always.
func (n *notifier) bounces(order string) int {
	switch luck := n.script.dice("mail " + original(order)).IntN(100); {
	case luck < 85:
		return 0
	case luck < 97:
		return 1 + luck%2
	}
	return math.MaxInt
}

// An audit writes everything down, as fast as the disk is. When more comes it loses
// the oldest events, and writes down how many.
type audit struct{ out io.Writer }

func (a *audit) write(_ context.Context, e eventbus.Event[any]) error {
	if e.Lag > 0 {
		if _, err := fmt.Fprintf(a.out, "%d events are missing here\n", e.Lag); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(a.out, "%s %s %s\n", e.Time().Format(time.RFC3339Nano), e.Topic(), describe(e.Data))
	return err
}

// subscribe has all of them listen.
func subscribe(ctx context.Context, t *topics, s script, pace tempo, auditFile io.Writer) (*subscribers, error) {
	subs := &subscribers{
		ledger:   &ledger{ends: make(map[string]saga.Status), revenue: make(map[string]int64), grown: make(chan struct{}, 1)},
		notifier: &notifier{script: s, tries: make(map[string]int), told: make(map[string]bool), returned: make(map[string]bool)},
		audit:    &audit{auditFile},
	}
	add := func(s *eventbus.Subscription, err error) error {
		subs.all = append(subs.all, s)
		return err
	}
	err := errors.Join(
		add(t.ended.SubscribeWith(ctx, eventbus.SubscribeConfig[Ended]{
			Name: "ledger", Capacity: -1,
		}, subs.ledger.book)),
		add(t.ended.SubscribeWith(ctx, eventbus.SubscribeConfig[Ended]{
			Name: "notifier", Capacity: -1,
			Workers: 4, Key: func(e Ended) string { return e.Order.Customer }, // each gets them in order
			Retry:      eventbus.Retry{Attempts: 5, Wait: pace.wait()},
			DeadLetter: t.returned,
		}, subs.notifier.tell)),
		add(eventbus.SubscribePattern(ctx, t.bus, ">", eventbus.SubscribeConfig[any]{
			Name: "audit", OnFull: eventbus.DropOldest, Capacity: 128,
		}, subs.audit.write)),
		add(t.returned.SubscribeWith(ctx, eventbus.SubscribeConfig[eventbus.Failure]{
			Name: "returns", Capacity: -1,
		}, subs.notifier.takeBack)),
	)
	return subs, err
}
