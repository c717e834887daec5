package eventbus_test

import (
	"context"
	"maps"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// Defects, seen in the libraries named, of publishing and of the end.

// kelindar/event, ThreeDotsLabs/watermill's gochannel, tailscale: what was
// accepted just before Close arrives in part or not at all, later publishes are
// swallowed or hang, and a second Close panics.
func TestTrap_closeLosesWhatWasAccepted(t *testing.T) {
	for range 20 {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		ring, _ := subscribe(t, x, eventbus.SubscribeConfig[int]{})
		box, _ := subscribe(t, x, eventbus.SubscribeConfig[int]{Filter: all})
		publish(t, x, ints(1, 1000)...)
		closed(t, b)
		closed(t, b)
		assert.Equal(t, ints(1, 1000), ring.data())
		assert.Equal(t, ints(1, 1000), box.data())
		require.ErrorIs(t, x.Publish(bg, 1), eventbus.ErrClosed)
	}
}

// watermill's gochannel, jilio/ebu: a goroutine for every event, which loses the
// order and knows no bound, even where the handler is stuck.
func TestTrap_aGoroutineForEveryEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		g, _ := stuck(t, x, eventbus.SubscribeConfig[int]{})
		base := runtime.NumGoroutine()
		publish(t, x, ints(1, 1000)...)
		synctest.Wait()
		assert.LessOrEqual(t, runtime.NumGoroutine(), base) // less if one of an earlier test has just ended
		g.open()
		closed(t, b)
		assert.Equal(t, ints(1, 1000), g.data())
	})
}

// watermill's gochannel: a failure is delivered again at once, 161,000 times a
// second. Here a retry waits, and without Retry there is none.
func TestTrap_redeliveryWithoutPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		calls := 0
		s, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Retry: eventbus.Retry{Attempts: -1}}, func(context.Context, int) error {
			calls++
			return assert.AnError
		})
		require.NoError(t, err)
		publish(t, x, 1)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, 10, calls, "0.1, 0.2, 0.4 ... 25.6 seconds after each other")
		s.Cancel()
		closed(t, b)
	})
}

// asaskevich/EventBus, watermill's gochannel, cskr/pubsub, maniartech/signals with
// more than 16 handlers, samber/ro: what publishes, subscribes or unsubscribes
// inside a handler deadlocks.
func TestTrap_nestedInAHandler(t *testing.T) {
	for name, topic := range map[string]eventbus.TopicConfig{"queued": {}, "sync": {Sync: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, topic)
				var mu sync.Mutex
				handled := 0
				for range 40 {
					var self *eventbus.Subscription
					ready := make(chan struct{})
					self, err := x.Subscribe(bg, func(ctx context.Context, depth int) error {
						<-ready
						mu.Lock()
						handled++
						mu.Unlock()
						if depth == 0 {
							return nil
						}
						other, err := x.Subscribe(ctx, func(context.Context, int) error { return nil })
						assert.NoError(t, err)
						other.Cancel()
						self.Cancel()
						return x.Publish(ctx, depth-1)
					})
					require.NoError(t, err)
					close(ready)
				}
				require.NoError(t, x.Publish(bg, 2))
				synctest.Wait()
				closed(t, b)
				assert.GreaterOrEqual(t, handled, 40)
			})
		})
	}
}

// kelindar/event, libp2p, leandro-lugaresi/hub: a full queue stops the publishers
// and subscribers of everything else, because a lock is held meanwhile.
func TestTrap_aFullQueueStopsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 1})
		full, err := x.Queue(bg, eventbus.SubscribeConfig[int]{})
		require.NoError(t, err)
		publish(t, x, 1)
		waits := make(chan error, 1)
		go func() { waits <- x.Publish(bg, 2) }()
		synctest.Wait()
		y := eventbus.MustNewTopic[int](b, "y", eventbus.TopicConfig{})
		j, s := subscribe(t, y, eventbus.SubscribeConfig[int]{})
		publish(t, y, 1)
		_, other := subscribe(t, x, eventbus.SubscribeConfig[int]{})
		other.Cancel()
		<-other.Done()
		require.NoError(t, s.Drain(bg))
		assert.Equal(t, []int{1}, j.data())
		full.Cancel() // not behind the publisher that waits for it
		require.NoError(t, <-waits)
		closed(t, b)
	})
}

