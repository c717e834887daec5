package eventbus_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// A churn is a topic of a random kind on which publishers, subscriptions of every
// kind, cancels, drains and flushes meet, until the bus is closed. It holds what
// must be true of any such history: G1, G2, G7, G14, G20, G22 and G34.
type churn struct {
	t     *testing.T
	unit  time.Duration // what a step takes
	pause func(steps int)
	bus   *eventbus.Bus
	topic *eventbus.Topic[int]
	dead  *eventbus.Topic[eventbus.Failure]
	cfg   eventbus.TopicConfig

	accepted atomic.Int64
	wg       sync.WaitGroup

	mu   sync.Mutex
	rng  *rand.Rand
	subs []*churnSub
}

// A churnSub is a subscription and what its handler or readers saw.
type churnSub struct {
	*eventbus.Subscription
	seqs               []int64
	lag                uint64
	ordered, once, all bool // all: no filter
}

func newChurn(t *testing.T, seed uint64, unit time.Duration, pause func(int)) *churn {
	c := &churn{t: t, unit: unit, pause: pause, rng: rand.New(rand.NewPCG(seed, 1)), bus: eventbus.MustNew(eventbus.Config{})}
	c.dead = eventbus.MustNewTopic[eventbus.Failure](c.bus, "dead", eventbus.TopicConfig{})
	c.cfg = eventbus.TopicConfig{Capacity: pick(c, 0, 1, 5, 64, -1), History: pick(c, 0, 0, 1, 50)}
	if c.cfg.Sync = pick(c, 0, 1, 2, 3, 4) == 0; c.cfg.Sync {
		c.cfg.Capacity, c.cfg.History = 0, 0
	}
	c.topic = eventbus.MustNewTopic[int](c.bus, "t", c.cfg)
	return c
}

func pick[T any](c *churn, from ...T) T {
	c.mu.Lock()
	defer c.mu.Unlock()
	return from[c.rng.IntN(len(from))]
}

func (c *churn) config(s *churnSub, queue bool) eventbus.SubscribeConfig[int] {
	var cfg eventbus.SubscribeConfig[int]
	if !c.cfg.Sync || queue {
		cfg.OnFull = pick(c, eventbus.Block, eventbus.DropOldest, eventbus.DropNewest, eventbus.Fail, eventbus.Disconnect, eventbus.Unbounded)
		cfg.Capacity = pick(c, 0, 1, 3, 40, 100, -1)
		if !queue {
			cfg.Workers = pick(c, 0, 0, 0, 3)
		}
	}
	if !c.cfg.Sync {
		cfg.From = pick(c, 0, 0, 1, -5, eventbus.Oldest, 30)
	}
	if s.all = pick(c, true, true, true, false); !s.all {
		cfg.Filter = func(i int) bool { return i%3 != 0 }
	}
	if cfg.Workers > 1 {
		cfg.Key = func(i int) string { return fmt.Sprint(i % 4) }
	} else {
		s.once = pick(c, true, false, false, false, false, false, false)
		cfg.Once = s.once
		s.ordered = !c.cfg.Sync
	}
	return cfg
}

// saw records an event and takes a while to handle it.
func (c *churn) saw(s *churnSub, e eventbus.Event[int], delay int) {
	c.mu.Lock()
	s.seqs = append(s.seqs, e.Seq)
	s.lag += e.Lag
	c.mu.Unlock()
	c.pause(delay)
}

func (c *churn) subscribe() {
	s, queue := new(churnSub), pick(c, true, false, false, false)
	cfg := c.config(s, queue)
	delay := pick(c, 0, 1, 2)
	var err error
	if queue {
		var q *eventbus.Queue[int]
		if q, err = c.topic.Queue(context.Background(), cfg); err == nil {
			s.Subscription = q.Subscription
			readers := pick(c, 1, 2)
			s.ordered = s.ordered && readers == 1
			for range readers {
				c.wg.Go(func() {
					for e, err := range q.Events(context.Background()) {
						if err != nil {
							return
						}
						c.saw(s, e, delay)
					}
				})
			}
		}
	} else {
		if pick(c, true, false, false) {
			cfg.DeadLetter = c.dead
		}
		s.Subscription, err = c.topic.SubscribeEvents(context.Background(), cfg, func(_ context.Context, e eventbus.Event[int]) error {
			c.saw(s, e, delay)
			switch e.Seq % 50 {
			case 0:
				panic("the handler fails")
			case 1:
				return errors.New("the handler fails")
			}
			return nil
		})
	}
	if errors.Is(err, eventbus.ErrClosed) {
		return
	}
	assert.NoError(c.t, err)
	c.mu.Lock()
	c.subs = append(c.subs, s)
	c.mu.Unlock()
}

