package main

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Every resource has one home, and goes from one account to another of the same kind.
func TestEffect(t *testing.T) {
	o := Order{ID: "a", Customer: "ann", Item: "lamp", Quantity: 3, Cents: 700}
	var all []string
	for _, s := range services {
		for _, r := range s.resources {
			assert.Equal(t, s.name, home(r))
			tr := effect(o, r)
			assert.Equal(t, tr.from.what, tr.to.what)
			all = append(all, fmt.Sprintf("%s %d %s: %s to %s", s.name, tr.amount, tr.from.what, tr.from.whose, tr.to.whose))
		}
	}
	assert.Equal(t, []string{
		"stock 3 stock of lamp: shelf to reserved", "stock 3 stock of lamp: reserved to customers",
		"payment 700 money: customer ann to shop", "payment 1 invoices: blank to issued",
		"shipping 1 labels: blank to issued", "shipping 1 parcels: blank to issued",
	}, all)
	assert.Empty(t, home("mails"))
	assert.Equal(t, "http://payment/charges", address(charges))
	assert.Equal(t, "payment-2", instanceID("payment", 2))
}

// What an order takes is there, each in the database that it is taken from: an order
// that is done as a whole leaves nothing behind where it came from.
func TestProvide(t *testing.T) {
	databases := make(map[string]*database)
	for _, s := range services {
		databases[s.name] = newDatabase()
	}
	for range 2 {
		provide(databases, lampOrder)
	}
	assert.Equal(t, map[account]int64{{"stock of lamp", "shelf"}: 4}, databases["stock"].books().balances)
	assert.Equal(t, map[account]int64{{"money", "customer ann"}: 19600, {"invoices", "blank"}: 2}, databases["payment"].books().balances)
	assert.Equal(t, map[account]int64{{"labels", "blank"}: 2, {"parcels", "blank"}: 2}, databases["shipping"].books().balances)

	for _, s := range services {
		for _, r := range s.resources {
			for n := range 2 {
				databases[s.name].do(fmt.Sprint(r, n), r, lampOrder, "")
			}
		}
		for a, amount := range databases[s.name].books().balances {
			gone := a.whose == "shelf" || a.whose == "reserved" || a.whose == "blank" || a.whose == "customer ann"
			assert.Equal(t, gone, amount == 0, "%v: %d", a, amount)
		}
	}
}
