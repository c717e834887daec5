// Package eventbustest tests what uses package eventbus: a bus that fails the
// test if it stalls or cannot be drained, a recorder with expectations, and the
// conformance suite for bridges.
//
// # Quick start
//
//	func TestShop(t *testing.T) {
//		bus := eventbustest.NewBus(t, eventbus.Config{})
//		placed := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
//		paid := eventbustest.Record(t, bus, eventbus.MustNewTopic[Payment](bus, "payments", eventbus.TopicConfig{}))
//		shop.Attach(bus) // its handlers turn orders into payments
//
//		err := placed.Publish(t.Context(), Order{ID: 7, Cents: 1999})
//		if err != nil {
//			t.Fatal(err)
//		}
//		paid.Expect(Payment{Order: 7, Cents: 1999}) // once all has come to rest
//	}
//
// # Guarantees
//
//   - K1: A bus of [NewBus] is closed when the test is complete, after the
//     cleanups registered later. What cannot be drained within 30 seconds fails
//     the test, and so does what an earlier Close had to leave.
//   - K2: A publisher that waits for StallAfter fails the test. The hook Stalled
//     of the config is called all the same.
//   - K3: [Settle] returns when nothing is queued, handled or waiting, and nothing
//     was published since all that came before was handled. Chains of handlers
//     that publish, retries and dead letters have come to rest.
//   - K4: Settle is bounded, by time and by rounds of events that lead to others:
//     a handler that hangs, and handlers that answer each other for ever, fail the
//     test and are named.
//   - K5: A [Recorder] has every event of the topic since [Record] in the order of
//     Seq. It holds up no publisher, on Sync topics neither, and is unknown to
//     interceptors of handlers and to the hooks Handled and Failed.
//   - K6: Each of its methods settles the bus first. Expectations compare by
//     reflect.DeepEqual; a failure shows both lists where they differ, and lets the
//     test go on.
//   - K7: [TestBridge] passes without any bridge, and fails one that changes data
//     or envelope, brings events to other topics, in another order or more often
//     than admitted, brings them back to where they came from, loses what was
//     published before Close, or comes again because a handler failed.
//
// # Time
//
// Nothing here sleeps or polls. All but [TestBridge], which has subtests, works in
// a testing/synctest bubble, where a retry takes no time, and outside; in a bubble
// make the bus with the testing.T of the bubble, so that it is closed there. With
// a Config.Clock that nobody moves, an event that waits for its next attempt never
// comes to rest.
//
// # Cost
//
// Settle looks at the numbers of all topics and subscriptions twice at least, and
// once more for each round of events that lead to others.
package eventbustest
