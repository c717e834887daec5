package main

import "sync"

// A ledger is the database behind all backends. It knows orders by their
// idempotency key, so that one which is sent twice is placed once.
type ledger struct {
	mu     sync.Mutex
	orders map[string]string // by key
	again  int
	mixed  int
}

func newLedger() *ledger { return &ledger{orders: make(map[string]string)} }

func (l *ledger) place(key, order string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch was, known := l.orders[key]; {
	case !known:
		l.orders[key] = order
	case was == order:
		l.again++
	default:
		l.mixed++
	}
}

// Totals are what a ledger comes to.
type totals struct {
	orders int
	again  int // orders that came another time
	mixed  int // keys that came with another order
}

func (l *ledger) totals() totals {
	l.mu.Lock()
	defer l.mu.Unlock()
	return totals{len(l.orders), l.again, l.mixed}
}
