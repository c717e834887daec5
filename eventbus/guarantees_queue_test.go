package eventbus_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// Readers of all sorts share a Queue: each event goes to one of them, each reader
// sees a part in order, and nothing is lost or seen twice.
func TestG25_EachEventGoesToOneReader(t *testing.T) {
	const events = 20_000
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 100})
			q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Filter: q.filter})
			require.NoError(t, err)
			seen := make([][]int, 6)
			var wg sync.WaitGroup
			for i := range seen {
				wg.Go(func() {
					switch i % 3 {
					case 0:
						for {
							e, err := q.Next(bg)
							if err != nil {
								assert.ErrorIs(t, err, eventbus.ErrClosed)
								return
							}
							seen[i] = append(seen[i], e.Data)
						}
					case 1: // loops that are left and begun again
						for done := false; !done; {
							n := 0
							done = true
							for e, err := range q.Events(bg) {
								assert.NoError(t, err)
								seen[i] = append(seen[i], e.Data)
								if n++; n == 50 {
									done = false
									break
								}
							}
						}
					case 2:
						for e := range q.Chan() {
							seen[i] = append(seen[i], e.Data)
						}
					}
				})
			}
			for i := range events {
				require.NoError(t, x.Publish(bg, i))
			}
			closed(t, b)
			wg.Wait()
			var all []int
			for _, s := range seen {
				assert.True(t, slices.IsSorted(s), "one reader sees them in order")
				all = append(all, s...)
			}
			slices.Sort(all)
			assert.Equal(t, ints(0, events-1), all)
			assert.EqualValues(t, events, q.Stats().Handled)
			accounted(t, events, q.Subscription)
		})
	}
}

// An event is being handled until its reader comes back.
func TestG25_HandledWhenTheReaderComesBack(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
				q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Capacity: 100, Filter: q.filter})
				require.NoError(t, err)
				publish(t, x, 1, 2, 3)
				check := func(handled, running, depth int) {
					t.Helper()
					st := q.Stats()
					assert.Equal(t, []int{handled, running, depth}, []int{int(st.Handled), st.Running, st.Depth})
				}
				check(0, 0, 3)
				_, err = q.Next(bg)
				require.NoError(t, err)
				check(0, 1, 2)
				_, err = q.Next(bg)
				require.NoError(t, err)
				check(1, 1, 1)
				for _, err := range q.Events(bg) {
					require.NoError(t, err)
					check(2, 1, 0)
					break // which is coming back
				}
				check(3, 0, 0)
				ctx, cancel := context.WithTimeout(bg, time.Second)
				defer cancel()
				_, err = q.Next(ctx)
				assert.Equal(t, context.DeadlineExceeded, err)
				require.NoError(t, b.Flush(bg))
				closed(t, b)
			})
		})
	}
}

// A Queue that nobody reads holds up publishers like any other, and wakes them.
func TestG25_UnreadItHoldsPublishersUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 2})
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{})
		require.NoError(t, err)
		publish(t, x, 1, 2)
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		require.ErrorIs(t, x.Publish(ctx, 3), context.DeadlineExceeded)
		_, err = q.Next(bg)
		require.NoError(t, err)
		publish(t, x, 3)
		q.Cancel()
		_, err = q.Next(bg)
		require.ErrorIs(t, err, eventbus.ErrClosed)
		closed(t, b)
	})
}

