package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The orders that come with the program meet every refusal with the usual seed, and
// most meet none.
func TestLoadOrders_shipped(t *testing.T) {
	orders, err := loadOrders("", nil)
	require.NoError(t, err)
	require.Len(t, orders, 360)
	met := make(map[refusal]int)
	mails := make(map[int]int)
	n := notifier{script: script{1}}
	for _, o := range orders {
		met[script{1}.refusal(o.ID)]++
		mails[min(n.bounces(o.ID), 3)]++
	}
	assert.Greater(t, met[refusal{}], len(orders)/2)
	for _, r := range refusals {
		assert.Positive(t, met[r.refusal], "%v", r.refusal)
	}
	for bounces := range 4 {
		assert.Positive(t, mails[bounces], "mails that bounce %d times", bounces)
	}
}

func TestLoadOrders_marked(t *testing.T) {
	const line = `{"id":"a","customer":"ann","item":"lamp","quantity":1,"cents":1}`
	orders, err := loadOrders("-", strings.NewReader(line))
	require.NoError(t, err)
	assert.Equal(t, []Order{{ID: "a", Customer: "ann", Item: "lamp", Quantity: 1, Cents: 1}}, orders)

	orders, err = loadOrders("-", strings.NewReader(strings.Replace(line, `"a"`, `"a#2"`, 1)+"\n"+strings.Replace(line, `"a"`, `"#"`, 1)))
	require.EqualError(t, err, "id is \"a#2\", want one without \"#\"\nid is \"#\", want one without \"#\"")
	assert.Empty(t, orders)

	_, err = loadOrders("-", strings.NewReader("lamp"))
	require.ErrorContains(t, err, "stdin:1: ")
}

func TestRound(t *testing.T) {
	orders := []Order{{ID: "a", Cents: 1}, {ID: "b", Cents: 2}}
	assert.Equal(t, orders, round(orders, 1))
	assert.Equal(t, []Order{{ID: "a#2", Cents: 1}, {ID: "b#2", Cents: 2}}, round(orders, 2))
	assert.Equal(t, "b#12", round(orders, 12)[1].ID)
	assert.Equal(t, "a", orders[0].ID, "those of the first round stay as they are")
	for n := 1; n < 4; n++ {
		for i, o := range round(orders, n) {
			assert.Equal(t, orders[i].ID, original(o.ID))
		}
	}
}
