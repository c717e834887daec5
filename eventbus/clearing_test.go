package eventbus_test

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// A payload is large enough not to share an allocation with others.
type payload struct{ _ [1 << 10]byte }

// payloads are n of them, and what tells whether they are still referred to.
func payloads(n int) (all []*payload, refs []weak.Pointer[payload]) {
	for range n {
		p := new(payload)
		all, refs = append(all, p), append(refs, weak.Make(p))
	}
	return all, refs
}

// referredTo waits until exactly n of refs are still referred to.
func referredTo[T any](t *testing.T, n int, refs []weak.Pointer[T], what string) {
	t.Helper()
	left := 0
	assert.Eventually(t, func() bool {
		runtime.GC()
		left = 0
		for _, r := range refs {
			if r.Value() != nil {
				left++
			}
		}
		return left == n
	}, 3*time.Second, time.Millisecond, what)
	assert.Equal(t, n, left, what)
}

// abandon closes a bus without waiting for what is left.
func abandon(b *eventbus.Bus) {
	ended, stop := context.WithCancel(bg)
	stop()
	_ = b.Close(ended)
}

// A queue that nobody reads refers to as many events as may wait, though the
// array behind it has more slots than that.
func TestG41_AStuckQueueHoldsNoMoreThanItsCapacity(t *testing.T) {
	for name, history := range map[string]int{"alone": 0, "with history": 3} {
		t.Run(name, func(t *testing.T) {
			b, x := newTopic[*payload](t, eventbus.Config{}, eventbus.TopicConfig{History: history})
			q, err := x.Queue(bg, eventbus.SubscribeConfig[*payload]{OnFull: eventbus.DropOldest, Capacity: 2})
			require.NoError(t, err)
			all, refs := payloads(40)
			publish(t, x, all...)
			clear(all)
			referredTo(t, 2+history, refs, name)
			runtime.KeepAlive(q)
			abandon(b)
		})
	}
}

// What was published in one go is let go of like the rest.
func TestG41_BatchesAreLetGoOf(t *testing.T) {
	b, x := newTopic[*payload](t, eventbus.Config{}, eventbus.TopicConfig{})
	_, err := x.Subscribe(bg, func(context.Context, *payload) error { return nil })
	require.NoError(t, err)
	var refs []weak.Pointer[payload]
	for range 3 { // from the second on they take a shorter way
		all, made := payloads(10)
		refs = append(refs, made...)
		n, err := x.PublishBatch(bg, all)
		require.NoError(t, err)
		require.Equal(t, 10, n)
	}
	require.NoError(t, b.Flush(bg))
	referredTo(t, 0, refs, "after Flush")
	runtime.KeepAlive(x)
	closed(t, b)
}

// A context goes with the last event that came with it.
func TestG41_ContextsAreLetGoOf(t *testing.T) {
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Untimed: true})
	q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{OnFull: eventbus.DropOldest, Capacity: 2})
	require.NoError(t, err)
	var refs []weak.Pointer[payload]
	for i := range 20 {
		v := new(payload)
		refs = append(refs, weak.Make(v))
		ctx := context.WithValue(bg, ctxKey{}, v)
		for range 1 + i%2 {
			require.NoError(t, x.Publish(ctx, i))
		}
	}
	referredTo(t, 1, refs, "of the last two events")
	runtime.KeepAlive(q)
	abandon(b)
}

// One that all events came with goes when all have been handled.
func TestG41_TheContextOfAllIsLetGoOf(t *testing.T) {
	for _, k := range queuedKinds {
		t.Run(k.name, func(t *testing.T) {
			b, x := newTopic[int](t, k.bus, eventbus.TopicConfig{})
			k.subscribe(t, b, x, func(c *eventbus.SubscribeConfig[int]) { c.From = 0 }, func(context.Context, int) error { return nil })
			var refs []weak.Pointer[payload]
			for range 2 {
				v := new(payload)
				refs = append(refs, weak.Make(v))
				ctx := context.WithValue(bg, ctxKey{}, v)
				for i := range 10 {
					require.NoError(t, x.Publish(ctx, i))
				}
				n, err := x.PublishBatch(ctx, ints(1, 10))
				require.NoError(t, err)
				require.Equal(t, 10, n)
				require.NoError(t, b.Flush(bg))
			}
			referredTo(t, 0, refs, k.name)
			runtime.KeepAlive(x)
			closed(t, b)
		})
	}
}

// A limit that has gone with its subscription keeps no events.
func TestG41_LimitsGoWithTheirSubscriptions(t *testing.T) {
	for _, rest := range []int{0, 1} {
		b, x := newTopic[*payload](t, eventbus.Config{}, eventbus.TopicConfig{History: 2})
		for range rest {
			_, err := x.Queue(bg, eventbus.SubscribeConfig[*payload]{OnFull: eventbus.DropOldest, Capacity: 3})
			require.NoError(t, err)
		}
		s, err := x.Queue(bg, eventbus.SubscribeConfig[*payload]{OnFull: eventbus.DropOldest, Capacity: 30})
		require.NoError(t, err)
		s.Cancel()
		all, refs := payloads(60)
		publish(t, x, all...)
		clear(all)
		referredTo(t, 2+3*rest, refs, "the newest")
		runtime.KeepAlive(x)
		abandon(b)
	}
}

