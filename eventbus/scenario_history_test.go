package eventbus_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

func TestS14_HistoryThenNewEvents(t *testing.T) {
	cases := map[string]eventbus.SubscribeConfig[int]{
		"ring":    {},
		"mailbox": {Filter: func(int) bool { return true }},
	}
	bubbles(t, cases, func(t *testing.T, cfg eventbus.SubscribeConfig[int]) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{History: 10})
		publish(t, x, ints(1, 25)...)
		cfg.From = eventbus.Oldest
		j, _ := subscribe(t, x, cfg)
		publish(t, x, ints(26, 30)...)
		closed(t, b)
		assert.Equal(t, ints(16, 30), j.data())
		assert.Zero(t, j.lags(), "all that was asked for was there")
	})
}

// The publishers run on outside of any bubble, so that a subscription may be made
// in the midst of a publish.
func TestS14_HistoryWhilePublishersRun(t *testing.T) {
	for _, filter := range []func(int) bool{nil, func(int) bool { return true }} {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{History: 10})
		publish(t, x, ints(1, 25)...)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for i := range 2000 {
					assert.NoError(t, x.Publish(bg, i))
				}
			})
		}
		journals := make([]*journal[int], 50)
		for i := range journals {
			journals[i], _ = subscribe(t, x, eventbus.SubscribeConfig[int]{From: eventbus.Oldest, Filter: filter})
		}
		wg.Wait()
		closed(t, b)
		for i, j := range journals {
			seqs := j.seqs()
			require.GreaterOrEqual(t, len(seqs), 10)
			for k, seq := range seqs {
				require.Equal(t, seqs[0]+int64(k), seq, "subscription %d", i)
			}
			require.EqualValues(t, 4025, seqs[len(seqs)-1])
			require.Zero(t, j.lags())
		}
	}
}

func TestS39_StalledAtItsInstants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var mu sync.Mutex
		var stalls []eventbus.Stall
		var at []time.Duration
		b, x := newTopic[int](t, eventbus.Config{Hooks: eventbus.Hooks{Stalled: func(s eventbus.Stall) {
			mu.Lock()
			defer mu.Unlock()
			stalls, at = append(stalls, s), append(at, time.Since(began))
		}}}, eventbus.TopicConfig{Capacity: 1})
		g, full := stuck(t, x, eventbus.SubscribeConfig[int]{})
		_, _ = subscribe(t, x, eventbus.SubscribeConfig[int]{})
		publish(t, x, 1)
		synctest.Wait()
		publish(t, x, 2)
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Empty(t, at, "nobody waits")

		began = time.Now()
		result := make(chan error, 1)
		go func() { result <- x.Publish(bg, 3) }()
		time.Sleep(39 * time.Second)
		synctest.Wait()
		g.open()
		require.NoError(t, <-result)
		time.Sleep(time.Hour)
		mu.Lock()
		defer mu.Unlock()
		assert.Equal(t, []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second}, at)
		for i, s := range stalls {
			assert.Equal(t, "x", s.Topic)
			assert.Equal(t, 1, s.Waiting)
			assert.Equal(t, at[i], s.For)
			if assert.Len(t, s.Subscriptions, 1) {
				assert.Equal(t, full.Name(), s.Subscriptions[0].Name)
			}
		}
		closed(t, b)
	})
}
