package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/examples/checkout/page"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/saga"
)

// A boardTest is a board in a bubble, with what it says.
type boardTest struct {
	*board
	said []string
}

func newBoardTest() *boardTest {
	b := new(boardTest)
	b.board = newBoard(checkoutPlan(), func(at time.Duration, text string) {
		b.said = append(b.said, fmt.Sprintf("%v %s", at, text))
	})
	return b
}

// tell tells it what happens, one after the other.
func (b *boardTest) tell(t *testing.T, events ...any) {
	t.Helper()
	for _, e := range events {
		require.NoError(t, b.handle(t.Context(), eventbus.Event[any]{Data: e}))
	}
}

func status(run string, to saga.Status, cause error) saga.StatusEvent {
	return saga.StatusEvent{Run: run, To: to, Cause: cause}
}

func began(run, step string) saga.StepInfo {
	return saga.StepInfo{Run: run, Step: step, Attempt: 1}
}

func did(run, step string) saga.StepEvent {
	return saga.StepEvent{Info: began(run, step), Result: saga.Applied, Wait: -1}
}

// Orders are counted once, when they are placed and at their end, whatever is told twice
// and in whatever order the events of a run come.
func TestBoard_orders(t *testing.T) {
	a, b, c, d := numbered(1), numbered(2), numbered(3), numbered(4)
	for _, tc := range []struct {
		name   string
		events []any
		want   page.Orders
		runs   int
	}{
		{"nothing", nil, page.Orders{}, 0},
		{"placed", []any{a, b, a}, page.Orders{Placed: 2, Running: 2}, 0},
		{"under way", []any{a, status(a.ID, saga.Running, nil), began(a.ID, "reserve")}, page.Orders{Placed: 1, Running: 1}, 1},
		{"ended", []any{
			a, b, c, d, status(a.ID, saga.Running, nil), status(a.ID, saga.Completed, nil),
			Ended{Order: a, Status: saga.Completed},
			Ended{Order: b, Status: saga.Compensated},
			Ended{Order: c, Status: saga.Stuck},
		}, page.Orders{Placed: 4, Running: 1, Completed: 1, Compensated: 1, Stuck: 1}, 0},
		{"ended twice", []any{
			a, Ended{Order: a, Status: saga.Completed}, Ended{Order: a, Status: saga.Completed, Again: true}, Ended{Order: a, Status: saga.Compensated},
		}, page.Orders{Placed: 1, Completed: 1}, 0},
		{"a straggling event", []any{
			a, status(a.ID, saga.Running, nil),
			Ended{Order: a, Status: saga.Completed},
			did(a.ID, "pick"), status(a.ID, saga.Completed, nil), began(a.ID, "pick"), status(a.ID, saga.Running, nil),
		}, page.Orders{Placed: 1, Completed: 1}, 0},
		{"the end has not been told", []any{
			a, status(a.ID, saga.Running, nil), status(a.ID, saga.Completed, nil),
		}, page.Orders{Placed: 1, Running: 1}, 1},
		{"stuck", []any{
			a, status(a.ID, saga.Running, nil), status(a.ID, saga.Stuck, nil), Ended{Order: a, Status: saga.Stuck},
		}, page.Orders{Placed: 1, Stuck: 1}, 1},
		{"an end before its order", []any{Ended{Order: a, Status: saga.Completed}, a}, page.Orders{Placed: 1, Completed: 1}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				board := newBoardTest()
				board.tell(t, tc.events...)
				v := board.view()
				assert.Equal(t, tc.want, v.Orders)
				assert.Len(t, v.Runs, tc.runs)
				board.tellProgress()
				assert.Equal(t, fmt.Sprintf("0s so far: %d placed, %d on their way, %d completed, %d compensated",
					tc.want.Placed, tc.want.Running, tc.want.Completed, tc.want.Compensated), board.said[len(board.said)-1])
			})
		})
	}
}

// A run is shown with its order, wherever that comes.
func TestBoard_run(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := numbered(1), numbered(2)
		board := newBoardTest()
		board.tell(t, a, status(a.ID, saga.Running, nil), did(a.ID, "reserve"))
		time.Sleep(time.Second)
		board.tell(t, status(b.ID, saga.Running, nil), b, status(b.ID, saga.Compensating, nil))
		time.Sleep(time.Second)
		runs := board.view().Runs
		require.Len(t, runs, 2)
		assert.Equal(t, "order 1", runs[0].ID)
		assert.Equal(t, "ann wants 2 x lamp", runs[0].Order)
		assert.Equal(t, 2*time.Second, runs[0].Age)
		assert.Equal(t, "running", runs[0].Status)
		assert.Equal(t, page.Done, runs[0].Steps[0].State)
		assert.Equal(t, "ann wants 2 x lamp", runs[1].Order)
		assert.Equal(t, time.Second, runs[1].Age)
		assert.Equal(t, "compensating", runs[1].Status)

		runs[0].Steps[0].State = page.Failed // a picture is a copy
		assert.Equal(t, page.Done, board.view().Runs[0].Steps[0].State)
	})
}

// Of many runs the stuck ones are shown first, then the oldest.
func TestBoard_stuckFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		board := newBoardTest()
		for n := range 20 {
			board.tell(t, status(fmt.Sprintf("order %02d", n), saga.Running, nil))
			if n%2 == 1 {
				time.Sleep(time.Second)
			}
		}
		board.tell(t, saga.StatusEvent{Run: "order 17", To: saga.Stuck, Reason: saga.ReasonUndoFailed, Cause: errors.New("oops")})
		var ids []string
		for _, r := range board.view().Runs {
			ids = append(ids, r.ID)
		}
		assert.Equal(t, []string{
			"order 17", "order 00", "order 01", "order 02", "order 03", "order 04", "order 05", "order 06", "order 07", "order 08", "order 09", "order 10",
		}, ids)
		assert.Equal(t, "stuck", board.view().Runs[0].Status)
		assert.Equal(t, []string{"10s order 17: stuck, undo failed: oops"}, board.said)
	})
}

