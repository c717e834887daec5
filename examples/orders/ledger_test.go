package main

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var lampOrder = Order{ID: "a", Customer: "ann", Item: "lamp", Quantity: 2, Cents: 500}

func TestLedger_doAndUndo(t *testing.T) {
	l := newLedger([]Order{lampOrder})
	what, receipt := l.do("k", charges, lampOrder, "")
	require.Equal(t, booked, what)
	require.NotEmpty(t, receipt)
	balances, postings := l.books()
	assert.Equal(t, int64(500), balances[account{"money", "shop"}])
	assert.Zero(t, balances[account{"money", "customer ann"}])
	assert.Len(t, postings, 1)

	same, second := l.do("k", charges, lampOrder, "")
	assert.Equal(t, again, same)
	assert.Equal(t, receipt, second)
	found, why := l.look("k")
	assert.Equal(t, receipt, found)
	assert.Empty(t, why)

	assert.Equal(t, reversed, l.undo("k", charges, lampOrder))
	assert.Equal(t, again, l.undo("k", charges, lampOrder))
	what, receipt = l.do("k", charges, lampOrder, "")
	assert.Equal(t, tooLate, what)
	assert.Empty(t, receipt)
	found, why = l.look("k")
	assert.Empty(t, found)
	assert.Equal(t, "undone", why)

	balances, postings = l.books()
	assert.Equal(t, opening([]Order{lampOrder})[account{"money", "customer ann"}], balances[account{"money", "customer ann"}])
	assert.Zero(t, balances[account{"money", "shop"}])
	require.Len(t, postings, 2)
	assert.Equal(t, posting{"k", "a", charges, false, effect(lampOrder, charges)}, postings[0])
	assert.Equal(t, posting{"k", "a", charges, true, effect(lampOrder, charges)}, postings[1])
}

// The undo comes before what it undoes, which then has no effect.
func TestLedger_undoFirst(t *testing.T) {
	l := newLedger([]Order{lampOrder})
	select {
	case <-l.closed("k"):
		require.Fail(t, "closed before it was undone")
	default:
	}
	assert.Equal(t, nothing, l.undo("k", charges, lampOrder))
	<-l.closed("k")
	what, _ := l.do("k", charges, lampOrder, "")
	assert.Equal(t, tooLate, what)
	_, postings := l.books()
	assert.Empty(t, postings)
}

// A refusal is final, also if there is no more reason for it.
func TestLedger_refused(t *testing.T) {
	l := newLedger([]Order{lampOrder})
	for _, why := range []string{"no", "no", ""} {
		what, text := l.do("k", charges, lampOrder, why)
		assert.Equal(t, refused, what)
		assert.Equal(t, "no", text)
	}
	receipt, why := l.look("k")
	assert.Empty(t, receipt)
	assert.Equal(t, "no", why)
	assert.Equal(t, nothing, l.undo("k", charges, lampOrder))
	_, postings := l.books()
	assert.Empty(t, postings)
}

// What has had its effect is not refused afterwards.
func TestLedger_refusedTooLate(t *testing.T) {
	l := newLedger([]Order{lampOrder})
	l.do("k", charges, lampOrder, "")
	what, _ := l.do("k", charges, lampOrder, "no")
	assert.Equal(t, again, what)
}

func TestLedger_look_unknown(t *testing.T) {
	receipt, why := newLedger(nil).look("k")
	assert.Empty(t, receipt)
	assert.Empty(t, why)
}

// Of any number at the same time one is booked.
func TestLedger_concurrent(t *testing.T) {
	l := newLedger([]Order{lampOrder})
	var done, undone atomic.Int32
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if what, _ := l.do("k", charges, lampOrder, ""); what == booked {
				done.Add(1)
			}
		})
	}
	all.Wait()
	for range 16 {
		all.Go(func() {
			if l.undo("k", charges, lampOrder) == reversed {
				undone.Add(1)
			}
		})
	}
	all.Wait()
	assert.Equal(t, int32(1), done.Load())
	assert.Equal(t, int32(1), undone.Load())
}
