package main

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// An account holds an amount of something.
type account struct{ what, whose string }

// A transfer is an effect: an amount goes from one account to another.
type transfer struct {
	from, to account
	amount   int64
}

// A database is that of one service, and all instances of the service use it. It
// knows actions by their idempotency key: each is booked once, however often it is
// asked for and whichever instance is asked, and not at all after it was undone.
type database struct {
	mu       sync.Mutex
	balances map[account]int64
	entries  map[string]*entry // by the key of the action
	postings []posting
	found    map[finding]int
}

// An entry is what has become of an action.
type entry struct {
	receipt string // of its effect
	refused string // why it never has one
	undone  bool
	booked  posting
}

// A posting is what was booked. They are kept for those who audit the books.
type posting struct {
	key      string // of the action
	order    string
	resource resource
	undo     bool
	transfer transfer
}

// A finding is what a database says to an action or its compensation.
type finding string

const (
	booked   finding = "booked"
	again    finding = "again" // it was there already
	refused  finding = "refused"
	tooLate  finding = "too late" // it was undone before it came
	reversed finding = "reversed"
	nothing  finding = "nothing" // there is nothing to undo, and there never will be
)

func newDatabase() *database {
	return &database{balances: make(map[account]int64), entries: make(map[string]*entry), found: make(map[finding]int)}
}

// do books an action, unless a reason is given why it is refused. A refusal is as
// final as an effect: whoever asks again gets the same answer.
func (d *database) do(key string, r resource, o Order, why string) (what finding, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer func() { d.found[what]++ }()
	e := d.entry(key)
	switch {
	case e.undone:
		return tooLate, ""
	case e.refused != "":
		return refused, e.refused
	case e.receipt != "":
		return again, e.receipt
	case why != "":
		e.refused = why
		return refused, why
	}
	e.receipt = fmt.Sprintf("%s-%d", r, len(d.postings)+1)
	e.booked = posting{key: key, order: o.ID, resource: r, transfer: effect(o, r)}
	d.post(e.booked)
	return booked, e.receipt
}

// undo reverses an action if it was booked, and refuses it for ever.
func (d *database) undo(key string) (what finding) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer func() { d.found[what]++ }()
	e := d.entry(key)
	if e.undone {
		return again
	}
	e.undone = true
	if e.receipt == "" {
		return nothing
	}
	back := e.booked
	back.undo = true
	d.post(back)
	return reversed
}

// look tells what has become of an action: its receipt, or why it was refused;
// neither if nobody knows yet.
func (d *database) look(key string) (receipt, why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch e := d.entries[key]; {
	case e == nil:
		return "", ""
	case e.undone:
		return "", "undone"
	default:
		return e.receipt, e.refused
	}
}

// entry is that of a key, if need be a new one. mu is held.
func (d *database) entry(key string) *entry {
	e := d.entries[key]
	if e == nil {
		e = new(entry)
		d.entries[key] = e
	}
	return e
}

// post books a transfer, or its reverse. mu is held.
func (d *database) post(p posting) {
	d.postings = append(d.postings, p)
	amount := p.transfer.amount
	if p.undo {
		amount = -amount
	}
	d.balances[p.transfer.from] -= amount
	d.balances[p.transfer.to] += amount
}

// deposit fills an account: what customers have, what is on the shelf.
func (d *database) deposit(a account, amount int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.balances[a] += amount
}

// Books are a copy of what a database has.
type books struct {
	balances map[account]int64
	postings []posting
	found    map[finding]int
}

func (d *database) books() books {
	d.mu.Lock()
	defer d.mu.Unlock()
	return books{maps.Clone(d.balances), slices.Clone(d.postings), maps.Clone(d.found)}
}
