package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/eventbus"
)

func TestRanges(t *testing.T) {
	for want, ids := range map[string][]int{
		"":            nil,
		"7":           {7},
		"7 8":         {7, 8},
		"7-9":         {7, 8, 9},
		"1 3-5 7 8":   {1, 3, 4, 5, 7, 8},
		"1-3 5 9-11":  {1, 2, 3, 5, 9, 10, 11},
		"2 1 0":       {2, 1, 0},
		"-1 0 10 100": {-1, 0, 10, 100},
	} {
		assert.Equal(t, want, ranges(ids))
	}
}

// order is an event about an order.
func order(id int, lag uint64) eventbus.Event[Order] {
	return eventbus.Event[Order]{Data: Order{ID: id}, Seq: int64(id), Lag: lag}
}

func TestSaw(t *testing.T) {
	for want, seen := range map[string][]eventbus.Event[Order]{
		"":                      nil,
		"1":                     {order(1, 0)},
		"[3 lost] 4 5":          {order(4, 3), order(5, 0)},
		"1-3 [1 lost] 5":        {order(1, 0), order(2, 0), order(3, 0), order(5, 1)},
		"[1 lost] 2 [1 lost] 4": {order(2, 1), order(4, 1)},
	} {
		assert.Equal(t, want, saw(seen))
	}
}

func TestCount(t *testing.T) {
	assert.Equal(t, "0 mails", count(0, "mail"))
	assert.Equal(t, "1 mail", count(1, "mail"))
	assert.Equal(t, "2 mails", count(2, "mail"))
}

func TestSum(t *testing.T) {
	b := book{stats: eventbus.SubscriptionStats{
		Handled: 1, Failed: 2, Filtered: 4, Lagged: 8, Discarded: 16, Depth: 32, Running: 64, Retried: 1000,
	}}
	assert.EqualValues(t, 127, b.sum(200))
	assert.Zero(t, b.missed(200))

	b.end = errors.New("its context ended")
	assert.Zero(t, b.missed(200))

	b.end = fmt.Errorf("ended: %w", &eventbus.Error{Seq: 128, Err: eventbus.ErrFull})
	assert.EqualValues(t, 73, b.missed(200), "128 to 200")
	assert.EqualValues(t, 200, b.sum(200))
}

func TestSays(t *testing.T) {
	for _, p := range policies {
		assert.NotEmpty(t, says[p], p)
		assert.NotEmpty(t, effects[p], p)
	}
	assert.Len(t, says, len(policies))
	assert.Len(t, effects, len(policies))
	assert.Equal(t, "Overflow(6)", eventbus.Overflow(len(policies)).String(), "there are no others")
}
