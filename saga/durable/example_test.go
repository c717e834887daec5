package durable_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// An Order is the state of the runs in the examples.
type Order struct {
	Total    int
	Approved string `json:",omitempty"`
}

// calls is a step that says what it does instead of calling a service.
func calls(name, undo string, errs ...error) saga.Step[Order] {
	tries := 0
	step := saga.Step[Order]{Name: name, Do: func(context.Context, *Order) error {
		fmt.Println(name)
		if tries++; tries <= len(errs) {
			return errs[tries-1]
		}
		return nil
	}}
	if undo != "" {
		step.Undo = func(context.Context, *Order) error { fmt.Println(undo); return nil }
	}
	return step
}

// checkout is the saga of most examples: an order of more than 100 has to be
// approved.
func checkout() *saga.Saga[Order] {
	return saga.MustNew("checkout", []saga.Step[Order]{
		calls("reserve", "release"),
		saga.Await(saga.Step[Order]{Name: "approve", When: func(o *Order) bool { return o.Total > 100 }}, func(_ context.Context, o *Order, by string) error {
			fmt.Println("approved by", by)
			o.Approved = by
			return nil
		}),
		calls("charge", "refund"),
	})
}

// opened is an engine on a new store that knows some sagas.
func opened(cfg durable.Config, sagas ...*saga.Saga[Order]) *durable.Engine {
	engine, err := durable.Open(&durable.MemoryStore{Clock: cfg.Clock}, cfg)
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range sagas {
		if err := durable.Register(engine, s); err != nil {
			log.Fatal(err)
		}
	}
	return engine
}

// The quick start: the order is placed once, however often that is called.
func Example() {
	ctx := context.Background()
	engine, err := durable.Open(&durable.MemoryStore{}, durable.Config{}) // saga/filestore survives the process
	if err != nil {
		log.Fatal(err)
	}
	def := checkout()
	if err := durable.Register(engine, def); err != nil { // runs that were left go on
		log.Fatal(err)
	}
	for range 2 {
		run, err := durable.Start(ctx, engine, def, "order-42", Order{Total: 70})
		if err != nil {
			log.Fatal(err)
		}
		end, err := run.Wait(ctx)
		fmt.Println(end.Total, err)
	}
	fmt.Println(engine.Close(ctx))
	// Output:
	// reserve
	// charge
	// 70 <nil>
	// 70 <nil>
	// <nil>
}

// What is wrong with a Config is told at once.
func ExampleOpen() {
	_, err := durable.Open(&durable.MemoryStore{}, durable.Config{Poll: -time.Second})
	fmt.Println(err)

	engine, err := durable.Open(&durable.MemoryStore{}, durable.Config{}) // the zero Config is good
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(engine.Close(context.Background()))
	// Output:
	// durable: Open: Poll is -1s, want 0 or more
	// <nil>
}

// One Config for all programs of a system.
func ExampleConfig() {
	ctx := context.Background()
	cfg := durable.Config{
		Retain: 30 * 24 * time.Hour, // for the bookkeepers
		Retry:  saga.Retry{Attempts: 3, Wait: time.Millisecond},
		Hooks: saga.Hooks{Status: func(_ context.Context, s saga.StatusEvent) {
			if s.To != saga.Running && s.To != saga.Waiting { // those depend on how long the waits are
				fmt.Println("--", s.Run, s.To)
			}
		}},
	}
	def := saga.MustNew("checkout", []saga.Step[Order]{calls("charge", "refund", errors.New("no answer"), errors.New("no answer"))})
	engine := opened(cfg, def)
	run, err := durable.Start(ctx, engine, def, "order-42", Order{})
	if err != nil {
		log.Fatal(err)
	}
	_, err = run.Wait(ctx)
	fmt.Println(errors.Join(err, engine.Close(ctx)))
	// Output:
	// charge
	// charge
	// charge
	// -- order-42 completed
	// <nil>
}

// Runs that another process has left go on as soon as their saga is registered.
func ExampleRegister() {
	ctx := context.Background()
	mock := clock.NewMock() // a program leaves Clock nil
	def := checkout()
	store := &durable.MemoryStore{Clock: mock}
	first, err := durable.Open(store, durable.Config{Clock: mock})
	if err != nil {
		log.Fatal(err)
	}
	if err := durable.Register(first, def); err != nil {
		log.Fatal(err)
	}
	_, err = durable.StartWith(ctx, first, def, durable.StartConfig{ID: "order-42", Delay: time.Hour}, Order{Total: 70})
	fmt.Println(errors.Join(err, first.Close(ctx))) // before the hour is over
	mock.Add(2 * time.Hour)

	second, err := durable.Open(store, durable.Config{Clock: mock})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(durable.Register(second, def))
	fmt.Println(durable.Register(second, def))
	run, err := durable.Find(ctx, second, def, "order-42")
	if err != nil {
		log.Fatal(err)
	}
	_, err = run.Wait(ctx)
	fmt.Println(errors.Join(err, second.Close(ctx)))
	// Unordered output:
	// <nil>
	// <nil>
	// durable: a saga named "checkout" is registered already: conflict
	// reserve
	// charge
	// <nil>
}

// Close waits for steps under way. When its context ends it cuts them short, and
// nothing is undone because of that.
func ExampleEngine_Close() {
	ctx := context.Background()
	begun := make(chan struct{})
	def := saga.MustNew("checkout", []saga.Step[Order]{calls("reserve", "release"), {Name: "charge", Do: func(ctx context.Context, _ *Order) error {
		close(begun)
		<-ctx.Done()
		return context.Cause(ctx)
	}}})
	engine := opened(durable.Config{}, def)
	run, err := durable.Start(ctx, engine, def, "order-42", Order{})
	if err != nil {
		log.Fatal(err)
	}
	<-begun
	short, cancel := context.WithTimeoutCause(ctx, time.Millisecond, errors.New("the machine goes down"))
	defer cancel()
	fmt.Println(engine.Close(short))
	fmt.Println(engine.Close(ctx)) // until what was cut short has returned

	_, head, err := run.State(ctx)
	fmt.Println(head.Status, err) // another engine goes on
	// Output:
	// reserve
	// durable: Close: the machine goes down, with runs under way: ["order-42"]
	// <nil>
	// running <nil>
}
