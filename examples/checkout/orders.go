package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mainstay-go/mainstay/examples/internal/orderfile"
)

// An Order is what a customer wants, and what it costs.
type Order = orderfile.Order

// shipped are the orders that come with the program.
//
//go:embed orders.jsonl
var shipped []byte

// loadOrders reads a file: "" is the one that comes with the program, "-" is in.
func loadOrders(name string, in io.Reader) ([]Order, error) {
	orders, err := orderfile.Load(name, in, shipped)
	for _, o := range orders {
		if strings.Contains(o.ID, mark) {
			err = errors.Join(err, fmt.Errorf("id is %q, want one without %q", o.ID, mark))
		}
	}
	if err != nil {
		return nil, err
	}
	return orders, nil
}

// mark is between the ID of an order and the number of the round.
const mark = "#"

// round is the same orders once more, under other IDs. The first round has number 1.
func round(orders []Order, n int) []Order {
	if n == 1 {
		return orders
	}
	more := make([]Order, len(orders))
	for i, o := range orders {
		o.ID = fmt.Sprintf("%s%s%d", o.ID, mark, n)
		more[i] = o
	}
	return more
}

// original is the ID of an order in the first round.
func original(id string) string {
	id, _, _ = strings.Cut(id, mark)
	return id
}