// What has become of instances and their breakers, from the packages themselves.
func TestBoard_instances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topics, board := newTopics(), newBoardTest()
		require.NoError(t, board.listen(t.Context(), topics.bus))
		reg := registry.MustNew(registry.Config{Hooks: topics.registryHooks(func() {})})
		lease, err := reg.Register(t.Context(), registry.Instance{ID: "a-1", Service: "a", Addr: "1.2.3.4:5", TTL: -1})
		require.NoError(t, err)
		b := breaker.MustNew("1.2.3.4:5", breaker.Config{OpenFor: time.Second, CloseAfter: 1, Hooks: topics.breakerHooks()})
		time.Sleep(time.Second)
		b.Trip(2345678*time.Microsecond, errors.New("oops"))
		require.NoError(t, lease.SetHealth(registry.Critical, "on fire"))
		require.NoError(t, lease.SetHealth(registry.Critical, "still"))
		time.Sleep(3 * time.Second)
		require.NoError(t, b.Run(t.Context(), func(context.Context) error { return nil }))
		require.NoError(t, lease.SetHealth(registry.Passing, ""))
		topics.tell("a-1 is well again", false)
		require.NoError(t, lease.Deregister())
		_, err = reg.Register(t.Context(), registry.Instance{ID: "a-2", Service: "a", Addr: "1.2.3.4:6", TTL: time.Minute})
		require.NoError(t, err)
		breaker.MustNew("1.2.3.4:7", breaker.Config{Hooks: topics.breakerHooks()}).Trip(time.Second, nil) // of nobody
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.Equal(t, []string{
			"0s a-1: registered",
			"1s a-1: breaker opens for 2.346s: oops",
			"1s a-1: critical",
			"4s a-1: breaker closes",
			"4s a-1 is well again",
			"4s a-1: gone: deregistered",
			"4s a-2: registered",
			"4s 1.2.3.4:7: breaker opens for 1s",
			"1m4s a-2: gone: expired",
		}, board.said)
		var bad []string
		for _, line := range board.view().Log {
			if line.Bad {
				bad = append(bad, line.Text)
			}
		}
		assert.Equal(t, []string{"a-1: breaker opens for 2.346s: oops", "a-1: critical", "1.2.3.4:7: breaker opens for 1s", "a-2: gone: expired"}, bad)
		assert.Equal(t, []page.Span{
			{State: "closed"}, {State: "open", From: time.Second}, {State: "half-open", From: 4 * time.Second}, {State: "closed", From: 4 * time.Second},
		}, board.timeline("a-1"))
		assert.Equal(t, []page.Span{{State: "closed"}}, board.timeline("a-2"))
		assert.Equal(t, map[string]int{"a-1": 1, "1.2.3.4:7": 1}, board.openings())
		require.NoError(t, reg.Close(t.Context()))
		require.NoError(t, topics.bus.Close(t.Context()))
	})
}

// A breaker that nobody asks is seen to be half-open when its open time is over.
func TestBoard_ajar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		board := newBoardTest()
		time.Sleep(time.Second)
		board.tell(t, breaker.Transition{Name: "b", From: breaker.Closed, To: breaker.Open, At: time.Now(), OpenFor: time.Minute})
		open := []page.Span{{State: "closed"}, {State: "open", From: time.Second}}
		time.Sleep(time.Minute)
		assert.Equal(t, open, board.timeline("b"))
		time.Sleep(time.Second)
		for range 2 {
			assert.Equal(t, append(open[:2:2], page.Span{State: "half-open", From: 61 * time.Second}), board.timeline("b"))
		}
		board.tell(t, breaker.Transition{Name: "b", From: breaker.Open, To: breaker.HalfOpen, At: time.Now()})
		assert.Equal(t, append(open[:2:2], page.Span{State: "half-open", From: 62 * time.Second}), board.timeline("b"))
	})
}

// What goes on for ever does not need more and more room.
func TestBoard_bounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		board := newBoardTest()
		for n := range 1000 {
			o := numbered(n)
			board.tell(t, o, status(o.ID, saga.Running, nil), began(o.ID, "reserve"), Ended{Order: o, Status: saga.Completed},
				breaker.Transition{Name: "b", From: breaker.Closed, To: breaker.HalfOpen}, News{Text: fmt.Sprint("news ", n)})
		}
		v := board.view()
		require.Len(t, v.Log, keptLines)
		assert.Equal(t, "news 999", v.Log[keptLines-1].Text)
		assert.Equal(t, "news 960", v.Log[0].Text)
		assert.Len(t, board.timeline("b"), keptSpans+1)
		assert.Empty(t, board.runs)
		assert.Empty(t, board.orders)
	})
}

// Why a run has failed is kept for the table at the end.
func TestBoard_reasons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		board := newBoardTest()
		declined := errors.New("409 card declined")
		board.tell(t, status("a", saga.Compensating, declined), status("a", saga.Compensated, nil),
			status("b", saga.Compensating, declined), status("c", saga.Running, nil))
		ends := map[string]ending{"a": {status: saga.Compensated}, "b": {status: saga.Completed}, "c": {status: saga.Compensated}}
		board.reasons(ends)
		assert.Equal(t, map[string]ending{
			"a": {status: saga.Compensated, why: "card declined"}, "b": {status: saga.Completed}, "c": {status: saga.Compensated},
		}, ends)
	})
}