// leandro-lugaresi/hub: a full topic alerts about itself until the stack
// overflows. A hook that publishes to the topic it is told about ends somewhere.
func TestTrap_anAlertAboutItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var x *eventbus.Topic[int]
		depth, most, told := 0, 0, 0
		b, x := newTopic[int](t, eventbus.Config{Hooks: eventbus.Hooks{Dropped: func(eventbus.Drop) {
			depth++
			most = max(most, depth)
			if told++; told < 10_000 {
				_ = x.TryPublish(bg, 0)
			}
			depth--
		}}}, eventbus.TopicConfig{})
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{OnFull: eventbus.DropNewest, Capacity: 1})
		require.NoError(t, err)
		publish(t, x, 1, 2)
		assert.Equal(t, 10_000, told)
		assert.Equal(t, 1, most, "one after another, not inside one another")
		q.Cancel()
		closed(t, b)
	})
}

// leandro-lugaresi/hub: publishing changes the map of the caller.
func TestTrap_theCallersMap(t *testing.T) {
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
	_, _ = subscribe(t, x, eventbus.SubscribeConfig[int]{})
	header := map[string]string{"a": "1"}
	require.NoError(t, x.PublishWith(bg, eventbus.PublishConfig{Header: header, Key: "k"}, 1))
	assert.Equal(t, map[string]string{"a": "1"}, header)
	closed(t, b)
}

// tokio's broadcast: publishing fails because nobody listens yet. guava: an event
// that nobody wants is an event of its own, without a cause.
func TestTrap_nobodyListensYet(t *testing.T) {
	b := eventbus.MustNew(eventbus.Config{})
	dead := eventbus.MustNewTopic[eventbus.Failure](b, "dead", eventbus.TopicConfig{})
	j, _ := subscribe(t, dead, eventbus.SubscribeConfig[eventbus.Failure]{})
	x := eventbus.MustNewTopic[int](b, "x", eventbus.TopicConfig{DeadLetter: dead})
	require.NoError(t, x.Publish(bg, 1))
	closed(t, b)
	require.ErrorIs(t, j.data()[0].Err, eventbus.ErrNoSubscriber)
}

// By hand: a handler that runs after the request gets the context of the request,
// which is over by then.
func TestTrap_theContextOfTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		var err error
		gate := make(chan struct{})
		_, serr := x.Subscribe(bg, func(ctx context.Context, _ int) error {
			<-gate
			err = ctx.Err()
			return nil
		})
		require.NoError(t, serr)
		request, done := context.WithCancel(bg)
		require.NoError(t, x.Publish(request, 1))
		done()
		close(gate)
		closed(t, b)
		assert.NoError(t, err)
	})
}

// By hand: the one subscription too many is noticed when half of them have got the
// event.
func TestTrap_halfOfThemHaveIt(t *testing.T) {
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
	var roomy []*eventbus.Queue[int]
	add := func(cfg eventbus.SubscribeConfig[int]) *eventbus.Queue[int] {
		q, err := x.Queue(bg, cfg)
		require.NoError(t, err)
		return q
	}
	for i := range 10 {
		cfg := eventbus.SubscribeConfig[int]{}
		if i%2 == 0 {
			cfg.Filter = all
		}
		roomy = append(roomy, add(cfg))
		if i == 5 {
			add(eventbus.SubscribeConfig[int]{OnFull: eventbus.Fail, Capacity: 1, Filter: all})
		}
	}
	publish(t, x, 1)
	require.ErrorIs(t, x.Publish(bg, 2), eventbus.ErrFull)
	for _, q := range roomy {
		assert.Equal(t, 1, q.Stats().Depth)
	}
	ended, cancel := context.WithCancel(bg)
	cancel()
	require.Error(t, b.Close(ended))
}

// mustafaturan/bus: publishing races with subscribing, whose list is changed in
// place. The race detector is the judge.
func TestTrap_listsChangedInPlace(t *testing.T) {
	for _, sync := range []bool{false, true} {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Sync: sync})
		together(
			func() {
				for i := range 2000 {
					assert.NoError(t, x.Publish(bg, i))
				}
			},
			func() {
				for range 300 {
					s, err := x.Subscribe(bg, func(context.Context, int) error { return nil })
					assert.NoError(t, err)
					s.Cancel()
				}
			},
			func() {
				for range 300 {
					_ = x.Stats()
					_ = slices.Collect(b.Topics())
				}
			},
		)
		closed(t, b)
	}
}

func together(fs ...func()) {
	var wg sync.WaitGroup
	for _, f := range fs {
		wg.Go(f)
	}
	wg.Wait()
}

// asaskevich/EventBus: the type of an event shows when it is published, as a panic.
// Here two types of one name do not compile, or are refused when the topic is made.
func TestTrap_typesThatShowTooLate(t *testing.T) {
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
	_, err := eventbus.NewTopic[map[string]int](b, "x", eventbus.TopicConfig{})
	require.ErrorIs(t, err, eventbus.ErrTopicType)
	publish(t, x, 1)
	closed(t, b)
	assert.Empty(t, maps.Collect(eventbus.Event[int]{}.Headers()))
}
