package eventbus_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// A graph is topics with small queues whose handlers publish to other topics.
type graph struct {
	bus    *eventbus.Bus
	rng    *rand.Rand
	topics []*eventbus.Topic[int]

	refused, handled atomic.Int64
}

// newGraph has handlers publish, with one less than they got, to the topics that
// an edge leads to. At zero they stop.
func newGraph(t *testing.T, seed uint64, topics int, edge func(from, to int) bool) *graph {
	g := &graph{bus: eventbus.MustNew(eventbus.Config{}), rng: rand.New(rand.NewPCG(seed, 2))}
	for i := range topics {
		g.topics = append(g.topics, eventbus.MustNewTopic[int](g.bus, fmt.Sprint("t", i), eventbus.TopicConfig{Capacity: 1 + g.rng.IntN(2)}))
	}
	for i, topic := range g.topics {
		for range 1 + g.rng.IntN(2) {
			var next []*eventbus.Topic[int]
			for j, to := range g.topics {
				if edge(i, j) && g.rng.IntN(3) == 0 {
					next = append(next, to)
				}
			}
			_, err := topic.SubscribeWith(context.Background(), eventbus.SubscribeConfig[int]{Workers: g.rng.IntN(3)},
				func(ctx context.Context, v int) error { return g.pass(t, ctx, v, next) })
			require.NoError(t, err)
		}
	}
	if g.rng.IntN(2) == 0 {
		var next []*eventbus.Topic[int]
		if edge(topics, 0) {
			next = g.topics[:1]
		}
		_, err := eventbus.SubscribePattern(context.Background(), g.bus, ">", eventbus.SubscribeConfig[int]{Capacity: 1},
			func(ctx context.Context, e eventbus.Event[int]) error { return g.pass(t, ctx, e.Data, next) })
		require.NoError(t, err)
	}
	return g
}

func (g *graph) pass(t *testing.T, ctx context.Context, v int, next []*eventbus.Topic[int]) error {
	g.handled.Add(1)
	if v%3 == 0 {
		time.Sleep(time.Millisecond)
	}
	if v == 0 {
		return nil
	}
	for _, to := range next {
		if err := to.Publish(ctx, v-1); err != nil {
			g.refused.Add(1)
			var e *eventbus.Error
			if assert.ErrorAs(t, err, &e) && assert.ErrorIs(t, err, eventbus.ErrWouldDeadlock) {
				assert.NotEmpty(t, e.Cycle)
				assert.Equal(t, to.Name(), e.Cycle[0])
			}
		}
	}
	return nil
}

// run publishes from several goroutines, and must come to its end.
func (g *graph) run(t *testing.T, publishers, each int) {
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				assert.NoError(t, g.topics[(p*i)%len(g.topics)].Publish(context.Background(), 5))
			}
		})
	}
	wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	// What is accepted after a Flush began is none of its business, so there
	// are as many as the longest way.
	for range len(g.topics) + 5 {
		require.NoError(t, g.bus.Flush(ctx))
	}
	require.NoError(t, g.bus.Close(ctx))
	require.False(t, errors.Is(context.Cause(ctx), context.DeadlineExceeded))
}

func TestG27_CyclesNeverHang(t *testing.T) {
	var refused int64
	for seed := range uint64(1000) {
		synctest.Test(t, func(t *testing.T) {
			g := newGraph(t, seed, 4, func(int, int) bool { return true })
			g.run(t, 2, 3)
			refused += g.refused.Load()
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	require.Positive(t, refused, "there were deadlocks to be found")
}

func TestG27_NoFalseAlarmWithoutCycle(t *testing.T) {
	for seed := range uint64(500) {
		synctest.Test(t, func(t *testing.T) {
			g := newGraph(t, seed, 6, func(from, to int) bool { return from < to })
			g.run(t, 3, 20)
			require.Zero(t, g.refused.Load())
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
