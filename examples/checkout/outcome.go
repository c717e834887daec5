package main

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/saga"
)

// An outcome is what came of it all.
type outcome struct {
	plan   plan
	tally  tally
	ends   map[string]ending // by order, as the journal has them
	books  map[string]books  // by service
	visits map[string]map[fault]int
	served map[string]uint64 // calls, by instance, since it was last started
	opened map[string]int    // how often its breaker has opened, by instance
	starts int               // of the order service
	bus    []eventbus.SubscriptionStats
	ledger map[string]int64 // what the ledger has booked, in cents by customer
	told   map[string]bool  // orders whose mail was delivered or came back
	took   time.Duration
	left   int // goroutines
}

// An ending is how a run has ended.
type ending struct {
	status saga.Status
	reason saga.Reason // why it is stuck
	why    string      // the step that failed, and why
}

// ask asks everybody how it was, as long as they are there.
func (s *shop) ask(ctx context.Context, o *outcome) error {
	heads, err := s.office.heads(ctx)
	if err != nil {
		return err
	}
	o.ends = make(map[string]ending)
	for _, h := range heads {
		o.ends[h.ID] = ending{status: h.Status, reason: h.Reason}
	}
	s.board.reasons(o.ends)
	o.served = make(map[string]uint64)
	for name := range s.reg.Services() {
		for e := range s.reg.Service(name).Snapshot().All() {
			o.served[e.ID()] = e.Picks()
		}
	}
	o.starts = s.office.opened()
	return s.topics.bus.Flush(ctx)
}

// collect reads what is left when everybody has gone.
func (s *shop) collect(o *outcome) {
	o.books, o.visits = make(map[string]books), make(map[string]map[fault]int)
	for name, d := range s.databases {
		o.books[name] = d.books()
		o.visits[name] = make(map[fault]int)
	}
	for _, c := range s.counters {
		for f, n := range c.visited() {
			o.visits[c.service.name][f] += n
		}
	}
	o.opened = s.board.openings()
	for _, sub := range append(s.subs.all, s.board.subscription) {
		o.bus = append(o.bus, sub.Stats())
	}
	o.ledger = s.subs.ledger.totals()
	o.told = s.subs.notifier.done()
}

// visited is how many requests there were, by what went wrong with them.
func (c *counter) visited() map[fault]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.visits)
}

// opened is how often the service was opened.
func (s *orderService) opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.starts
}

// done are the orders whose mail was delivered or came back.
func (n *notifier) done() map[string]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := maps.Clone(n.told)
	maps.Copy(all, n.returned)
	return all
}

// openings is how often breakers have opened, by instance.
func (b *board) openings() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.opened)
}

// reasons adds to each ending why it was, as far as the board has heard.
func (b *board) reasons(ends map[string]ending) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, e := range ends {
		if why := b.why[id]; why != "" && e.status != saga.Completed {
			e.why = why
			ends[id] = e
		}
	}
}

// all is what has been booked, by every service.
func (o outcome) all() (balances map[account]int64, postings []posting) {
	balances = make(map[account]int64)
	for _, s := range services {
		b := o.books[s.name]
		maps.Copy(balances, b.balances) // no two services have an account of the same name
		postings = append(postings, b.postings...)
	}
	return balances, postings
}

func number(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	if strings.HasSuffix(what, "sh") {
		what += "e"
	}
	return fmt.Sprintf("%d %ss", n, what)
}
