package eventbus_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// Publishers wait without an end of their own while subscriptions of all kinds
// come, lag and go. As long as everybody who is there takes events, each of them
// is let in some time: whoever is forgotten leaves the bubble blocked. The bus is
// closed only when all are through, because that would release them.
func TestG8_NobodyIsForgotten(t *testing.T) {
	seeds := uint64(3000)
	if raceEnabled || testing.Short() {
		seeds = 300
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) { crowd(t, rand.New(rand.NewPCG(seed, 8))) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func crowd(t *testing.T, rng *rand.Rand) {
	var mu sync.Mutex
	draw := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return rng.IntN(n)
	}
	pause := func() { time.Sleep(time.Duration(draw(4)) * time.Millisecond) }
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 1 + draw(4), History: 5 * draw(2)})

	var readers sync.WaitGroup
	subscribe := func() *eventbus.Subscription {
		cfg := eventbus.SubscribeConfig[int]{
			Capacity: 1 + draw(4), OnFull: eventbus.Overflow(max(0, draw(9)-3)), //nolint:gosec // below 6, and often Block
			From: []int64{0, 0, eventbus.Oldest}[draw(3)],
		}
		if draw(3) == 0 {
			cfg.Filter = func(i int) bool { return i%3 != 0 }
		}
		if draw(4) == 0 {
			q, err := x.Queue(bg, cfg)
			require.NoError(t, err)
			readers.Go(func() {
				for _, err := range q.Events(bg) {
					if err != nil {
						return
					}
					pause()
				}
			})
			return q.Subscription
		}
		cfg.Workers = draw(3)
		s, err := x.SubscribeWith(bg, cfg, func(context.Context, int) error {
			pause()
			return nil
		})
		require.NoError(t, err)
		return s
	}
	var subs []*eventbus.Subscription
	for range 3 {
		subs = append(subs, subscribe())
	}
	published := func(err error) {
		if err != nil {
			assert.ErrorIs(t, err, eventbus.ErrFull)
		}
	}
	var wg sync.WaitGroup
	for p := range 4 {
		wg.Go(func() {
			for i := range 20 {
				switch draw(4) {
				case 0:
					data := ints(i, i+draw(9))
					n, err := x.PublishBatch(bg, data)
					published(err)
					assert.Equal(t, err == nil, n == len(data))
				case 1:
					ctx, cancel := context.WithTimeout(bg, time.Millisecond)
					_ = x.Publish(ctx, i) // some give up
					cancel()
				default:
					published(x.Publish(bg, 100*p+i))
				}
			}
		})
	}
	wg.Go(func() {
		for range 15 {
			pause()
			i := draw(len(subs))
			switch s := subs[i]; draw(3) {
			case 0:
				s.Cancel()
			case 1:
				assert.NoError(t, s.Drain(bg))
			default:
			}
			if draw(2) == 0 {
				subs[i] = subscribe()
			}
		}
	})
	wg.Wait()
	assert.Zero(t, x.Stats().Waiting)
	closed(t, b)
	readers.Wait()
}
