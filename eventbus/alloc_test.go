package eventbus_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// G9, G42: publishing allocates nothing for the event, deliveries of one context
// neither, and refusals neither.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		return // the detector allocates; the same test runs without it
	}
	nop := func(context.Context, int) error { return nil }
	subs := map[string]func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]){
		"nobody": func(*testing.T, *eventbus.Bus, *eventbus.Topic[int]) {},
		"data": func(t *testing.T, _ *eventbus.Bus, x *eventbus.Topic[int]) {
			t.Helper()
			_, err := x.Subscribe(bg, nop)
			require.NoError(t, err)
		},
		"a hundred": func(t *testing.T, _ *eventbus.Bus, x *eventbus.Topic[int]) {
			t.Helper()
			for range 100 {
				_, err := x.Subscribe(bg, nop)
				require.NoError(t, err)
			}
		},
		"events": func(t *testing.T, _ *eventbus.Bus, x *eventbus.Topic[int]) {
			t.Helper()
			_, err := x.SubscribeEvents(bg, eventbus.SubscribeConfig[int]{}, func(context.Context, eventbus.Event[int]) error { return nil })
			require.NoError(t, err)
		},
		"mailboxes": func(t *testing.T, _ *eventbus.Bus, x *eventbus.Topic[int]) {
			t.Helper()
			for _, cfg := range []eventbus.SubscribeConfig[int]{
				{Filter: func(i int) bool { return i%2 == 0 }, OnFull: eventbus.DropOldest},
				{OnFull: eventbus.DropNewest},
				{OnFull: eventbus.Unbounded},
				{OnFull: eventbus.DropOldest, Workers: 3, Key: func(i int) string { return [...]string{"a", "b", "c"}[i%3] }},
			} {
				_, err := x.SubscribeWith(bg, cfg, nop)
				require.NoError(t, err)
			}
		},
		"overflow": func(t *testing.T, _ *eventbus.Bus, x *eventbus.Topic[int]) {
			t.Helper()
			for _, p := range []eventbus.Overflow{eventbus.DropOldest, eventbus.DropNewest} {
				_, err := x.Queue(bg, eventbus.SubscribeConfig[int]{OnFull: p, Capacity: 2})
				require.NoError(t, err)
			}
		},
		"failures": func(t *testing.T, _ *eventbus.Bus, x *eventbus.Topic[int]) {
			t.Helper()
			_, err := x.Subscribe(bg, func(context.Context, int) error { return assert.AnError })
			require.NoError(t, err)
		},
	}
	for _, sync := range []bool{false, true} {
		for name, add := range subs {
			t.Run(fmt.Sprint(name, " sync=", sync), func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Sync: sync})
				if sync && (name == "mailboxes" || name == "failures") {
					return // where the one needs queues and the other makes an error of each failure
				}
				add(t, b, x)
				ctx, cancel := context.WithCancel(bg)
				defer cancel()
				batch := ints(1, 32)
				none := func(what string, f func(ctx context.Context)) {
					t.Helper()
					for range 100 {
						f(ctx) // grows what has to grow
					}
					assert.Zero(t, testing.AllocsPerRun(1000, func() { f(ctx) }), what)
				}
				none("Publish", func(ctx context.Context) { _ = x.Publish(ctx, 1) })
				none("TryPublish", func(ctx context.Context) { _ = x.TryPublish(ctx, 1) })
				none("PublishBatch", func(ctx context.Context) { _, _ = x.PublishBatch(ctx, batch) })
				ended, stop := context.WithCancel(bg)
				stop()
				_ = b.Close(ended)
			})
		}
	}
	one := ints(1, 1)
	for _, q := range queues {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		_, err := x.Queue(bg, eventbus.SubscribeConfig[int]{OnFull: eventbus.Fail, Capacity: 1, Filter: q.filter})
		require.NoError(t, err)
		_, err = x.Queue(bg, eventbus.SubscribeConfig[int]{Capacity: 1, Filter: q.filter})
		require.NoError(t, err)
		publish(t, x, 1)
		for what, f := range map[string]func() error{
			"Fail":         func() error { return x.Publish(bg, 1) },
			"TryPublish":   func() error { return x.TryPublish(bg, 1) },
			"PublishBatch": func() error { _, err := x.PublishBatch(bg, one); return err },
		} {
			require.ErrorIs(t, f(), eventbus.ErrFull)
			assert.Zero(t, testing.AllocsPerRun(1000, func() { _ = f() }), "%s, %s", what, q.name)
		}
		ended, stop := context.WithCancel(bg)
		stop()
		require.Error(t, b.Close(ended))
	}
}

