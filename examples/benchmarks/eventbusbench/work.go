// Package eventbusbench measures package eventbus against channels and other
// buses.
//
// All of them do the same work: so many events are published, and it is over
// when every handler of every subscription has run. A handler counts its events
// and adds up their values, on one goroutine at a time; both have to be right.
package eventbusbench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

const (
	capacity = 1024 // events that may wait for a subscription, of ours and of theirs

	// pause before an event that meets an idle bus: long enough for every
	// goroutine and thread to have gone to sleep.
	pause = 250 * time.Microsecond

	// patience is how long an event may be on its way before it counts as lost.
	patience = time.Minute
)

// background is the context of whatever needs none.
var background = context.Background()

// A handler is what a subscription calls.
type handler[T any] = func(context.Context, T) error

// A tally is what the handler of one subscription has seen. It has cache lines
// of its own.
type tally struct {
	n, until int
	sum      int64
	crowd    *crowd
	_        [96]byte
}

// reached tells the crowd that this one has all it was to get.
func (t *tally) reached() { t.crowd.arrive() }

// A kind of data: what is published over and over, and who counts it.
type kind[T any] struct {
	data  [distinct]T
	count func(t *tally) handler[T]
}

// distinct is how many different values there are. Their numbers begin so high
// that nobody has them ready made.
const (
	distinct = 64
	first    = 1000
)

// block is data of 128 bytes.
type block [16]int64

var (
	small = kind[int64]{values(func(v int64) int64 { return v }), func(t *tally) handler[int64] {
		return func(_ context.Context, v int64) error {
			t.n++
			t.sum += v
			if t.n == t.until {
				t.reached()
			}
			return nil
		}
	}}
	large = kind[block]{values(func(v int64) block { return block{15: v} }), func(t *tally) handler[block] {
		return func(_ context.Context, v block) error {
			t.n++
			t.sum += v[15]
			if t.n == t.until {
				t.reached()
			}
			return nil
		}
	}}
)

func values[T any](of func(v int64) T) (data [distinct]T) {
	for i := range data {
		data[i] = of(int64(first + i))
	}
	return data
}

// sumOf is what n values add up to, from the first one on.
func sumOf(n int) (sum int64) {
	rounds, rest := n/distinct, n%distinct
	sum = int64(rounds) * distinct * (2*first + distinct - 1) / 2
	return sum + int64(rest)*int64(2*first+rest-1)/2
}

// A crowd is all subscriptions of a case.
type crowd struct {
	tallies []tally
	sum     int64 // that each should have
	left    atomic.Int64
	at      time.Time // when the last of them had all it was to get
	done    chan struct{}
	lost    *time.Timer
}

func newCrowd(subscriptions int) *crowd {
	c := &crowd{tallies: make([]tally, subscriptions), done: make(chan struct{}, 1), lost: time.NewTimer(patience)}
	for i := range c.tallies {
		c.tallies[i].crowd = c
	}
	return c
}

// handlers are one for each subscription.
func handlers[T any](c *crowd, k kind[T]) []handler[T] {
	all := make([]handler[T], len(c.tallies))
	for i := range all {
		all[i] = k.count(&c.tallies[i])
	}
	return all
}

// expect comes before publishers publish so many events each.
func (c *crowd) expect(shares ...int) {
	n := 0
	for _, share := range shares {
		n += share
		c.sum += sumOf(share)
	}
	for i := range c.tallies {
		c.tallies[i].until += n
	}
	c.left.Store(int64(len(c.tallies)))
	c.lost.Reset(patience)
}

func (c *crowd) arrive() {
	if c.left.Add(-1) == 0 {
		c.at = time.Now()
		c.done <- struct{}{}
	}
}

// wait is until every handler has run, or false.
func (c *crowd) wait() bool {
	select {
	case <-c.done:
		return true
	case <-c.lost.C:
		return false
	}
}

// check is after n events.
func (c *crowd) check(n int) error {
	for i := range c.tallies {
		if t := &c.tallies[i]; t.n != n || t.sum != c.sum {
			return fmt.Errorf("subscription %d of %d handled %d events of sum %d, not %d of sum %d", i, len(c.tallies), t.n, t.sum, n, c.sum)
		}
	}
	return nil
}

// A feed publishes n events, from the first value on, and tells how many were
// refused.
type feed func(n int) (failed int)

// A maker sets up a bus with a subscription for each handler.
type maker[T any] func(data *[distinct]T, handlers []handler[T]) (publish feed, closing func())

// delivery is a case whose operation is one event. What is told is the time of
// one handler call.
func delivery[T any](name string, subscriptions int, k kind[T], set maker[T]) bench.Case {
	return deliveries(name, subscriptions, 1, k, set)
}

// deliveries is a case whose operation is so many events.
func deliveries[T any](name string, subscriptions, events int, k kind[T], set maker[T]) bench.Case {
	return bench.Case{Name: name, New: func() bench.Run {
		c, publish, closing := begin(subscriptions, k, set)
		return bench.Run{
			Each: subscriptions * events, Close: closing,
			Check: func(n int) error { return c.check(n * events) },
			Loop: func(n int) (passed, failed int) {
				c.expect(n * events)
				failed = publish(n * events)
				if !c.wait() {
					return 0, n
				}
				return n - failed, failed
			},
		}
	}}
}

// contended is delivery with several publishers.
func contended[T any](name string, publishers, subscriptions int, k kind[T], set maker[T]) bench.Case {
	return bench.Case{Name: name, New: func() bench.Run {
		c, publish, closing := begin(subscriptions, k, set)
		publishing := bench.Parallel(publishers, func(n int) (passed, failed int) {
			failed = publish(n)
			return n - failed, failed
		})
		return bench.Run{Each: subscriptions, Close: closing, Check: c.check, Loop: func(n int) (passed, failed int) {
			shares := make([]int, publishers)
			for i := range shares {
				shares[i] = (n + i) / publishers
			}
			c.expect(shares...)
			passed, failed = publishing(n)
			if !c.wait() {
				return 0, n
			}
			return passed, failed
		}}
	}}
}

// latency is a case whose operation is one event on an idle bus, from the call
// that publishes it to the last handler.
func latency[T any](name string, subscriptions int, k kind[T], set maker[T]) bench.Case {
	return bench.Case{Name: name, New: func() bench.Run {
		c, publish, closing := begin(subscriptions, k, set)
		return bench.Run{Close: closing, Check: c.check, Laps: func(took []time.Duration) (passed, failed int) {
			for i := range took {
				time.Sleep(pause)
				c.expect(1)
				began := time.Now()
				failed += publish(1)
				if !c.wait() {
					return 0, len(took)
				}
				took[i] = c.at.Sub(began)
			}
			return len(took) - failed, failed
		}}
	}}
}

// begin sets a crowd and its bus up.
func begin[T any](subscriptions int, k kind[T], set maker[T]) (*crowd, feed, func()) {
	c := newCrowd(subscriptions)
	publish, closing := set(&k.data, handlers(c, k))
	return c, publish, func() {
		closing()
		c.lost.Stop()
	}
}

// must is for what cannot fail while a case is set up or taken down.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// got is must for what has a result.
func got[T any](v T, err error) T {
	must(err)
	return v
}

// want is an error if a condition does not hold.
func want(holds bool, format string, args ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf(format, args...)
}
