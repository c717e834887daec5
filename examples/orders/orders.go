package main

import (
	_ "embed"
	"io"

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
	return orderfile.Load(name, in, shipped)
}