// G42: a delivery allocates once when the context is another, and a loop over a
// Queue never.
func TestAllocationsOfDeliveries(t *testing.T) {
	if raceEnabled {
		return
	}
	const n = 10_000
	measure := func(name string, atMost float64, run func()) {
		t.Helper()
		run()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		run()
		runtime.ReadMemStats(&after)
		got := float64(after.Mallocs-before.Mallocs) / n
		assert.LessOrEqual(t, got, atMost, name)
	}
	own := make([]context.Context, n)
	for i := range own {
		own[i] = context.WithValue(bg, ctxKey{}, i) //nolint:fatcontext // beside each other, not nested
	}
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
	_, err := x.Subscribe(bg, func(context.Context, int) error { return nil })
	require.NoError(t, err)
	measure("one context", 0.05, func() {
		for i := range n {
			_ = x.Publish(bg, i)
		}
		_ = b.Flush(bg)
	})
	measure("each its own", 1.05, func() {
		for i := range n {
			_ = x.Publish(own[i], i)
		}
		_ = b.Flush(bg)
	})
	closed(t, b)

	b, x = newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: n})
	q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{})
	require.NoError(t, err)
	measure("queue", 0.05, func() {
		for i := range n {
			_ = x.Publish(bg, i)
		}
		left := n
		for _, err := range q.Events(bg) {
			require.NoError(t, err)
			if left--; left == 0 {
				break
			}
		}
	})
	closed(t, b)
}

// G41: no goroutine per bus, topic or Queue, Workers per handler, one for a Queue
// whose Chan is used, and none once the bus is closed.
func TestG41_Goroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := runtime.NumGoroutine()
		count := func(want int, what string) {
			t.Helper()
			synctest.Wait()
			assert.Equal(t, want, runtime.NumGoroutine()-base, what)
		}
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		s := eventbus.MustNewTopic[int](b, "sync", eventbus.TopicConfig{Sync: true})
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{})
		require.NoError(t, err)
		_, _ = subscribe(t, s, eventbus.SubscribeConfig[int]{})
		_, err = eventbus.Respond(bg, b, func(context.Context, int) (int, error) { return 0, nil })
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(bg)
		defer cancel()
		_, err = s.Subscribe(ctx, func(context.Context, int) error { return nil })
		require.NoError(t, err)
		count(0, "buses, topics, queues, Sync handlers, responders and contexts have none")
		_, _ = subscribe(t, x, eventbus.SubscribeConfig[int]{})
		count(1, "a handler")
		_, _ = subscribe(t, x, eventbus.SubscribeConfig[int]{Workers: 5})
		count(6, "five workers")
		_ = q.Chan()
		count(7, "a channel")
		_, err = eventbus.SubscribePattern(bg, b, ">", eventbus.SubscribeConfig[int]{}, func(context.Context, eventbus.Event[int]) error { return nil })
		require.NoError(t, err)
		count(8, "a pattern")
		l, _ := links()
		attach(t, b, l, eventbus.BridgeConfig{Import: []string{"a", "b"}, Export: []string{"c"}})
		count(11, "two imports and the export")
		q.Cancel()
		closed(t, b)
		count(0, "closed")
	})
}

