package saga_test

import (
	"context"
	"fmt"
	"slices"

	"github.com/mainstay-go/mainstay/saga"
)

// A Trip has no pointers, slices or maps, so that assignment copies it.
type Trip struct{ Flight, Hotel string }

// Children of Parallel run at the same time, each on a copy of the state. Merge takes
// from a copy what the child has written.
func ExampleStep_parallel() {
	def := saga.MustNew("trip", []saga.Step[Trip]{{
		Name: "book",
		Parallel: []saga.Step[Trip]{{
			Name:  "flight",
			Do:    func(_ context.Context, t *Trip) error { t.Flight = "LH 400"; return nil },
			Undo:  func(context.Context, *Trip) error { return nil },
			Merge: func(dst, src *Trip) { dst.Flight = src.Flight },
		}, {
			Name:  "hotel",
			Do:    func(_ context.Context, t *Trip) error { t.Hotel = "Astoria"; return nil },
			Undo:  func(context.Context, *Trip) error { return nil },
			Merge: func(dst, src *Trip) { dst.Hotel = src.Hotel },
		}},
	}})
	var trip Trip
	err := def.Run(context.Background(), &trip)
	fmt.Println(trip.Flight, trip.Hotel, err)
	// Output: LH 400 Astoria <nil>
}

// NoMerge is for a child that writes nothing which others need.
func ExampleNoMerge() {
	tell := func(who string) func(context.Context, *Trip) error {
		return func(context.Context, *Trip) error { fmt.Println("tell", who); return nil }
	}
	def := saga.MustNew("trip", []saga.Step[Trip]{{
		Name:  "tell",
		Limit: 1, // one after the other
		Parallel: []saga.Step[Trip]{
			{Name: "customer", Do: tell("customer"), Merge: saga.NoMerge[Trip]},
			{Name: "agency", Do: tell("agency"), Merge: saga.NoMerge[Trip]},
		},
	}})
	fmt.Println(def.Run(context.Background(), &Trip{}))
	// Output:
	// tell customer
	// tell agency
	// <nil>
}

// Where copies of the state would share memory, a Spec needs a Clone.
func ExampleSpec_clone() {
	type Basket struct{ Items []string }
	spec := saga.Spec[Basket]{
		Name: "fill",
		Steps: []saga.Step[Basket]{{Name: "both", Parallel: []saga.Step[Basket]{{
			Name:  "lamp",
			Do:    func(_ context.Context, b *Basket) error { b.Items[0] = "lamp"; return nil },
			Merge: func(dst, src *Basket) { dst.Items = src.Items },
		}}}},
	}
	_, err := saga.NewWith(spec)
	fmt.Println(err)

	spec.Clone = func(b *Basket) Basket { return Basket{slices.Clone(b.Items)} }
	basket := Basket{[]string{"nothing"}}
	err = saga.MustNewWith(spec).Run(context.Background(), &basket)
	fmt.Println(basket.Items, err)
	// Output:
	// saga: New("fill"): Clone is nil, want one, because copies of the state of "both" would share S.Items
	// [lamp] <nil>
}

// A saga may be a step of another one. It has a state of its own, and is undone as
// one if something fails later.
func ExampleSub() {
	payment := saga.MustNew("payment", []saga.Step[int]{
		{
			Name: "authorize",
			Do:   func(_ context.Context, cents *int) error { fmt.Println("authorize", *cents); return nil },
			Undo: func(_ context.Context, cents *int) error { fmt.Println("void", *cents); return nil },
		},
		{
			Name: "capture",
			Do:   func(ctx context.Context, _ *int) error { fmt.Println("capture as", saga.Info(ctx).Step); return nil },
			Undo: func(_ context.Context, cents *int) error { fmt.Println("refund", *cents); return nil },
		},
	})
	def := saga.MustNew("checkout", []saga.Step[Order]{
		saga.Sub(saga.Step[Order]{Name: "pay"}, payment,
			func(o *Order) int { return o.Cents },
			func(o *Order, _ int) { o.Payment = "done" }),
		{Name: "ship", Do: func(_ context.Context, o *Order) error {
			fmt.Println("ship: payment is", o.Payment)
			return saga.Reject(context.Canceled)
		}},
	})
	_ = def.Run(context.Background(), &Order{Cents: 4900})
	// Output:
	// authorize 4900
	// capture as pay/capture
	// ship: payment is done
	// refund 4900
	// void 4900
}
