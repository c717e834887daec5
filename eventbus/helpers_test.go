package eventbus_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// bg is the context of everything that needs no other.
var bg = context.Background()

// newTopic makes a bus and a topic x of it: what most tests begin with.
func newTopic[T any](tb testing.TB, cfg eventbus.Config, topic eventbus.TopicConfig) (*eventbus.Bus, *eventbus.Topic[T]) {
	tb.Helper()
	b, err := eventbus.New(cfg)
	require.NoError(tb, err)
	t, err := eventbus.NewTopic[T](b, "x", topic)
	require.NoError(tb, err)
	return b, t
}

// publish publishes all of data, each of which must be accepted.
func publish[T any](tb testing.TB, t *eventbus.Topic[T], data ...T) {
	tb.Helper()
	for _, d := range data {
		require.NoError(tb, t.Publish(bg, d))
	}
}

// closed closes the bus and expects that nothing was left.
func closed(tb testing.TB, b *eventbus.Bus) {
	tb.Helper()
	require.NoError(tb, b.Close(bg))
}

// ints are the numbers from first to last.
func ints(first, last int) []int {
	all := make([]int, 0, last-first+1)
	for i := first; i <= last; i++ {
		all = append(all, i)
	}
	return all
}

// journal is what handlers saw, in the order in which they saw it.
type journal[T any] struct {
	mu     sync.Mutex
	events []eventbus.Event[T]
}

// handle is a handler that writes down its event and succeeds.
func (j *journal[T]) handle(_ context.Context, e eventbus.Event[T]) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
	return nil
}

func (j *journal[T]) all() []eventbus.Event[T] {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.events)
}

func (j *journal[T]) data() []T {
	var all []T
	for _, e := range j.all() {
		all = append(all, e.Data)
	}
	return all
}

func (j *journal[T]) seqs() []int64 {
	var all []int64
	for _, e := range j.all() {
		all = append(all, e.Seq)
	}
	return all
}

// lags sums the lag of all events seen.
func (j *journal[T]) lags() (n uint64) {
	for _, e := range j.all() {
		n += e.Lag
	}
	return n
}

// subscribe adds a subscription that writes into a new journal.
func subscribe[T any](tb testing.TB, t *eventbus.Topic[T], cfg eventbus.SubscribeConfig[T]) (*journal[T], *eventbus.Subscription) {
	tb.Helper()
	j := new(journal[T])
	s, err := t.SubscribeEvents(bg, cfg, j.handle)
	require.NoError(tb, err)
	return j, s
}

// gated is a handler that writes down its event and then waits until the gate
// opens: with it a test holds a worker inside a handler for as long as it likes.
type gated[T any] struct {
	journal[T]
	gate chan struct{}
	once sync.Once
}

func newGated[T any]() *gated[T] { return &gated[T]{gate: make(chan struct{})} }

func (g *gated[T]) handle(ctx context.Context, e eventbus.Event[T]) error {
	_ = g.journal.handle(ctx, e)
	<-g.gate
	return nil
}

// open lets all calls go on, now and from now on.
func (g *gated[T]) open() { g.once.Do(func() { close(g.gate) }) }

// stuck adds a subscription whose handler waits for the gate. It must be made in
// a bubble; call synctest.Wait after the first publish to have the worker inside.
func stuck[T any](tb testing.TB, t *eventbus.Topic[T], cfg eventbus.SubscribeConfig[T]) (*gated[T], *eventbus.Subscription) {
	tb.Helper()
	g := newGated[T]()
	s, err := t.SubscribeEvents(bg, cfg, g.handle)
	require.NoError(tb, err)
	return g, s
}

// accounted checks G14's account of a subscription that covered n events.
func accounted(tb testing.TB, n int, s *eventbus.Subscription) {
	tb.Helper()
	st := s.Stats()
	sum := st.Handled + st.Failed + st.Filtered + st.Lagged + st.Discarded + uint64(st.Depth) + uint64(st.Running) //nolint:gosec // neither is negative
	assert.EqualValues(tb, n, sum, "account of %+v", st)
}

// bubbles runs a test once for each case, each in a bubble and subtest of its own.
func bubbles[C any](t *testing.T, cases map[string]C, f func(*testing.T, C)) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { f(t, c) }) })
	}
}
