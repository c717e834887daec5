package eventbustest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/eventbus/eventbustest"
)

// inTest runs an example as a test that prints what it is failed with. In a real
// test there is the *testing.T for that.
func inTest(f func(testing.TB)) {
	t := new(printing)
	f(t)
	for _, cleanup := range t.cleanups {
		defer cleanup()
	}
}

type printing struct {
	testing.TB
	cleanups []func()
}

func (*printing) Helper()                           {}
func (t *printing) Cleanup(f func())                { t.cleanups = append(t.cleanups, f) }
func (*printing) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// An Order and a Payment are what the examples publish.
type (
	Order   struct{ ID, Cents int }
	Payment struct{ Order, Cents int }
)

// cashier pays every order that is worth something.
func cashier(orders *eventbus.Topic[Order], payments *eventbus.Topic[Payment]) error {
	_, err := orders.Subscribe(context.Background(), func(ctx context.Context, o Order) error {
		if o.Cents == 0 {
			return nil
		}
		return payments.Publish(ctx, Payment{o.ID, o.Cents})
	})
	return err
}

// The quick start: publish, and expect what that leads to.
func Example() {
	inTest(func(tb testing.TB) {
		tb.Helper()
		bus := eventbustest.NewBus(tb, eventbus.Config{})
		orders := eventbus.MustNewTopic[Order](bus, "orders", eventbus.TopicConfig{})
		payments := eventbus.MustNewTopic[Payment](bus, "payments", eventbus.TopicConfig{})
		paid := eventbustest.Record(tb, bus, payments)
		err := cashier(orders, payments)

		for _, o := range []Order{{1, 500}, {2, 0}, {3, 1999}} {
			err = errors.Join(err, orders.Publish(context.Background(), o))
		}
		paid.Expect(Payment{1, 500}, Payment{3, 1999})
		fmt.Println("done", err)
	})
	// Output: done <nil>
}

// A bus of NewBus is closed at the end of the test, when all must be handled.
func ExampleNewBus() {
	inTest(func(tb testing.TB) {
		tb.Helper()
		bus := eventbustest.NewBus(tb, eventbus.Config{Name: "shop", StallAfter: time.Second})
		_, err := eventbus.Subscribe(context.Background(), bus, func(_ context.Context, o Order) error {
			fmt.Println("order", o.ID)
			return nil
		})
		err = errors.Join(err, eventbus.Publish(context.Background(), bus, Order{ID: 7}))
		fmt.Println("the test ends here", err)
	})
	// Unordered output:
	// the test ends here <nil>
	// order 7
}

// Settle waits for what an event leads to, whoever handles it.
func ExampleSettle() {
	inTest(func(tb testing.TB) {
		tb.Helper()
		bus := eventbustest.NewBus(tb, eventbus.Config{})
		steps := eventbus.MustNewTopic[int](bus, "steps", eventbus.TopicConfig{})
		last := -1
		_, err := steps.Subscribe(context.Background(), func(ctx context.Context, n int) error {
			last = n
			if n == 0 {
				return nil
			}
			return steps.Publish(ctx, n-1)
		})
		err = errors.Join(err, steps.Publish(context.Background(), 100))

		eventbustest.Settle(tb, bus)
		fmt.Println(last, err)
	})
	// Output: 0 <nil>
}

func ExampleRecord() {
	inTest(func(tb testing.TB) {
		tb.Helper()
		bus := eventbustest.NewBus(tb, eventbus.Config{})
		orders := eventbus.MustNewTopic[Order](bus, "orders", eventbus.TopicConfig{})
		recorded := eventbustest.Record(tb, bus, orders)
		err := orders.Publish(context.Background(), Order{7, 1999})
		fmt.Println(recorded.Data(), err)
	})
	// Output: [{7 1999}] <nil>
}

// recording is a recorder of a topic on which these orders are published.
func recording(tb testing.TB, published ...Order) *eventbustest.Recorder[Order] {
	tb.Helper()
	bus := eventbustest.NewBus(tb, eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders", eventbus.TopicConfig{})
	r := eventbustest.Record(tb, bus, orders)
	if _, err := orders.PublishBatch(context.Background(), published); err != nil {
		tb.Errorf("%v", err)
	}
	return r
}

// Events have the envelope.
func ExampleRecorder_Events() {
	inTest(func(tb testing.TB) {
		tb.Helper()
		for _, e := range recording(tb, Order{ID: 7}, Order{ID: 8}).Events() {
			fmt.Println(e.Topic(), e.Seq, e.Data.ID)
		}
	})
	// Output:
	// orders 1 7
	// orders 2 8
}

func ExampleRecorder_Data() {
	inTest(func(tb testing.TB) {
		tb.Helper()
		fmt.Println(recording(tb, Order{7, 1999}, Order{8, 500}).Data())
	})
	// Output: [{7 1999} {8 500}]
}

// Reset begins the next part of a test.
func ExampleRecorder_Reset() {
	inTest(func(tb testing.TB) {
		tb.Helper()
		r := recording(tb, Order{7, 1999})
		r.Reset()
		fmt.Println(len(r.Data()))
	})
	// Output: 0
}

// Expect wants exactly these, and tells where they begin to differ.
func ExampleRecorder_Expect() {
	inTest(func(tb testing.TB) {
		tb.Helper()
		r := recording(tb, Order{7, 1999}, Order{8, 500})
		r.Expect(Order{7, 1999}, Order{8, 500})
		r.Expect(Order{7, 1999}, Order{9, 500})
	})
	// Output:
	// eventbustest: the events of topic "orders" are not those expected; the first difference is at [1]:
	// got, 2 in all:
	// 	  [0] {ID:7 Cents:1999}
	// 	> [1] {ID:8 Cents:500}
	// want, 2 in all:
	// 	  [0] {ID:7 Cents:1999}
	// 	> [1] {ID:9 Cents:500}
}

// ExpectSome wants these and does not mind others.
func ExampleRecorder_ExpectSome() {
	inTest(func(tb testing.TB) {
		tb.Helper()
		r := recording(tb, Order{7, 1999}, Order{8, 500}, Order{9, 700})
		r.ExpectSome(Order{7, 1999}, Order{9, 700})
		r.ExpectSome(Order{9, 700}, Order{8, 500})
	})
	// Output:
	// eventbustest: among the events of topic "orders" from [3] on there is none that is expected as [1]:
	// got, 3 in all:
	// 	  [0] {ID:7 Cents:1999}
	// 	  [1] {ID:8 Cents:500}
	// 	  [2] {ID:9 Cents:700}
	// 	> [3] none
	// want, 2 in all:
	// 	  [0] {ID:9 Cents:700}
	// 	> [1] {ID:8 Cents:500}
}
