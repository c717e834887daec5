package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/saga"
)

// bouncing is an order whose mail bounces so often.
func bouncing(t *testing.T, n *notifier, bounces int) Order {
	t.Helper()
	for _, o := range someOrders(t, 0, 359) {
		if n.bounces(o.ID) == bounces {
			return o
		}
	}
	require.Fail(t, "no such order", "%d", bounces)
	return Order{}
}

// listeners are subscribed to the topics of a bubble, which is over with the test.
func listeners(t *testing.T, audit io.Writer) (*topics, *subscribers) {
	t.Helper()
	topics := newTopics()
	subs, err := subscribe(t.Context(), topics, script{1}, tempo{leastTime}, audit)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, topics.bus.Close(context.Background())) })
	return topics, subs
}

// A mail that bounces is sent again, and one that always does is put aside. Customers
// are told once, however often the end of their order is told.
func TestNotifier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topics, subs := listeners(t, io.Discard)
		var returned []eventbus.Failure
		_, err := topics.returned.Subscribe(t.Context(), func(_ context.Context, f eventbus.Failure) error {
			returned = append(returned, f)
			return nil
		})
		require.NoError(t, err)
		n := subs.notifier
		tries := map[int]int{0: 1, 1: 2, 2: 3, math.MaxInt: 5}
		for bounces := range tries {
			e := Ended{Order: bouncing(t, n, bounces), Status: saga.Completed}
			require.NoError(t, topics.ended.TryPublish(t.Context(), e))
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		for bounces, want := range tries {
			id := bouncing(t, n, bounces).ID
			assert.Equal(t, want, n.tries[id], bounces)
			assert.Equal(t, bounces < 5, n.told[id], bounces)
		}
		assert.Len(t, n.told, 3)
		assert.Equal(t, map[string]bool{bouncing(t, n, math.MaxInt).ID: true}, n.returned)
		assert.Len(t, n.done(), 4)
		require.Len(t, returned, 1)
		assert.Equal(t, 5, returned[0].Attempts)
		assert.Equal(t, errBounced, returned[0].Err)
		assert.Equal(t, bouncing(t, n, math.MaxInt).ID, returned[0].Event.Data.(Ended).Order.ID)

		again := Ended{Order: bouncing(t, n, 2), Status: saga.Completed, Again: true}
		require.NoError(t, topics.ended.TryPublish(t.Context(), again))
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.Equal(t, 3, n.tries[again.Order.ID])
		assert.Equal(t, n.bounces(again.Order.ID), n.bounces(again.Order.ID+mark+"7"), "in every round")
	})
}

// Most mails get through, some are late, few never.
func TestNotifier_bounces(t *testing.T) {
	met := make(map[int]int)
	n := &notifier{script: script{1}}
	for i := range 5000 {
		met[n.bounces(fmt.Sprint("order ", i))]++
	}
	assert.InDelta(t, 4250, met[0], 150)
	assert.InDelta(t, 300, met[1], 100)
	assert.InDelta(t, 300, met[2], 100)
	assert.InDelta(t, 150, met[math.MaxInt], 60)
	assert.Len(t, met, 4)
}

// What a customer has bought is booked once, as it was told first.
func TestLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topics, subs := listeners(t, io.Discard)
		l := subs.ledger
		require.NoError(t, l.await(t.Context(), 0))
		heard := make(chan error, 1)
		go func() { heard <- l.await(t.Context(), 4) }()
		order := func(id, customer string, cents int64) Order {
			return Order{ID: id, Customer: customer, Item: "lamp", Quantity: 1, Cents: cents}
		}
		for i, e := range []Ended{
			{Order: order("a", "ann", 100), Status: saga.Completed},
			{Order: order("a", "ann", 100), Status: saga.Completed, Again: true},
			{Order: order("b", "ann", 10), Status: saga.Completed},
			{Order: order("c", "bob", 1), Status: saga.Compensated},
			{Order: order("c", "bob", 1), Status: saga.Completed},
			{Order: order("d", "bob", 1000), Status: saga.Stuck},
		} {
			require.Empty(t, heard, i)
			require.NoError(t, topics.ended.TryPublish(t.Context(), e))
			synctest.Wait()
		}
		require.NoError(t, <-heard)
		assert.Equal(t, map[string]int64{"ann": 110}, l.totals())

		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errStuck)
		defer cancel()
		err := l.await(ctx, 6)
		require.ErrorIs(t, err, errStuck)
		assert.ErrorContains(t, err, "4 of 6 orders have come to their end: not over after ")
	})
}

// All of what is told is written down, a line for each, as long as there is time for it.
func TestAudit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		topics, _ := listeners(t, &out)
		at := time.Now().Format(time.RFC3339Nano)
		require.NoError(t, topics.placed.TryPublish(t.Context(), lampOrder))
		require.NoError(t, topics.ended.TryPublish(t.Context(), Ended{Order: lampOrder, Status: saga.Completed}))
		topics.tell("stock-1 is dead", true)
		synctest.Wait()
		assert.Equal(t, at+" orders.placed order 1: ann wants 2 x lamp\n"+
			at+" orders.ended order 1: completed\n"+
			at+" shop.news stock-1 is dead\n", out.String())
	})
}

// A slowWriter takes its time.
type slowWriter struct{ bytes.Buffer }

func (w *slowWriter) Write(b []byte) (int, error) {
	time.Sleep(time.Second)
	return w.Buffer.Write(b)
}

// When a disk is slow the others do not wait for it, and how many events are missing is
// written down.
func TestAudit_slowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out slowWriter
		topics, subs := listeners(t, &out)
		began := time.Now()
		for i := range 1000 {
			topics.tell(fmt.Sprint("news ", i), false)
		}
		assert.Equal(t, began, time.Now())
		time.Sleep(time.Hour)
		synctest.Wait()
		stats := subs.all[2].Stats()
		assert.Equal(t, "audit", stats.Name)
		assert.Positive(t, stats.Lagged)
		assert.Equal(t, uint64(1000), stats.Handled+stats.Lagged)
		missing, written := uint64(0), uint64(0)
		for line := range strings.Lines(out.String()) {
			var n uint64
			if _, err := fmt.Sscanf(line, "%d events are missing here", &n); err == nil {
				missing += n
			} else {
				written++
			}
		}
		assert.Equal(t, stats.Lagged, missing)
		assert.Equal(t, stats.Handled, written)
		assert.True(t, strings.HasSuffix(out.String(), " shop.news news 999\n"))
	})
}

// A disk that is full is a failure that is counted, and nobody else's.
func TestAudit_fullDisk(t *testing.T) {
	full := errors.New("no space")
	w := writer(func([]byte) (int, error) { return 0, full })
	a := audit{w}
	require.ErrorIs(t, a.write(t.Context(), eventbus.Event[any]{Data: 1}), full)
	require.ErrorIs(t, a.write(t.Context(), eventbus.Event[any]{Data: 1, Lag: 2}), full)
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }
