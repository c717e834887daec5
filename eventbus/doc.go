// Package eventbus is a typed bus inside a process: parts of a program tell each
// other what happened without importing each other, and without one slow part
// stalling the rest, events lost without a word, or handlers running after they
// were removed.
//
// The Go type is the schema, every subscription chooses what happens when it
// falls behind, and every event is accounted for.
//
// # Quick start
//
//	bus := eventbus.MustNew(eventbus.Config{})
//	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
//
//	_, err := orders.Subscribe(ctx, func(ctx context.Context, o Order) error {
//		return sendReceipt(ctx, o)
//	})
//	if err != nil {
//		return err
//	}
//	err = orders.Publish(ctx, Order{ID: 7})
//	return errors.Join(err, bus.Close(ctx)) // waits until it is handled
//
// # Model
//
// A topic is a name and a Go type. What is published on it is an event: data, and
// an envelope that costs nothing until somebody looks at it ([Event]). A
// subscription is one interest in a topic, with a handler or a [Queue] that its
// owner reads; a pattern subscription ([SubscribePattern]) spans topics. A topic
// is queued unless [TopicConfig].Sync makes handlers run inside Publish.
//
// The queue of a subscription holds the events accepted for it and not started.
// Capacity is how many may wait; [Overflow] is what happens beyond:
//
//	OnFull      the publisher        the subscription                counted as
//	Block       waits, see G8        loses nothing                   Waiting, Waited
//	DropOldest  goes on              loses its oldest waiting event  Lagged
//	DropNewest  goes on              loses this event                Lagged
//	Fail        gets ErrFull         nobody gets the event           -
//	Disconnect  goes on              ends with ErrFull               Discarded
//	Unbounded   goes on              grows to Capacity, beyond it    Depth
//	                                 as Disconnect
//
// Lag is what a subscription lost to its policy or to history; a discard is an
// event that was queued when its subscription ended. To cancel is to end now, to
// drain to end after the queue; to flush is to wait until all is handled; to
// close is to drain the whole bus.
//
// # Guarantees
//
// Order:
//
//   - G1: If one goroutine's Publish(a) returned before it calls Publish(b) on
//     the same topic, every subscription with one worker starts a before b. It
//     may lose either to its own policy, never swap them. A publish happens
//     before its handler call, in the sense of the Go memory model.
//   - G2: All one-worker subscriptions of a queued topic see one order: that of
//     Seq, which starts at 1 and has no gaps; refused publishes take none. Sync
//     topics number their events too, but concurrent publishes interleave.
//   - G3: Between topics nothing is ordered, but inside one pattern subscription:
//     it sees each topic in the order of Seq and each publisher's publishes in
//     program order.
//   - G4: With several Workers, events of one non-empty key are handled one at a
//     time, in order. An event waits only for its own key and for a free worker;
//     a retry holds the place of its key. Without a key there is no order.
//   - G5: On a Sync topic handlers run one after another on the publisher's
//     goroutine by Order, then age, with the publisher's context, retries and
//     timeouts included. All run even if some fail; Publish returns their errors
//     joined, each an [*Error] that names the subscription. Pattern subscriptions
//     and queues have a queue there too.
//
// Publishing:
//
//   - G6: Nil means that every subscription live at that moment has the event in
//     its queue or has counted a loss its policy allows; on a Sync topic, that
//     every handler returned nil. An error of a queued handler is never one of
//     Publish.
//   - G7: All or nothing: a publish refused with ErrClosed, ErrFull,
//     ErrWouldDeadlock, ErrNoSubscriber or the cause of ctx reached no
//     subscription and no history, and ended or evicted nothing.
//   - G8: ctx bounds waiting and nothing else: with room Publish succeeds even if
//     ctx has ended. Publishers that wait enter in order of arrival and hold no
//     lock. What they wait for is looked at anew whenever a subscription frees
//     room, joins or ends.
//   - G9: TryPublish returns ErrFull where Publish would wait. Refusals by Fail
//     and TryPublish allocate nothing and name the subscription.
//   - G10: A batch no longer than the smallest capacity of the topic and its
//     subscriptions with Block or Fail is all or nothing, with consecutive Seq; a
//     longer one is cut into such pieces. The count is less than the length only
//     with an error. Sync topics take a batch event by event.
//   - G11: Without subscriptions a publish succeeds and, unless history keeps it,
//     is counted as Unrouted, reported, and goes to the topic's DeadLetter; with
//     Mandatory it is refused. All subscriptions share the value.
//   - G12: An interceptor around publishes may change the context, refuse, or
//     pass other data of the same type; another type is ErrTopicType. One around
//     handlers wraps each attempt. Interceptors of the events of a batch nest, so
//     a batch is still all or nothing.
//
// Delivery:
//
//   - G13: Each event is handled at most once per subscription; only Retry calls
//     the handler again, for the same event.
//   - G14: A subscription covers exactly the events published from the return of
//     Subscribe until its end, and what From asks for. At rest and once it is
//     done its numbers add up exactly; see [SubscriptionStats].
//   - G15: On queued topics the context of a handler has the values of the
//     publisher's, not its end. It ends with the context given to Subscribe, with
//     that of a Drain or Close that ends first (cause ErrClosed), at Timeout, and
//     when the subscription is done. Cancel alone does not end it.
//   - G16: After a failed attempt comes Hooks.Failed, then Retry. An event given
//     up counts as Failed and goes to the DeadLetter topic as a final Failure.
//     There are no dead letters about dead letters. If the subscription ends
//     while it waits to retry, the event is given up, and Failed is told so.
//   - G17: Timeout ends the attempt's context with cause
//     context.DeadlineExceeded; what the handler returns decides. A handler that
//     runs is never abandoned.
//   - G18: A panic of a handler, filter, key function, interceptor, Marshal,
//     Unmarshal, Delay or responder becomes a [*PanicError] and is the failure of
//     that call alone; one of a hook is contained, counted and told to
//     Hooks.Fault.
//   - G19: runtime.Goexit in a handler fails the event, and another goroutine
//     goes on; in a Sync handler the other handlers run before the goroutine
//     ends.
//   - G20: An event that Filter refuses takes no room, evicts nothing and makes
//     nobody wait. With Once exactly one event is handled, however many
//     publishers race, and coverage ends with it.
//
// Overflow:
//
//   - G21: Capacity is the number asked for and limits the events that wait. A
//     worker or Queue takes up to min(64, max(1, Capacity/16)) at once, which
//     then have left the queue.
//   - G22: Lag is never silent and never ends a subscription: it is on the next
//     event, in Stats and in Hooks.Dropped, for each subscription on its own. An
//     error in an iterator is always the last pair, and lag is none. Where a
//     replay overflows under DropOldest, what is left of it is lost first.
//
// Lifecycle:
//
//   - G23: Cancel returns at once. At most one call per worker, already chosen,
//     still runs; after Done none runs or starts.
//   - G24: Drain takes no new events, finishes the queue, then closes Done; when
//     its context ends first the rest is discarded and [*DrainError] counts it.
//     Ending one subscription never touches another with the same function.
//     Ending twice is harmless. A Sync subscription has no queue to drain.
//   - G25: A Queue keeps its events until they are read. Each goes to one reader,
//     and is handled when a reader comes back for the next.
//   - G26: Handlers, hooks, filters and interceptors may publish, subscribe and
//     cancel. With a handler's context Drain and Close begin and return nil, and
//     Flush returns ErrWouldDeadlock.
//   - G27: A Publish with a handler's context that would wait for ever, because
//     every worker that could make room waits in a publish that leads back to
//     this handler, returns ErrWouldDeadlock and names the cycle of topics. That
//     a context may end is not counted on. Otherwise there is no false alarm, as
//     long as a handler that publishes from other goroutines waits for them.
//   - G28: Hooks.Stalled is called when the publisher in front has waited for
//     StallAfter, 2x, 4x and so on. A timer exists only while somebody waits.
//   - G29: A subscription with From gets the retained events from there, then the
//     new ones, without gap or duplicate. Replayed events do not count against
//     Capacity; what is no longer retained is Lag of the first event.
//
// Names, the end, the rest:
//
//   - G30: A name is 1 to 1024 bytes of valid UTF-8: non-empty tokens separated
//     by dots, without white space and control characters, none of them * or >. In
//     patterns * is one token and > as the last one or more. A pattern covers
//     topics made later, and those whose type fits.
//   - G31: One name, one type: another is ErrTopicType. The same name and type
//     are the same topic.
//   - G32: A topic lives while a handle, a subscription or retained history refers
//     to it, then its name vanishes, when the garbage collector gets to it.
//     Type-keyed topics and those with history live as long as the bus.
//   - G33: Flush returns nil when every event accepted before it has been
//     handled, given up or lost by every subscription.
//   - G34: Close refuses new work at once, works off the queues, those of dead
//     letters last, closes the bridges, and leaves no goroutine. When a context
//     ends first, nothing starts any more and [*DrainError] has exact counts for
//     every subscription. All calls get the same result.
//   - G35: After Close every verb returns ErrClosed; Cancel, Drain and Flush are
//     harmless. Nothing panics, blocks or is swallowed.
//   - G36: Request calls the responder on the caller's goroutine with the caller's
//     context. There is one responder for a type.
//   - G37: An ID is unique per bus and across restarts, and made only when asked
//     for. MarshalJSON is the JSON format of CloudEvents 1.0.
//   - G38: The name of type T is import path, dot, type name. Interfaces have no
//     type-keyed topic. EventType is asked when the first topic of the type is
//     made, on a usable value.
//   - G39: An event that crosses a [Bridge] keeps its ID, Source, Time, Key and
//     Header, is never sent back by the bridge it came by, and never received by
//     the bus it was first published on, nor by another bus twice, as far as the
//     last 4096 events that came in tell.
//   - G40: Retries, timeouts and stalls happen when the clock has reached their
//     instant, not earlier and without jitter, the same with every Clock.
//   - G41: No goroutine per bus, topic or Queue; Workers per handler subscription,
//     one for a Queue whose Chan is used, one per imported pattern. An idle bus
//     has no timer. A topic has at most Capacity and History slots, rounded up to
//     a power of two and grown from 64; once all subscriptions have caught up no
//     event outside history is referred to.
//   - G42: Publish, TryPublish and PublishBatch allocate nothing for the event,
//     unless it has to wait. A delivery allocates when the context is not that of
//     the event before, and for timeouts, interceptors, hooks and patterns.
//   - G43: The clock is read once per publish that need not wait, and only if
//     somebody can see the time: envelope handlers, queues, patterns,
//     interceptors, the hooks Handled and Failed, dead letters, history.
//   - G44: Misuse is an error that names the field and the value, all problems
//     joined, and nothing is registered. Only Must functions panic.
//
// # Time
//
// [Config].Clock replaces system time for tests: a *clock.Mock fits. With it the
// contexts of attempts have no Deadline; their cause is context.DeadlineExceeded
// all the same. Inside a testing/synctest bubble leave it nil.
//
// # Errors
//
// ErrClosed, ErrFull, ErrNoSubscriber, ErrTopicType and ErrWouldDeadlock are the
// decisions a caller makes; most come inside an [*Error] that says where. A wait
// that is cut short returns the cause of its context. [*DrainError] is what Drain
// and Close had to leave, [*PanicError] a panic of a function handed to the bus.
//
// # Testing
//
// Package eventbustest has a bus that fails the test if it cannot be drained, a
// recorder with expectations, and the conformance suite for bridges. With a *clock.Mock
// move it past the last wait first, and wait for what that leads to afterwards.
// examples/testing has a retry both ways, with a Mock and in a testing/synctest bubble.
//
// # Cost
//
// Publishing to a topic with plain subscriptions takes one lock whatever their
// number (BenchmarkPublish); Filter, Workers above 1, DropNewest, Unbounded, Once
// and patterns give a subscription a queue of its own, which costs each publish a
// lock more. How that compares with channels and other libraries is in
// examples/benchmarks/RESULTS.md.
package eventbus
