// Package shop shows how to test code that waits: for a breaker to let calls through
// again, for a lease to expire, for another attempt. Each file is a small part of a shop,
// and beside it are tests of the same scenario on two kinds of fake time. They take
// milliseconds, and compare instants to the nanosecond.
//
// # What to read
//
//	prices.go   a breaker, and a fallback        prices_synctest_test.go   prices_mock_test.go
//	worker.go   a lease that is kept, or not     worker_synctest_test.go   worker_mock_test.go
//	orders.go   a saga, tried again in memory    orders_synctest_test.go   orders_mock_test.go
//	            the same saga by an engine       durable_synctest_test.go  durable_mock_test.go
//	            ... which fails everywhere       explore_test.go
//	mailer.go   a handler that is called again   mailer_synctest_test.go   mailer_mock_test.go
//
// Begin with prices. clock_test.go has the three helpers that are worth copying, and
// traps_test.go is to be read when a test hangs.
//
// # Which tool
//
//	what is tested                              by
//	anything that waits                         testing/synctest, and a nil Clock
//	... with a real server or database          a Mock; if there are timers a toldClock
//	... on a certain day                        a Mock in a bubble, and pass
//	what only reads the clock: a breaker,       either; a Mock needs nothing else
//	    who has expired
//	a wait with jitter                          Rand: middle
//	that all events are handled                 eventbustest: NewBus, Record, Expect
//	in which order steps are done and undone    sagatest.Recorder
//	that a saga ends well whatever fails        sagatest.Explore
//	a process that ends while a run waits       durable.MemoryStore, and a second engine
//
// # Bubbles
//
// In a bubble of testing/synctest all of package time is fake, also for contexts and for
// code that never heard of a Clock. Time stands still while a goroutine can go on, and
// then jumps to the next timer. So there is nothing to inject and nothing to move:
// time.Sleep is how the test lets time pass, a call that blocks returns at its instant,
// and synctest.Wait returns when all that can happen now has happened.
//
//   - Make in the bubble what is tested. What is made outside, by a package level variable
//     for example, has channels and instants of another time.
//   - Nothing real in it: a goroutine that reads from a socket holds up the time. A
//     RoundTripper that answers is a server without a network.
//   - Call synctest.Wait before you read what another goroutine has written. After a
//     time.Sleep alone the race detector is right to complain.
//   - Close in a Cleanup what has goroutines: an engine, a bus, a registry. A bubble waits
//     for all of them, and panics if they wait for each other.
//   - No subtests in it; a bubble in each subtest.
//
// # Mocks
//
// A Mock of github.com/benbjohnson/clock moves what was given it as Config.Clock, and only
// when somebody calls Add or Set.
//
//   - It hangs if what is to move the clock is blocked by what waits for it: call Run, Wait
//     or Request from another goroutine, and settle a bus when nothing waits any more.
//   - It hangs now and then if Add comes before the timer is set. In a bubble call
//     synctest.Wait first (pass); elsewhere have the clock tell you (toldClock).
//   - Move it by one timer at a time outside of a bubble: what one leads to may set the next.
//     A timeout is set before what it is for begins; wait for that as well.
//   - Contexts with deadlines and time.Now go on by system time, so your own code has to
//     ask the same clock. An engine and its store need the same one, too.
//   - Of its methods Now, Since, AfterFunc, Add and Set are safe. Its timers, tickers,
//     sleeps and contexts deadlock or race; the packages tested here use none of them.
package shop