func (c *churn) publish(p int) {
	for i := range 100 {
		n := 1
		var err error
		switch pick(c, 0, 1, 2, 3, 3, 3, 3, 3, 3, 3) {
		case 0:
			err = c.topic.TryPublish(context.Background(), p*1000+i)
		case 1:
			ctx, cancel := context.WithTimeout(context.Background(), c.unit)
			err = c.topic.Publish(ctx, p*1000+i)
			cancel()
		case 2:
			n, err = c.topic.PublishBatch(context.Background(), make([]int, 1+i%7))
			c.accepted.Add(int64(n))
			n = 0
		default:
			err = c.topic.Publish(context.WithValue(context.Background(), c, i), p*1000+i)
		}
		if err == nil {
			c.accepted.Add(int64(n))
		}
		if i%20 == 0 {
			c.pause(1)
		}
	}
}

func (c *churn) meddle() {
	for range 5 {
		c.pause(2)
		c.mu.Lock()
		subs := c.subs
		c.mu.Unlock()
		switch s := pick(c, subs...); pick(c, 0, 0, 1, 2, 3) {
		case 0:
			c.subscribe()
		case 1:
			s.Cancel()
		case 2:
			ctx, cancel := context.WithTimeout(context.Background(), 5*c.unit)
			_ = s.Drain(ctx) // both outcomes are right
			cancel()
		case 3:
			ctx, cancel := context.WithTimeout(context.Background(), 50*c.unit)
			_ = c.bus.Flush(ctx) // as above
			cancel()
		}
	}
}

func (c *churn) run() {
	for range pick(c, 1, 2, 3) {
		c.subscribe()
	}
	for p := range 3 {
		c.wg.Go(func() { c.publish(p) })
	}
	c.wg.Go(c.meddle)
	c.pause(20)
	ctx, cancel := context.WithTimeout(context.Background(), pick(c, 20*c.unit, 20_000*c.unit))
	err := c.bus.Close(ctx)
	cancel()
	if err != nil {
		var drain *eventbus.DrainError
		assert.ErrorAs(c.t, err, &drain)
	}
	c.wg.Wait()
	for _, s := range c.subs {
		<-s.Done()
		c.check(s)
	}
	if !c.cfg.Sync { // there, errors of handlers are those of publishes
		assert.Equal(c.t, c.accepted.Load(), c.topic.Stats().Seq, "every accepted event has a Seq, no refused one")
	}
}

func (c *churn) check(s *churnSub) {
	st := s.Stats()
	assert.Zero(c.t, st.Depth+st.Running, "%+v", st)
	if s.all {
		assert.EqualValues(c.t, len(s.seqs), st.Handled+st.Failed, "%+v", st)
	}
	assert.LessOrEqual(c.t, s.lag, st.Lagged, "%+v", st)
	if s.once {
		assert.LessOrEqual(c.t, len(s.seqs), 1, "%+v", st)
	}
	for i := 1; s.ordered && i < len(s.seqs); i++ {
		require.Greater(c.t, s.seqs[i], s.seqs[i-1], "%+v", st)
	}
}

func TestG14_G34_Churn(t *testing.T) {
	const unit = time.Millisecond
	for seed := range uint64(2000) {
		synctest.Test(t, func(t *testing.T) {
			newChurn(t, seed, unit, func(n int) { time.Sleep(time.Duration(n) * unit) }).run()
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// Outside a bubble goroutines get into each other's way at other places, and the
// race detector has more to see. There a pause is some turns of the scheduler.
func TestG14_G34_ChurnOutsideBubble(t *testing.T) {
	pause := func(steps int) {
		for range 50 * steps {
			runtime.Gosched()
		}
	}
	for seed := range uint64(100) {
		newChurn(t, 1_000_000+seed, 100*time.Microsecond, pause).run()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