// A subscription that is done is referred to by nothing, though others of the same
// topic go on.
func TestG41_EndedSubscriptionsAreLetGoOf(t *testing.T) {
	for _, publishing := range []bool{false, true} {
		for _, k := range slices.Concat(queuedKinds[:], syncKinds[:]) {
			k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
				nop := func(context.Context, int) error { return nil }
				k.subscribe(t, b, x, nil, nop)
				var all []*eventbus.Subscription
				var refs []weak.Pointer[eventbus.Subscription]
				for range 5 {
					s := k.subscribe(t, b, x, nil, nop)
					all, refs = append(all, s), append(refs, weak.Make(s))
				}
				if publishing {
					k.subscribe(t, b, x, nil, nop)
				}
				publish(t, x, 1, 2)
				for _, i := range []int{2, 0, 4, 1, 3} {
					synctest.Wait() // until they wait for more
					all[i].Cancel()
					<-all[i].Done()
					if publishing && i < 3 { // after the last nobody is woken any more
						publish(t, x, 3)
					}
				}
				clear(all)
				referredTo(t, 0, refs, k.name)
				runtime.KeepAlive(x)
				closed(t, b)
			})
		}
	}
}

// One that comes while others are behind does not keep what it never gets.
func TestG41_LatecomersKeepNothing(t *testing.T) {
	b, x := newTopic[*payload](t, eventbus.Config{}, eventbus.TopicConfig{})
	behind, err := x.Queue(bg, eventbus.SubscribeConfig[*payload]{Capacity: 4})
	require.NoError(t, err)
	all, refs := payloads(4)
	publish(t, x, all...)
	clear(all)
	late, err := x.Queue(bg, eventbus.SubscribeConfig[*payload]{})
	require.NoError(t, err)
	for range 4 {
		_, err := behind.Next(bg)
		require.NoError(t, err)
	}
	ctx, cancel := context.WithTimeout(bg, time.Millisecond)
	defer cancel()
	_, err = behind.Next(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	referredTo(t, 0, refs, "after the last was read")
	runtime.KeepAlive(late)
	closed(t, b)
}

// One that begins later than all events so far keeps none of them.
func TestG41_OneThatBeginsInTheFutureKeepsNothing(t *testing.T) {
	b, x := newTopic[*payload](t, eventbus.Config{}, eventbus.TopicConfig{})
	nop := func(context.Context, *payload) error { return nil }
	_, err := x.Subscribe(bg, nop)
	require.NoError(t, err)
	_, err = x.SubscribeWith(bg, eventbus.SubscribeConfig[*payload]{From: 1000}, nop)
	require.NoError(t, err)
	var refs []weak.Pointer[payload]
	for range 3 {
		all, made := payloads(5)
		refs = append(refs, made...)
		publish(t, x, all...)
		referredTo(t, 0, refs, "after the first has taken them")
	}
	runtime.KeepAlive(x)
	closed(t, b)
}

// One that lags does not keep what it has lost, however large the limits of others.
func TestG41_WhatIsLostIsLetGoOf(t *testing.T) {
	b, x := newTopic[*payload](t, eventbus.Config{}, eventbus.TopicConfig{})
	handled := make(chan struct{})
	_, err := x.Subscribe(bg, func(context.Context, *payload) error {
		handled <- struct{}{}
		return nil
	})
	require.NoError(t, err)
	q, err := x.Queue(bg, eventbus.SubscribeConfig[*payload]{OnFull: eventbus.DropOldest, Capacity: 2})
	require.NoError(t, err)
	all, refs := payloads(500)
	for _, p := range all {
		publish(t, x, p)
		<-handled
	}
	clear(all)
	left := 0
	assert.Eventually(t, func() bool {
		runtime.GC()
		left = 0
		for _, r := range refs {
			if r.Value() != nil {
				left++
			}
		}
		return left <= 64
	}, 3*time.Second, time.Millisecond)
	assert.LessOrEqual(t, left, 64, "slots of the smallest array")
	runtime.KeepAlive(q)
	abandon(b)
}

// The end of the only one that was behind lets go of what it had not taken.
func TestG41_TheEndOfTheLastLetsGo(t *testing.T) {
	for name, end := range map[string]func(*eventbus.Queue[*payload]){
		"Cancel": func(q *eventbus.Queue[*payload]) { q.Cancel() },
		"Drain": func(q *eventbus.Queue[*payload]) {
			ctx, cancel := context.WithTimeout(bg, time.Millisecond)
			defer cancel()
			_ = q.Drain(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[*payload](t, eventbus.Config{}, eventbus.TopicConfig{})
				_, err := x.Subscribe(bg, func(context.Context, *payload) error { return nil })
				require.NoError(t, err)
				q, err := x.Queue(bg, eventbus.SubscribeConfig[*payload]{})
				require.NoError(t, err)
				all, refs := payloads(10)
				publish(t, x, all...)
				clear(all)
				synctest.Wait()
				end(q)
				referredTo(t, 0, refs, name)
				runtime.KeepAlive(x)
				runtime.KeepAlive(q)
				closed(t, b)
			})
		})
	}
}