// G41: what has been handled by all is referred to by nothing of the bus, at once
// and although the bus lives on; what history keeps is.
func TestG41_NothingIsKeptThatWasHandled(t *testing.T) {
	type big struct{ _ [1 << 10]byte }
	for name, sub := range map[string]func(x *eventbus.Topic[*big]) func(){
		"handler": func(x *eventbus.Topic[*big]) func() {
			_, err := x.Subscribe(bg, func(context.Context, *big) error { return nil })
			require.NoError(t, err)
			return func() {}
		},
		"mailbox": func(x *eventbus.Topic[*big]) func() {
			_, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[*big]{Filter: func(*big) bool { return true }}, func(context.Context, *big) error { return nil })
			require.NoError(t, err)
			return func() {}
		},
		"workers": func(x *eventbus.Topic[*big]) func() {
			_, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[*big]{Workers: 2}, func(context.Context, *big) error { return nil })
			require.NoError(t, err)
			return func() {}
		},
		"events that fail": func(x *eventbus.Topic[*big]) func() {
			_, err := x.SubscribeEvents(bg, eventbus.SubscribeConfig[*big]{}, func(context.Context, eventbus.Event[*big]) error { return assert.AnError })
			require.NoError(t, err)
			return func() {}
		},
		"queue": func(x *eventbus.Topic[*big]) func() {
			q, err := x.Queue(bg, eventbus.SubscribeConfig[*big]{})
			require.NoError(t, err)
			return func() {
				for _, err := range q.Events(bg) {
					require.NoError(t, err)
					if st := q.Stats(); st.Depth == 0 {
						break
					}
				}
				ctx, cancel := context.WithTimeout(bg, time.Millisecond)
				defer cancel()
				_, _ = q.Next(ctx) // has the last batch settled
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, x := newTopic[*big](t, eventbus.Config{}, eventbus.TopicConfig{})
			read := sub(x)
			var refs []weak.Pointer[big]
			var ctxs []weak.Pointer[int]
			for range 100 {
				v, c := new(big), new(int)
				refs, ctxs = append(refs, weak.Make(v)), append(ctxs, weak.Make(c))
				require.NoError(t, x.Publish(context.WithValue(bg, ctxKey{}, c), v))
			}
			read()
			require.NoError(t, b.Flush(bg))
			assert.Eventually(t, func() bool {
				runtime.GC()
				for i := range refs {
					if refs[i].Value() != nil || ctxs[i].Value() != nil {
						return false
					}
				}
				return true
			}, 10*time.Second, time.Millisecond)
			runtime.KeepAlive(x)
			ended, stop := context.WithCancel(bg)
			stop()
			_ = b.Close(ended)
		})
	}
}

// C3: a stuck handler holds at most its capacity and what it took; the others'
// events are not kept for it. A million short-lived topics leave memory flat.
func TestG32_G41_MemoryBounds(t *testing.T) {
	heap := func() uint64 {
		var m runtime.MemStats
		for range 3 {
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	type kib [1 << 10]byte
	for _, p := range []eventbus.Overflow{eventbus.DropOldest, eventbus.DropNewest} {
		b, x := newTopic[*kib](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 64})
		gate := make(chan struct{})
		_, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[*kib]{OnFull: p}, func(context.Context, *kib) error {
			<-gate
			return nil
		})
		require.NoError(t, err)
		before := heap()
		for range 20_000 {
			require.NoError(t, x.Publish(bg, new(kib)))
		}
		after := heap()
		assert.Less(t, int64(after)-int64(before), int64(64+4+10)<<10+64<<10, p)
		close(gate)
		closed(t, b)
	}

	n := 100_000
	if raceEnabled || testing.Short() {
		n = 2_000
	}
	b := eventbus.MustNew(eventbus.Config{})
	var before uint64
	for i := range n {
		x := eventbus.MustNewTopic[int](b, fmt.Sprint("order.", i), eventbus.TopicConfig{})
		s, err := x.Subscribe(bg, func(context.Context, int) error { return nil })
		require.NoError(t, err)
		require.NoError(t, x.Publish(bg, i))
		s.Cancel()
		<-s.Done()
		if i == n/10 {
			before = heap()
		}
	}
	gone(t, b, 0)
	assert.Less(t, int64(heap())-int64(before), int64(1<<20))
	closed(t, b)
}
