package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/eventbus"
)

// An Order is what the service is about.
type Order struct {
	ID    int
	Email string // "" if the customer wants no mail
}

// A day is what happens at the shop.
type day struct {
	phases   []phase
	room     int // of each subscription; but Unbounded has as much as it takes
	silent   int // every so many orders there is one without an address
	mistaken int // the order whose address does not exist
}

// A phase is a part of a day: after so many orders the mail server has sent so
// many mails.
type phase struct {
	name                 string
	orders, after, mails int
}

func usualDay() day {
	return day{
		phases: []phase{
			{name: "rush", orders: 15, after: 3, mails: 1},
			{name: "calm", orders: 6, after: 1, mails: 2},
		},
		room:     4,
		silent:   5,
		mistaken: 6,
	}
}

func (d day) order(id int) Order {
	switch {
	case id%d.silent == 0:
		return Order{ID: id}
	case id == d.mistaken:
		return Order{id, "ann@nowhere.invalid"}
	}
	return Order{id, "ann@shop.example"}
}

// An outcome is what became of a day under one policy.
type outcome struct {
	policy    eventbus.Overflow
	placed    int   // orders, by customers
	published int64 // of them
	waited    []int // the orders with which the shop had to wait
	refused   []int // the orders that the shop could not take
	books     []book
	closing   error
}

// A book is what is known of one subscription: what its handler saw, what its
// numbers say, and what the hook was told.
type book struct {
	name    string
	seen    []eventbus.Event[Order]
	stats   eventbus.SubscriptionStats
	dropped eventbus.Drop // in all
	end     error
}

// A shop publishes orders for a day.
type shop struct {
	outcome
	bus       *eventbus.Bus
	orders    *eventbus.Topic[Order]
	dashboard *dashboard
	mailer    *mailer
	stalled   chan struct{}

	mu      sync.Mutex               // a loss may be told by any goroutine
	dropped map[string]eventbus.Drop // by subscription
}

// play has a day at the shop.
func (d day) play(ctx context.Context, policy eventbus.Overflow) (outcome, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the subscriptions if it is given up
	s, err := open(ctx, policy, d.room)
	if err != nil {
		return outcome{}, err
	}
	for _, p := range d.phases {
		for i := range p.orders {
			s.placed++
			if err := s.place(ctx, d.order(s.placed)); err != nil {
				return outcome{}, err
			}
			if (i+1)%p.after != 0 {
				continue
			}
			for range p.mails {
				if err := s.mailer.send(ctx); err != nil {
					return outcome{}, err
				}
			}
		}
	}
	return s.outcome, s.close(ctx)
}

// open has a new bus, and who subscribes on it.
func open(ctx context.Context, policy eventbus.Overflow, room int) (*shop, error) {
	s := &shop{
		outcome:   outcome{policy: policy},
		dashboard: newDashboard(),
		mailer:    newMailer(),
		stalled:   make(chan struct{}, 1),
		dropped:   make(map[string]eventbus.Drop),
	}
	const stallAfter = time.Millisecond
	var err error
	s.bus, err = eventbus.New(eventbus.Config{
		Name:       "shop",
		StallAfter: stallAfter,
		Hooks: eventbus.Hooks{
			Stalled: func(st eventbus.Stall) {
				if st.For == stallAfter { // it is told again, at twice that and so on
					s.stalled <- struct{}{}
				}
			},
			Dropped: s.drop,
		},
	})
	if err != nil {
		return nil, err
	}
	s.orders, err = eventbus.NewTopic[Order](s.bus, "orders.placed", eventbus.TopicConfig{})
	if err != nil {
		return nil, err
	}
	cfg := eventbus.SubscribeConfig[Order]{OnFull: policy, Capacity: room}
	if policy == eventbus.Unbounded {
		cfg.Capacity = 0 // its default, which is far more than ever comes
	}
	if err := s.dashboard.subscribe(ctx, s.orders, cfg); err != nil {
		return nil, err
	}
	return s, s.mailer.subscribe(ctx, s.orders, cfg)
}

// drop is the hook that is told of every loss.
func (s *shop) drop(d eventbus.Drop) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := s.dropped[d.Subscription]
	sum.Lagged += d.Lagged
	sum.Discarded += d.Discarded
	s.dropped[d.Subscription] = sum
}

// drops is what a subscription has lost.
func (s *shop) drops(subscription string) eventbus.Drop {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped[subscription]
}

// place publishes an order and waits until the subscriptions have come to rest:
// the dashboard has seen it, and the mailer is at work if it has anything to do.
func (s *shop) place(ctx context.Context, o Order) error {
	result := make(chan error, 1)
	go func() { result <- s.orders.Publish(ctx, o) }()
	var err error
	select {
	case err = <-result:
	case <-s.stalled:
		s.waited = append(s.waited, o.ID)
		if err := s.mailer.send(ctx); err != nil { // nobody else makes room
			return err
		}
		err = <-result
	}
	if errors.Is(err, eventbus.ErrFull) {
		s.refused = append(s.refused, o.ID)
		return nil
	}
	if err != nil {
		return err
	}
	if err := receive(ctx, s.dashboard.saw); err != nil {
		return err
	}
	gone := s.drops(mailerName).Discarded > 0
	if gone || s.mailer.busy || !wantsMail(o) {
		return nil
	}
	return s.mailer.begin(ctx)
}

// close ends the day: no more orders, but what waits is sent.
func (s *shop) close(ctx context.Context) error {
	closed := make(chan error, 1)
	go func() { closed <- s.bus.Close(ctx) }()
	for s.mailer.busy {
		if err := s.mailer.send(ctx); err != nil {
			return err
		}
	}
	s.closing = <-closed
	s.published = s.orders.Stats().Seq
	for _, sub := range []*subscriber{&s.dashboard.subscriber, &s.mailer.subscriber} {
		if err := receive(ctx, sub.Done()); err != nil { // from then on all is final
			return err
		}
		s.books = append(s.books, book{
			name: sub.Name(), seen: sub.seen, stats: sub.Stats(), dropped: s.drops(sub.Name()), end: sub.Err(),
		})
	}
	return nil
}
