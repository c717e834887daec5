package saga_test

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mainstay-go/mainstay/saga"
)

// A Line is the state of the saga for one item.
type Line struct{ Item, Shelf string }

// A Basket is the state around it.
type Basket struct{ Lines []Line }

// ForEach runs a saga for each of some items, by default up to 16 at once. Each item
// is the beginning of a state of its own, and the end states come in the same order.
func ExampleForEach() {
	pick := saga.MustNew("pick", []saga.Step[Line]{{
		Name: "reserve",
		Do: func(_ context.Context, l *Line) error {
			l.Shelf = "shelf of " + l.Item
			return nil
		},
		Undo: func(context.Context, *Line) error { return nil },
	}})
	def := saga.MustNew("order", []saga.Step[Basket]{
		saga.ForEach(saga.Step[Basket]{Name: "lines"},
			func(b *Basket) []Line { return slices.Clone(b.Lines) }, // no memory is shared
			pick,
			func(b *Basket, ends []Line) { b.Lines = ends }),
	})
	basket := Basket{Lines: []Line{{Item: "lamp"}, {Item: "bulb"}}}
	err := def.Run(context.Background(), &basket)
	fmt.Println(basket.Lines, err)
	// Output: [{lamp shelf of lamp} {bulb shelf of bulb}] <nil>
}

// An item that fails fails the run: the others are undone, too. The path of a step
// tells which item it was, counted from zero.
func ExampleForEach_undone() {
	pick := saga.MustNew("pick", []saga.Step[Line]{{
		Name: "reserve",
		Do: func(ctx context.Context, l *Line) error {
			fmt.Println("reserve", l.Item, "as", saga.Info(ctx).Step)
			if l.Item == "bulb" {
				return saga.Reject(errors.New("out of stock"))
			}
			return nil
		},
		Undo: func(_ context.Context, l *Line) error { fmt.Println("release", l.Item); return nil },
	}})
	def := saga.MustNew("order", []saga.Step[Basket]{
		saga.ForEach(saga.Step[Basket]{Name: "lines", Limit: 1},
			func(b *Basket) []Line { return slices.Clone(b.Lines) }, pick, nil),
	})
	basket := Basket{Lines: []Line{{Item: "lamp"}, {Item: "bulb"}, {Item: "cord"}}}
	fmt.Println(def.RunWith(context.Background(), saga.RunConfig{ID: "42"}, &basket))
	// Output:
	// reserve lamp as lines/0/reserve
	// reserve bulb as lines/1/reserve
	// release lamp
	// saga: order/42: lines/1/reserve: out of stock (compensated)
}