// What the end looks like to a reader, orderly or not.
func TestG25_TheEndForAReader(t *testing.T) {
	for _, q := range queues {
		for name, c := range map[string]struct {
			end  func(*eventbus.Topic[int], *eventbus.Queue[int], context.CancelCauseFunc)
			want error // of Next; a loop has no pair for ErrClosed
		}{
			"Cancel": {func(_ *eventbus.Topic[int], q *eventbus.Queue[int], _ context.CancelCauseFunc) { q.Cancel() }, eventbus.ErrClosed},
			"context": {func(_ *eventbus.Topic[int], _ *eventbus.Queue[int], cancel context.CancelCauseFunc) {
				cancel(assert.AnError)
			}, assert.AnError},
			"Disconnect": {func(x *eventbus.Topic[int], _ *eventbus.Queue[int], _ context.CancelCauseFunc) {
				_, err := x.PublishBatch(bg, ints(1, 5))
				assert.NoError(t, err)
			}, eventbus.ErrFull},
		} {
			t.Run(name+", "+q.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 10})
					ctx, cancel := context.WithCancelCause(bg)
					defer cancel(nil)
					var queues [3]*eventbus.Queue[int]
					for i := range queues {
						var err error
						queues[i], err = x.Queue(ctx, eventbus.SubscribeConfig[int]{OnFull: eventbus.Disconnect, Capacity: 4, Filter: q.filter})
						require.NoError(t, err)
					}
					ended := make(chan error, 2)
					if name != "Disconnect" { // they wait while it ends
						go func() {
							_, err := queues[0].Next(bg)
							ended <- err
						}()
						go func() {
							var last error
							for _, err := range queues[1].Events(bg) {
								last = err
							}
							ended <- last
						}()
						synctest.Wait()
					}
					for _, q := range queues {
						c.end(x, q, cancel)
					}
					synctest.Wait()
					if name != "Disconnect" {
						for range 2 {
							if err := <-ended; err != nil { // the loop has none for ErrClosed
								assert.ErrorIs(t, err, c.want)
							}
						}
					}
					for _, q := range queues {
						<-q.Done()
						_, err := q.Next(bg)
						require.ErrorIs(t, err, c.want)
						var errs []error
						for _, err := range q.Events(bg) {
							errs = append(errs, err)
						}
						if errors.Is(c.want, eventbus.ErrClosed) {
							assert.Empty(t, errs)
							require.NoError(t, q.Err())
						} else {
							require.Len(t, errs, 1)
							require.ErrorIs(t, errs[0], c.want)
							require.ErrorIs(t, q.Err(), c.want)
						}
						_, open := <-q.Chan()
						assert.False(t, open)
					}
					closed(t, b)
				})
			})
		}
	}
}

// The loop over a topic is a subscription for as long as it lasts.
func TestG25_TheLoopIsTheSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		loop := x.Events(bg)
		assert.False(t, x.HasSubscribers(), "not before it begins")
		done := make(chan []int)
		go func() {
			var saw []int
			for e, err := range loop {
				assert.NoError(t, err)
				if saw = append(saw, e.Data); len(saw) == 3 {
					break
				}
			}
			done <- saw
		}()
		synctest.Wait()
		publish(t, x, 1, 2, 3, 4)
		assert.Equal(t, []int{1, 2, 3}, <-done)
		assert.False(t, x.HasSubscribers())

		ctx, cancel := context.WithCancelCause(bg)
		go func() {
			var last error
			for _, err := range x.Events(ctx) {
				last = err
			}
			assert.Equal(t, assert.AnError, last)
			done <- nil
		}()
		synctest.Wait()
		cancel(assert.AnError)
		<-done
		assert.False(t, x.HasSubscribers())
		closed(t, b)
	})
}

// A context that has ended is told before any event.
func TestG25_AnEndedContextReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{})
		require.NoError(t, err)
		publish(t, x, 1)
		ctx, cancel := context.WithCancelCause(bg)
		cancel(assert.AnError)
		_, err = q.Next(ctx)
		assert.Equal(t, assert.AnError, err)
		pairs := 0
		for _, err := range q.Events(ctx) {
			pairs++
			assert.Equal(t, assert.AnError, err)
		}
		assert.Equal(t, 1, pairs)
		e, err := q.Next(bg)
		require.NoError(t, err)
		assert.Equal(t, 1, e.Data, "the queue kept it")
		q.Cancel()
		closed(t, b)
	})
}
