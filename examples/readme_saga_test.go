package examples_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

type Order struct{ ID, Cents int }

// A warehouse is the world outside of a saga: it notes what it was asked for.
type warehouse struct {
	asked []string
	fails string // what it answers with an error
}

func (w *warehouse) does(what string) func(context.Context, *Order) error {
	return func(context.Context, *Order) error {
		w.asked = append(w.asked, what)
		if what == w.fails {
			return errors.New("no answer")
		}
		return nil
	}
}

type key struct{}

// within is a step on the warehouse that a context holds.
func within(what string) func(context.Context, *Order) error {
	return func(ctx context.Context, o *Order) error {
		return ctx.Value(key{}).(*warehouse).does(what)(ctx, o)
	}
}

var (
	reserve, release = within("reserve"), within("release")
	charge, refund   = within("charge"), within("refund")
	ship, mail       = within("ship"), within("mail")
)

func shipped(context.Context, *Order) (saga.Outcome, error) { return saga.Rejected, nil }

var checkout = saga.MustNew("checkout", []saga.Step[Order]{
	{Name: "reserve", Do: reserve, Undo: release, Timeout: 2 * time.Second},
	{Name: "charge", Do: charge, Undo: refund, Retry: saga.Retry{Attempts: 4}},
	{Name: "ship", Do: ship, Probe: shipped, Pivot: true},
	{Name: "mail", Do: mail}, // after the pivot: tried again, never undone
})

// sell is the quick start of package saga, and README.md's.
func sell(w *warehouse, order Order) error {
	ctx := context.WithValue(context.Background(), key{}, w)
	err := checkout.Run(ctx, &order) // nil: all is done
	return err
}

// After four lost answers nobody knows whether the card was charged, so that is undone, too.
func Example_saga() {
	w := &warehouse{}
	fmt.Println(sell(w, Order{ID: 7}), w.asked)
	w = &warehouse{fails: "charge"}
	fmt.Println(sell(w, Order{ID: 7}), len(w.asked))
	// Output:
	// <nil> [reserve charge ship mail]
	// saga: checkout: charge: no answer (compensated) 7
}

// The quick start of package durable.
func process(ctx context.Context, store durable.Store, checkout *saga.Saga[Order], order Order) error {
	engine, err := durable.Open(store, durable.Config{}) // a MemoryStore, or saga/filestore
	if err != nil {
		return err
	}
	if err := durable.Register(engine, checkout); err != nil { // runs that were left go on
		return err
	}
	run, err := durable.Start(ctx, engine, checkout, "order-42", order) // once, however often it is called
	if err != nil {
		return err
	}
	end, err := run.Wait(ctx)
	if err != nil || end != order {
		return fmt.Errorf("%v, %w", end, err)
	}
	return engine.Close(ctx)
}

// What README.md shows of it.
func serve(ctx context.Context, dir string, checkout *saga.Saga[Order], order Order) error {
	store, err := filestore.Open(dir, filestore.Config{})
	if err != nil {
		return err
	}
	engine, err := durable.Open(store, durable.Config{})
	if err != nil {
		return err
	}
	if err := durable.Register(engine, checkout); err != nil { // runs that were left go on
		return err
	}
	run, err := durable.Start(ctx, engine, checkout, "order-42", order) // once, however often it is called
	if err == nil {
		_, err = run.Wait(ctx)
	}
	return errors.Join(err, engine.Close(ctx), store.Close(ctx))
}

func TestREADME_durable(t *testing.T) {
	w := &warehouse{}
	plain := saga.MustNew("checkout", []saga.Step[Order]{
		{Name: "reserve", Do: w.does("reserve"), Undo: w.does("release")}, {Name: "charge", Do: w.does("charge"), Undo: w.does("refund")},
	})
	require.NoError(t, process(t.Context(), &durable.MemoryStore{}, plain, Order{ID: 7}))
	assert.Equal(t, []string{"reserve", "charge"}, w.asked)

	dir := t.TempDir()
	for range 2 { // the second one finds that it is done
		require.NoError(t, serve(t.Context(), dir, plain, Order{ID: 7}))
	}
	assert.Equal(t, []string{"reserve", "charge", "reserve", "charge"}, w.asked)
}

// The quick start of package filestore, in which the directory belongs to somebody.
func TestQuickStart_filestore(t *testing.T) {
	ctx := t.Context()
	start := func() error {
		store, err := filestore.Open("/var/lib/orders/sagas", filestore.Config{})
		if err != nil {
			return err
		}
		engine, err := durable.Open(store, durable.Config{})
		if err != nil {
			return err
		}
		// ... durable.Register and durable.Start, until the service ends:
		return errors.Join(engine.Close(ctx), store.Close(ctx)) // in this order
	}
	_ = start // it is compiled, and not to be run on a machine that has orders
}

// An account gives back what was taken, and books nothing twice.
type account struct {
	balance int
	booked  map[string]bool
}

func transfer(a *account) *saga.Saga[int] {
	a.booked = map[string]bool{}
	once := func(key string, n int) error {
		if !a.booked[key] {
			a.booked[key] = true
			a.balance += n
		}
		return nil
	}
	return saga.MustNew("transfer", []saga.Step[int]{
		{
			Name: "take",
			Do:   func(ctx context.Context, n *int) error { return once(saga.Info(ctx).Key, -*n) },
			Undo: func(ctx context.Context, n *int) error {
				if info := saga.Info(ctx); a.booked[info.DoKey] {
					return once(info.Key, *n)
				}
				return nil
			},
		},
		{Name: "tell", Do: func(context.Context, *int) error { return nil }},
	})
}

// The quick start of package sagatest.
func TestTransfer(t *testing.T) {
	var a *account // a fake, which the steps of the saga book on
	sagatest.Explore(t, sagatest.Explorer[int]{
		Setup: func() (*saga.Saga[int], int) {
			a = &account{balance: 100}
			return transfer(a), 30
		},
		Check: func(end saga.Status, _ int) error {
			if want := map[saga.Status]int{saga.Completed: 70, saga.Compensated: 100}[end]; a.balance != want {
				return fmt.Errorf("the balance is %d, want %d", a.balance, want)
			}
			return nil
		},
	})
}

// mystore is a package of somebody who writes a store: it is all in memory.
var mystore struct{ volatile }

type volatile struct{}

func (volatile) Open(string) (durable.Store, error) { return &durable.MemoryStore{}, nil }

// What package sagatest shows to those who write stores.
func TestQuickStart_store(t *testing.T) {
	TestMyStore := func(t *testing.T) {
		sagatest.TestStore(t, sagatest.Harness{
			Open: func(dir string) (durable.Store, error) { return mystore.Open(dir) },
		})
	}
	_ = TestMyStore // a store in memory is Volatile, and this one would fail
}
