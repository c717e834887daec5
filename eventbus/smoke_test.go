package eventbus_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"errors"

	"github.com/stretchr/testify/require"
	"github.com/mainstay-go/mainstay/eventbus"
)

func TestSmoke(t *testing.T) {
	for _, name := range []string{"ring", "box", "sync", "workers", "cap1"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := eventbus.MustNew(eventbus.Config{})
				tc := eventbus.TopicConfig{Sync: name == "sync"}
				topic := eventbus.MustNewTopic[int](b, "a.b", tc)
				cfg := eventbus.SubscribeConfig[int]{}
				switch name {
				case "box":
					cfg.Filter = func(int) bool { return true }
				case "workers":
					cfg.Workers = 4
				case "cap1":
					cfg.Capacity = 1
				}
				var mu sync.Mutex
				var got []int
				var subs []*eventbus.Subscription
				for range 3 {
					s, err := topic.SubscribeWith(context.Background(), cfg, func(ctx context.Context, i int) error {
						mu.Lock()
						defer mu.Unlock()
						got = append(got, i)
						return nil
					})
					require.NoError(t, err)
					subs = append(subs, s)
				}
				for i := range 1000 {
					require.NoError(t, topic.Publish(context.Background(), i))
				}
				require.NoError(t, b.Flush(context.Background()))
				require.Len(t, got, 3000)
				for _, s := range subs {
					require.EqualValues(t, 1000, s.Stats().Handled, "%+v", s.Stats())
				}
				n, err := topic.PublishBatch(context.Background(), make([]int, 3000))
				require.NoError(t, err)
				require.Equal(t, 3000, n)
				require.NoError(t, b.Close(context.Background()))
				require.Len(t, got, 12000)
				require.ErrorIs(t, topic.Publish(context.Background(), 1), eventbus.ErrClosed)
				require.NoError(t, b.Close(context.Background()))
			})
		})
	}
}

func TestSmokeDeadlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := eventbus.MustNew(eventbus.Config{})
		x := eventbus.MustNewTopic[int](b, "a", eventbus.TopicConfig{Capacity: 1})
		y := eventbus.MustNewTopic[int](b, "b", eventbus.TopicConfig{Capacity: 1})
		var n atomic.Int64
		relay := func(to *eventbus.Topic[int]) func(context.Context, int) error {
			return func(ctx context.Context, i int) error {
				for range 2 {
					if i == 0 { return nil }
					if err := to.Publish(ctx, i-1); err != nil {
						if n.Add(1) == 1 { fmt.Println(err) }
						if errors.Is(err, eventbus.ErrWouldDeadlock) { return nil }
					}
				}
				return nil
			}
		}
		_, err := x.Subscribe(context.Background(), relay(y))
		require.NoError(t, err)
		_, err = y.Subscribe(context.Background(), relay(x))
		require.NoError(t, err)
		for range 5 {
			x.Publish(context.Background(), 6)
		}
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		fmt.Println(b.Close(ctx), n.Load())
	})
}

func TestSmokeQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := eventbus.MustNew(eventbus.Config{})
		x := eventbus.MustNewTopic[int](b, "a", eventbus.TopicConfig{History: 10})
		for i := range 25 {
			require.NoError(t, x.Publish(context.Background(), i))
		}
		q, err := x.Queue(context.Background(), eventbus.SubscribeConfig[int]{From: eventbus.Oldest})
		require.NoError(t, err)
		go b.Close(context.Background())
		synctest.Wait()
		var got []int64
		for e, err := range q.Events(context.Background()) {
			require.NoError(t, err)
			got = append(got, e.Seq)
		}
		require.Equal(t, []int64{16, 17, 18, 19, 20, 21, 22, 23, 24, 25}, got)
		<-q.Done()
		fmt.Printf("%+v\n", q.Stats())
	})
}

func BenchmarkAsync(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			bus := eventbus.MustNew(eventbus.Config{})
			topic := eventbus.MustNewTopic[int](bus, "a", eventbus.TopicConfig{})
			for range n {
				topic.Subscribe(context.Background(), func(context.Context, int) error { return nil })
			}
			b.ReportAllocs()
			ctx := context.Background()
			for b.Loop() {
				for range 1000 {
				topic.Publish(ctx, 1)
				}
			}
			bus.Flush(context.Background())
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n*1000), "ns/delivery")
		})
		b.Run(fmt.Sprint("chan", n), func(b *testing.B) {
			var chs []chan int
			var wg sync.WaitGroup
			for range n {
				c := make(chan int, 1024)
				chs = append(chs, c)
				wg.Go(func() { for range c {} })
			}
			b.ReportAllocs()
			for b.Loop() {
				for range 1000 {
				for _, c := range chs { c <- 1 }
				}
			}
			for _, c := range chs { close(c) }
			wg.Wait()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n*1000), "ns/delivery")
		})
	}
}
