package main

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// A resource is what a service makes of an order: one for each step of the saga.
type resource string

const (
	reservations resource = "reservations"
	charges      resource = "charges"
	labels       resource = "labels"
	invoices     resource = "invoices"
	parcels      resource = "parcels"
	mails        resource = "mails"
)

var resources = []resource{reservations, charges, labels, invoices, parcels, mails}

// An account holds an amount of something.
type account struct{ what, whose string }

// A transfer is an effect: an amount goes from one account to another.
type transfer struct {
	from, to account
	amount   int64
}

// effect is what a resource does for an order.
func effect(o Order, r resource) transfer {
	stock, money, paper := "stock of "+o.Item, "money", string(r)
	switch r {
	case reservations:
		return transfer{account{stock, "shelf"}, account{stock, "reserved"}, o.Quantity}
	case parcels:
		return transfer{account{stock, "reserved"}, account{stock, "customers"}, o.Quantity}
	case charges:
		return transfer{account{money, "customer " + o.Customer}, account{money, "shop"}, o.Cents}
	default:
		return transfer{account{paper, "blank"}, account{paper, "issued"}, 1}
	}
}

// opening are the accounts before anything happens: enough for every order.
func opening(orders []Order) map[account]int64 {
	balances := make(map[account]int64)
	for _, o := range orders {
		for _, r := range resources {
			if t := effect(o, r); r != parcels { // they take what was reserved
				balances[t.from] += t.amount
			}
		}
	}
	return balances
}

// A ledger is the database behind all services. It knows actions by their
// idempotency key: each is booked once, however often it is asked for, and not at
// all after it has been undone.
type ledger struct {
	mu       sync.Mutex
	balances map[account]int64
	entries  map[string]*entry // by the key of the action
	postings []posting
}

// An entry is what has become of an action.
type entry struct {
	receipt string        // of its effect
	refused string        // why it never has one
	closed  chan struct{} // closed when it was undone
}

// A posting is what was booked. They are kept for the auditors.
type posting struct {
	key      string // of the action
	order    string
	resource resource
	undo     bool
	transfer transfer
}

func newLedger(orders []Order) *ledger {
	return &ledger{balances: opening(orders), entries: make(map[string]*entry)}
}

// entry is that of a key, if need be a new one. mu is held.
func (l *ledger) entry(key string) *entry {
	e := l.entries[key]
	if e == nil {
		e = &entry{closed: make(chan struct{})}
		l.entries[key] = e
	}
	return e
}

func (e *entry) undone() bool {
	select {
	case <-e.closed:
		return true
	default:
		return false
	}
}

// post books a transfer, or its reverse. mu is held.
func (l *ledger) post(p posting) {
	l.postings = append(l.postings, p)
	amount := p.transfer.amount
	if p.undo {
		amount = -amount
	}
	l.balances[p.transfer.from] -= amount
	l.balances[p.transfer.to] += amount
}

// A finding is what the ledger says to an action or its compensation.
type finding string

const (
	booked   finding = "booked"
	again    finding = "again" // it was there already
	refused  finding = "refused"
	tooLate  finding = "too late" // it was undone before it came
	reversed finding = "reversed"
	nothing  finding = "nothing" // there is nothing to undo, and there never will be
)

// do books an action, unless a reason is given why it is refused. A refusal is as
// final as an effect: whoever asks again gets the same answer.
func (l *ledger) do(key string, r resource, o Order, why string) (what finding, receipt string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entry(key)
	switch {
	case e.undone():
		return tooLate, ""
	case e.refused != "":
		return refused, e.refused
	case e.receipt != "":
		return again, e.receipt
	case why != "":
		e.refused = why
		return refused, why
	}
	e.receipt = fmt.Sprintf("%s-%d", r, len(l.postings)+1)
	l.post(posting{key: key, order: o.ID, resource: r, transfer: effect(o, r)})
	return booked, e.receipt
}

// undo reverses an action if it was booked, and refuses it for ever.
func (l *ledger) undo(key string, r resource, o Order) finding {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entry(key)
	if e.undone() {
		return again
	}
	close(e.closed)
	if e.receipt == "" {
		return nothing
	}
	l.post(posting{key: key, order: o.ID, resource: r, undo: true, transfer: effect(o, r)})
	return reversed
}

// look tells what has become of an action: its receipt, or why it was refused;
// neither if nobody knows yet.
func (l *ledger) look(key string) (receipt, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entry(key)
	if e.undone() {
		return "", "undone"
	}
	return e.receipt, e.refused
}

// closed is closed when an action is undone.
func (l *ledger) closed(key string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entry(key).closed
}

// books are copies of what there is in a ledger.
func (l *ledger) books() (balances map[account]int64, postings []posting) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.balances), slices.Clone(l.postings)
}
