package eventbus_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

func TestS4_OneOrderForAll(t *testing.T) {
	const publishers, each = 4, 3000
	type item struct{ publisher, i int }
	b, x := newTopic[item](t, eventbus.Config{}, eventbus.TopicConfig{})
	journals := make([]*journal[item], 5)
	for i := range journals {
		journals[i], _ = subscribe(t, x, eventbus.SubscribeConfig[item]{})
	}
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				assert.NoError(t, x.Publish(bg, item{p, i}))
			}
		})
	}
	wg.Wait()
	closed(t, b)
	order := journals[0].data()
	require.Len(t, order, publishers*each)
	var next [publishers]int
	for _, v := range order {
		require.Equal(t, next[v.publisher], v.i, "publisher %d", v.publisher)
		next[v.publisher]++
	}
	for i, j := range journals {
		require.True(t, assert.ObjectsAreEqual(order, j.data()), "subscription %d has another order", i)
		for k, seq := range j.seqs() {
			require.EqualValues(t, k+1, seq)
		}
	}
}

func TestS35_KeysInOrderAndSideBySide(t *testing.T) {
	const keys, each = 100, 100
	type item struct{ key, i int }
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[item](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: -1})
		var mu sync.Mutex
		var next, running [keys]int
		atOnce, most := 0, 0
		s, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[item]{
			Workers: 4, Key: func(v item) string { return fmt.Sprint(v.key) },
		}, func(_ context.Context, v item) error {
			mu.Lock()
			assert.Equal(t, next[v.key], v.i)
			assert.Zero(t, running[v.key], "two of key %d at once", v.key)
			next[v.key]++
			running[v.key]++
			atOnce++
			most = max(most, atOnce)
			mu.Unlock()
			time.Sleep(time.Millisecond)
			mu.Lock()
			running[v.key]--
			atOnce--
			mu.Unlock()
			return nil
		})
		require.NoError(t, err)
		for i := range each {
			for k := range keys {
				publish(t, x, item{k, i})
			}
		}
		closed(t, b)
		assert.Equal(t, 4, most)
		assert.EqualValues(t, keys*each, s.Stats().Handled)
	})
}

func TestS35_StuckKeyHoldsUpOnlyItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		gate := make(chan struct{})
		var j journal[int]
		_, err := x.SubscribeEvents(bg, eventbus.SubscribeConfig[int]{
			Workers: 4, Key: func(i int) string { return fmt.Sprint(i % 10) },
		}, func(ctx context.Context, e eventbus.Event[int]) error {
			if e.Data%10 == 0 {
				<-gate
			}
			return j.handle(ctx, e)
		})
		require.NoError(t, err)
		publish(t, x, ints(0, 99)...)
		synctest.Wait()
		assert.Len(t, j.data(), 90)
		close(gate)
		closed(t, b)
		assert.Equal(t, []int{0, 10, 20, 30, 40, 50, 60, 70, 80, 90}, j.data()[90:])
	})
}

func TestS38_SyncHandlersByOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Sync: true})
		var ran []string
		add := func(name string, order int, fn func() error) {
			_, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Name: name, Order: order}, func(context.Context, int) error {
				ran = append(ran, name)
				return fn()
			})
			require.NoError(t, err)
		}
		fine := func() error { return nil }
		add("last", 5, fine)
		add("second", 0, func() error { return assert.AnError })
		add("third", 0, func() error { panic("third") })
		add("first", -1, fine)

		err := x.Publish(bg, 1)
		assert.Equal(t, []string{"first", "second", "third", "last"}, ran)
		assert.ErrorIs(t, err, assert.AnError)
		assert.ErrorContains(t, err, `"second"`)
		assert.ErrorContains(t, err, `"third"`)
		var p *eventbus.PanicError
		require.ErrorAs(t, err, &p)
		assert.Equal(t, "third", p.Value)
		assert.Contains(t, string(p.Stack), "TestS38_SyncHandlersByOrder")
		closed(t, b)
	})
}

type s21Shape interface{ Area() int }

type (
	s21Square int
	s21Strip  struct{ a int }
	s21Dot    struct{}
	s21Other  struct{}
)

func (s s21Square) Area() int { return int(s) * int(s) }
func (s s21Strip) Area() int  { return s.a }
func (*s21Dot) Area() int     { return 0 }

func TestS21_PatternOfAnInterface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := eventbus.MustNew(eventbus.Config{})
		var j journal[s21Shape]
		_, err := eventbus.SubscribePattern(bg, b, ">", eventbus.SubscribeConfig[s21Shape]{}, j.handle)
		require.NoError(t, err)
		dot := new(s21Dot)
		for range 3 {
			require.NoError(t, eventbus.Publish(bg, b, s21Square(3)))
			require.NoError(t, eventbus.Publish(bg, b, s21Other{}))
			require.NoError(t, eventbus.Publish(bg, b, s21Strip{4}))
			require.NoError(t, eventbus.Publish(bg, b, dot))
		}
		closed(t, b)
		round := []s21Shape{s21Square(3), s21Strip{4}, dot}
		assert.Equal(t, append(append(append([]s21Shape{}, round...), round...), round...), j.data())
	})
}
