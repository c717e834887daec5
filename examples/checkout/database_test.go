package main

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

var lampOrder = Order{ID: "order 1", Customer: "ann", Item: "lamp", Quantity: 2, Cents: 9800}

// Some actions on a database, with what it says to each. Only what is booked or
// reversed changes a balance, and makes a posting.
func TestDatabase(t *testing.T) {
	type call struct {
		do, undo, key, why string
		want               finding
		text               string
	}
	const order, back = "do", "undo"
	for _, tc := range []struct {
		name     string
		calls    []call
		shop     int64 // the money there
		postings int
	}{
		{"once", []call{{do: order, key: "k", want: booked, text: "charges-1"}}, 9800, 1},
		{"once for a key, and for good", []call{
			{do: order, key: "k", want: booked, text: "charges-1"},
			{do: order, key: "k", want: again, text: "charges-1"},
			{do: order, key: "k", why: "card declined", want: again, text: "charges-1"},
		}, 9800, 1},
		{"two keys are two", []call{
			{do: order, key: "k", want: booked, text: "charges-1"},
			{do: order, key: "l", want: booked, text: "charges-2"},
		}, 19600, 2},
		{"a refusal is final", []call{
			{do: order, key: "k", why: "card declined", want: refused, text: "card declined"},
			{do: order, key: "k", want: refused, text: "card declined"},
			{do: order, key: "k", why: "other", want: refused, text: "card declined"},
			{undo: back, key: "k", want: nothing},
		}, 0, 0},
		{"undone once", []call{
			{do: order, key: "k", want: booked, text: "charges-1"},
			{undo: back, key: "k", want: reversed},
			{undo: back, key: "k", want: again},
			{do: order, key: "k", want: tooLate},
		}, 0, 2},
		{"undone before it came", []call{
			{undo: back, key: "k", want: nothing},
			{do: order, key: "k", want: tooLate},
			{do: order, key: "k", why: "card declined", want: tooLate},
			{undo: back, key: "k", want: again},
		}, 0, 0},
		{"undone is what has that key", []call{
			{do: order, key: "k", want: booked, text: "charges-1"},
			{do: order, key: "l", want: booked, text: "charges-2"},
			{undo: back, key: "l", want: reversed},
		}, 9800, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDatabase()
			found := make(map[finding]int)
			for i, c := range tc.calls {
				if c.undo != "" {
					assert.Equal(t, c.want, d.undo(c.key), i)
				} else {
					what, text := d.do(c.key, charges, lampOrder, c.why)
					assert.Equal(t, c.want, what, i)
					assert.Equal(t, c.text, text, i)
				}
				found[c.want]++
			}
			b := d.books()
			assert.Equal(t, tc.shop, b.balances[account{"money", "shop"}])
			assert.Equal(t, -tc.shop, b.balances[account{"money", "customer ann"}])
			assert.Len(t, b.postings, tc.postings)
			assert.Equal(t, found, b.found)
		})
	}
}

func TestDatabase_look(t *testing.T) {
	d := newDatabase()
	look := func(wantReceipt, wantWhy string) {
		t.Helper()
		receipt, why := d.look("k")
		assert.Equal(t, wantReceipt, receipt)
		assert.Equal(t, wantWhy, why)
	}
	look("", "")
	assert.Empty(t, d.entries, "to look changes nothing")
	d.do("k", charges, lampOrder, "")
	look("charges-1", "")
	d.undo("k")
	look("", "undone")

	d = newDatabase()
	d.do("k", charges, lampOrder, "card declined")
	look("", "card declined")
	d = newDatabase()
	d.undo("k")
	look("", "undone")
}

// What is read stays as it was.
func TestDatabase_books(t *testing.T) {
	d := newDatabase()
	d.deposit(account{"money", "customer ann"}, 100)
	d.do("k", charges, lampOrder, "")
	b := d.books()
	d.undo("k")
	d.deposit(account{"money", "customer ann"}, 1)
	assert.Equal(t, books{
		balances: map[account]int64{{"money", "customer ann"}: 100 - 9800, {"money", "shop"}: 9800},
		postings: []posting{{"k", "order 1", charges, false, effect(lampOrder, charges)}},
		found:    map[finding]int{booked: 1},
	}, b)
	last := d.books().postings
	assert.Equal(t, posting{"k", "order 1", charges, true, effect(lampOrder, charges)}, last[len(last)-1])
}

// However many ask for the same at the same time: it is had once, or not at all if
// somebody undoes it, and never after that.
func TestDatabase_atTheSameTime(t *testing.T) {
	for round := range 50 {
		d := newDatabase()
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for n := range 3 {
					key := fmt.Sprint("key ", n)
					d.do(key, charges, lampOrder, "")
					d.look(key)
					if i == 3 && n != 0 {
						d.undo(key)
					}
					_ = d.books()
				}
			})
		}
		all.Wait()
		b := d.books()
		assert.Equal(t, int64(9800), b.balances[account{"money", "shop"}], "round %d", round)
		assert.Equal(t, b.found[booked], 1+b.found[reversed])
		assert.Len(t, b.postings, b.found[booked]+b.found[reversed])
		assert.Equal(t, 24, b.found[booked]+b.found[again]+b.found[tooLate])
	}
}
