package eventbus_test

import (
	"context"
	"fmt"
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

// A witness is a subscription that checks what it sees while it sees it: only sums
// are kept, so that it can see ten million events.
type witness struct {
	name string
	sub  *eventbus.Subscription

	seen      uint64
	lag       uint64
	digest    uint64 // of all data in order
	firstSeq  int64
	lastSeq   int64
	last      [publishers]int64 // of each publisher
	faults    atomic.Int64
	whole     bool // from the first event on
	lossless  bool
	unordered bool
}

const publishers = 8

// stamped is the i-th event of a publisher.
func stamped(publisher, i int) int64 { return int64(publisher)<<40 | int64(i) }

func (w *witness) data(d int64) {
	p, i := d>>40, d&(1<<40-1)
	if w.unordered {
		w.seen++
		return
	}
	if i <= w.last[p] {
		w.faults.Add(1)
	}
	w.last[p] = i
	w.seen++
	w.digest = w.digest*1_099_511_628_211 + uint64(d) //nolint:gosec // bits
}

func (w *witness) event(e eventbus.Event[int64]) {
	if !w.unordered {
		switch {
		case w.firstSeq == 0:
			w.firstSeq = e.Seq
		case e.Seq != w.lastSeq+1+int64(e.Lag): //nolint:gosec // small
			w.faults.Add(1) // a gap that is not told, or a lag that is none
		}
		w.lastSeq = e.Seq
	}
	w.lag += e.Lag
	w.data(e.Data)
}

// oracle is the work of QUALITY C1: publishers, witnesses of every kind, and
// subscriptions that come and go, all at once and outside of any bubble.
func oracle(t *testing.T, perPublisher, churns int) {
	b := eventbus.MustNew(eventbus.Config{})
	x := eventbus.MustNewTopic[int64](b, "x", eventbus.TopicConfig{})
	var all []*witness
	add := func(name string, cfg eventbus.SubscribeConfig[int64], events bool) *witness {
		w := &witness{name: name, lossless: cfg.OnFull == eventbus.Block, unordered: cfg.Workers > 1}
		var err error
		switch {
		case w.unordered:
			var mu sync.Mutex
			w.sub, err = x.SubscribeWith(bg, cfg, func(_ context.Context, d int64) error {
				mu.Lock()
				defer mu.Unlock()
				w.data(d)
				return nil
			})
		case events:
			w.sub, err = x.SubscribeEvents(bg, cfg, func(_ context.Context, e eventbus.Event[int64]) error {
				w.event(e)
				return nil
			})
		default:
			w.sub, err = x.SubscribeWith(bg, cfg, func(_ context.Context, d int64) error {
				w.data(d)
				return nil
			})
		}
		require.NoError(t, err)
		return w
	}
	passing := func(int64) bool { return true }
	for i, cfg := range []eventbus.SubscribeConfig[int64]{
		{},
		{},
		{},
		{},
		{Capacity: 100},
		{Capacity: 1000},
		{Filter: passing},
		{Capacity: 5000},
		{OnFull: eventbus.DropOldest},
		{OnFull: eventbus.DropOldest, Capacity: 7},
		{OnFull: eventbus.DropNewest},
		{OnFull: eventbus.DropNewest, Capacity: 7},
		{Workers: 2},
		{Filter: passing, OnFull: eventbus.DropOldest},
		{OnFull: eventbus.Unbounded, Capacity: -1},
		{},
	} {
		w := add(fmt.Sprintf("%d %v %d", i, cfg.OnFull, cfg.Capacity), cfg, i%2 == 0)
		w.whole = true
		all = append(all, w)
	}

	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := 1; i <= perPublisher; {
				if i%1000 == 0 && i+10 < perPublisher {
					batch := make([]int64, 10)
					for j := range batch {
						batch[j] = stamped(p, i+j)
					}
					if n, err := x.PublishBatch(bg, batch); err != nil || n != len(batch) {
						t.Errorf("batch: %d, %v", n, err)
					}
					i += len(batch)
					continue
				}
				if err := x.Publish(bg, stamped(p, i)); err != nil {
					t.Error(err)
				}
				i++
			}
		})
	}
	published := uint64(publishers * perPublisher) //nolint:gosec // not negative
	for i := range churns {
		w := add("churn", eventbus.SubscribeConfig[int64]{Capacity: 1 + i%50}, true)
		if i%2 == 0 {
			w.sub.Cancel()
			<-w.sub.Done()
		} else {
			require.NoError(t, w.sub.Drain(bg))
		}
		st := w.sub.Stats()
		assert.Zero(t, w.faults.Load(), "churn %d", i)
		assert.Equal(t, w.seen, st.Handled)
		if i%2 == 1 {
			assert.Zero(t, st.Discarded)
		}
	}
	wg.Wait()
	require.NoError(t, b.Close(bg))
	assert.EqualValues(t, published, x.Stats().Seq)
	var digest uint64
	for _, w := range all {
		<-w.sub.Done()
		st := w.sub.Stats()
		assert.Zero(t, w.faults.Load(), w.name)
		assert.Equal(t, w.seen, st.Handled, w.name)
		assert.Equal(t, published, st.Handled+st.Lagged, w.name)
		assert.LessOrEqual(t, w.lag, st.Lagged, w.name)
		assert.Zero(t, st.Depth+st.Running, w.name)
		if !w.lossless || w.unordered {
			continue
		}
		assert.Equal(t, published, w.seen, w.name)
		if digest == 0 {
			digest = w.digest
		}
		assert.Equal(t, digest, w.digest, "%s: one order for all", w.name)
	}
}

// G1, G2, G6, G13, G14, G22: per-publisher order, one total order, nothing lost or
// doubled where nothing may be, and exact sums where something may.
func TestOracle(t *testing.T) {
	events, churns := 10_000_000, 1000
	if raceEnabled || testing.Short() || runtime.GOARCH == "386" {
		events, churns = 200_000, 200
	}
	oracle(t, events/publishers, churns)
}

// C2, G34: whatever goes on when Close comes, from wherever it is called, nothing
// is delivered after it returned, it gives one result, and no goroutine is left.
func TestG34_NothingAfterClose(t *testing.T) {
	for round := range 200 {
		synctest.Test(t, func(t *testing.T) {
			b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 1 + round%7})
			var over atomic.Bool
			handler := func(ctx context.Context, i int) error {
				assert.False(t, over.Load(), "a call after Close returned")
				if i == 50 && round%3 == 0 {
					return b.Close(ctx)
				}
				time.Sleep(time.Duration(i%5) * time.Millisecond)
				return nil
			}
			for _, k := range queuedKinds[:7] {
				k.subscribe(t, b, x, nil, handler)
			}
			for p := range 3 {
				go func() {
					for i := range 100 {
						if err := x.Publish(bg, i); err != nil {
							assert.ErrorIs(t, err, eventbus.ErrClosed)
							return
						}
						if p == 0 {
							time.Sleep(time.Millisecond)
						}
					}
				}()
			}
			time.Sleep(time.Duration(round) * time.Millisecond)
			ctx, cancel := context.WithTimeout(bg, time.Hour)
			defer cancel()
			results := make(chan error, 2)
			for range 2 {
				go func() { results <- b.Close(ctx) }()
			}
			require.NoError(t, <-results)
			over.Store(true)
			require.NoError(t, <-results)
			time.Sleep(time.Hour)
		}) // which fails if a goroutine is left
	}
}
