package main

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The orders that come with the program meet everything there is, whatever else is
// going on: with the usual seed some get over all, and every fate is some order's.
func TestLoadOrders_shipped(t *testing.T) {
	orders, err := loadOrders("", nil)
	require.NoError(t, err)
	require.Len(t, orders, 24)
	met := make(map[fate]int)
	for _, o := range orders {
		met[script{1}.fate(o.ID)]++
	}
	assert.GreaterOrEqual(t, met[fate{}], 8)
	for _, f := range fates {
		assert.Positive(t, met[f.fate], "%v", f.fate)
	}
}

// Every amount is of an account that the order opens, and nothing is made of nothing.
func TestEffect(t *testing.T) {
	o := Order{ID: "a", Customer: "ann", Item: "lamp", Quantity: 3, Cents: 700}
	balances := opening([]Order{o, o})
	assert.Equal(t, map[account]int64{
		{"stock of lamp", "shelf"}: 6, {"money", "customer ann"}: 1400,
		{"labels", "blank"}: 2, {"invoices", "blank"}: 2, {"mails", "blank"}: 2,
	}, balances)
	var all []string
	for _, r := range resources {
		tr := effect(o, r)
		assert.Equal(t, tr.from.what, tr.to.what)
		all = append(all, fmt.Sprintf("%d %s: %s to %s", tr.amount, tr.from.what, tr.from.whose, tr.to.whose))
	}
	assert.Equal(t, []string{
		"3 stock of lamp: shelf to reserved", "700 money: customer ann to shop", "1 labels: blank to issued",
		"1 invoices: blank to issued", "3 stock of lamp: reserved to customers", "1 mails: blank to issued",
	}, all)
}
