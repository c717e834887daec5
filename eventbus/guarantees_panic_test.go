package eventbus_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// panicked checks that err is the panic with v of this test.
func panicked(t *testing.T, err error, v any) {
	t.Helper()
	var p *eventbus.PanicError
	require.ErrorAs(t, err, &p)
	assert.Equal(t, v, p.Value)
	assert.False(t, p.Goexit)
	assert.Contains(t, string(p.Stack), "_test.go")
	if want, ok := v.(error); ok {
		require.ErrorIs(t, err, want)
	}
}

// The panic of a handler is the failure of its event, whatever event of a batch
// it is; the next one follows.
func TestS19_G18_Handlers(t *testing.T) {
	for _, k := range slices.Concat(queuedKinds[:], syncKinds[:]) {
		var told failures
		k.bus.Hooks.Failed = told.hook
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			sibling, _ := subscribe(t, x, eventbus.SubscribeConfig[int]{})
			var saw []int
			s := k.subscribe(t, b, x, nil, func(_ context.Context, i int) error {
				saw = append(saw, i)
				if i%3 == 0 {
					panic(assert.AnError)
				}
				return nil
			})
			for i := range 10 {
				err := x.Publish(bg, i)
				if k.topic.Sync && i%3 == 0 {
					panicked(t, err, assert.AnError)
				} else {
					require.NoError(t, err)
				}
			}
			closed(t, b)
			assert.Equal(t, ints(0, 9), saw)
			assert.Equal(t, ints(0, 9), sibling.data())
			require.Len(t, told.list(), 4)
			for _, f := range told.list() {
				panicked(t, f.Err, assert.AnError)
			}
			assert.EqualValues(t, 4, s.Stats().Failed)
			accounted(t, 10, s)
		})
	}
}

// Without anybody to tell, a panic is contained all the same.
func TestS19_G18_HandlersUnobserved(t *testing.T) {
	for _, k := range slices.Concat(queuedKinds[:], syncKinds[:]) {
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			calls := 0
			s := k.subscribe(t, b, x, func(c *eventbus.SubscribeConfig[int]) { c.Retry.Attempts, c.Retry.Wait = 2, -1 },
				func(context.Context, int) error {
					calls++
					panic("always")
				})
			for range 5 {
				_ = x.Publish(bg, 1)
			}
			closed(t, b)
			assert.Equal(t, 10, calls)
			assert.EqualValues(t, 5, s.Stats().Failed)
		})
	}
}

// A filter or key function that panics has the event fail for its subscription.
func TestS19_G18_FiltersAndKeys(t *testing.T) {
	pick := func(i int) bool {
		if i == 2 {
			panic("two")
		}
		return true
	}
	cases := map[string]struct {
		topic eventbus.TopicConfig
		cfg   eventbus.SubscribeConfig[int]
	}{
		"filter": {cfg: eventbus.SubscribeConfig[int]{Filter: pick}},
		"key": {cfg: eventbus.SubscribeConfig[int]{Workers: 2, Key: func(i int) string {
			pick(i)
			return "k"
		}}},
		"filter of a Sync topic":   {eventbus.TopicConfig{Sync: true}, eventbus.SubscribeConfig[int]{Filter: pick}},
		"filter asked for history": {eventbus.TopicConfig{History: 2}, eventbus.SubscribeConfig[int]{Filter: pick, From: eventbus.Oldest}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told failures
				b, err := eventbus.New(eventbus.Config{Hooks: eventbus.Hooks{Failed: told.hook}})
				require.NoError(t, err)
				dead := eventbus.MustNewTopic[eventbus.Failure](b, "dead", eventbus.TopicConfig{})
				letters, _ := subscribe(t, dead, eventbus.SubscribeConfig[eventbus.Failure]{})
				x := eventbus.MustNewTopic[int](b, "x", c.topic)
				sibling, _ := subscribe(t, x, eventbus.SubscribeConfig[int]{})
				c.cfg.DeadLetter = dead
				if c.cfg.From != 0 {
					publish(t, x, 1, 2)
				}
				j, s := subscribe(t, x, c.cfg)
				if c.cfg.From == 0 {
					publish(t, x, 1)
					err := x.Publish(bg, 2)
					if c.topic.Sync {
						panicked(t, err, "two")
					} else {
						require.NoError(t, err)
					}
				}
				publish(t, x, 3)
				closed(t, b)
				assert.Equal(t, []int{1, 3}, j.data())
				assert.Equal(t, []int{1, 2, 3}, sibling.data())
				assert.EqualValues(t, 1, s.Stats().Failed)
				accounted(t, 3, s)
				for _, f := range append(told.list(), letters.data()...) {
					panicked(t, f.Err, "two")
					assert.Equal(t, 2, f.Event.Data)
					assert.Zero(t, f.Attempts)
					assert.True(t, f.Final)
					assert.Equal(t, s.Name(), f.Subscription)
				}
				assert.Len(t, told.list(), 1)
				assert.Len(t, letters.data(), 1)
			})
		})
	}
}

// A Delay that panics ends the retries.
func TestS19_G18_Delay(t *testing.T) {
	for _, k := range []kind{queuedKinds[0], syncKinds[0]} {
		var told failures
		k.bus.Hooks.Failed = told.hook
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			calls := 0
			k.subscribe(t, b, x, func(c *eventbus.SubscribeConfig[int]) {
				c.Retry = eventbus.Retry{Attempts: 5, Delay: func(int, error) time.Duration { panic("delay") }}
			}, func(context.Context, int) error {
				calls++
				return assert.AnError
			})
			_ = x.Publish(bg, 1)
			_ = x.Publish(bg, 2)
			closed(t, b)
			assert.Equal(t, 2, calls)
			require.Len(t, told.list(), 2)
			panicked(t, told.list()[0].Err, "delay")
			require.ErrorIs(t, told.list()[0].Err, assert.AnError, "what the handler returned is not lost")
			assert.True(t, told.list()[0].Final)
		})
	}
}

func TestS19_G18_InterceptorsAndResponders(t *testing.T) {
	for _, side := range []string{"publish", "handle"} {
		t.Run(side, func(t *testing.T) {
			in := func(next eventbus.Handler) eventbus.Handler {
				return func(ctx context.Context, e eventbus.Event[any]) error {
					if e.Data == 2 {
						panic(side)
					}
					return next(ctx, e)
				}
			}
			var told failures
			cfg := eventbus.Config{Hooks: eventbus.Hooks{Failed: told.hook}}
			if side == "publish" {
				cfg.AroundPublish = []eventbus.Interceptor{in}
			} else {
				cfg.AroundHandle = []eventbus.Interceptor{in}
			}
			b, x := newTopic[int](t, cfg, eventbus.TopicConfig{})
			j, _ := subscribe(t, x, eventbus.SubscribeConfig[int]{})
			_, err := eventbus.Respond(bg, b, func(_ context.Context, i int) (int, error) {
				if i == 3 {
					panic("responder")
				}
				return i * i, nil
			})
			require.NoError(t, err)
			publish(t, x, 1)
			err = x.Publish(bg, 2)
			if side == "publish" {
				panicked(t, err, side)
			} else {
				require.NoError(t, err)
				_, err = eventbus.Request[int](bg, b, 2)
				panicked(t, err, side)
			}
			publish(t, x, 3)
			_, err = eventbus.Request[int](bg, b, 3)
			panicked(t, err, "responder")
			got, err := eventbus.Request[int](bg, b, 4)
			require.NoError(t, err)
			assert.Equal(t, 16, got)
			closed(t, b)
			assert.Equal(t, []int{1, 3}, j.data())
			if side == "handle" {
				require.Len(t, told.list(), 1)
				panicked(t, told.list()[0].Err, side)
			}
		})
	}
}

// Panics of hooks are contained and counted, and so is a hook that ends its
// goroutine: what was to be done is done by another.
func TestS19_G18_Hooks(t *testing.T) {
	for name, misbehave := range map[string]func(){"panic": func() { panic("hook") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				calls := map[string]int{}
				hook := func(of string) {
					mu.Lock()
					calls[of]++
					mu.Unlock()
					misbehave()
				}
				b, x := newTopic[int](t, eventbus.Config{Hooks: eventbus.Hooks{
					Handled: func(context.Context, eventbus.Handling) { hook("Handled") },
					Failed:  func(context.Context, eventbus.Failure) { hook("Failed") },
					Dropped: func(eventbus.Drop) { hook("Dropped") },
					Stalled: func(eventbus.Stall) { hook("Stalled") },
				}}, eventbus.TopicConfig{})
				fail := true
				s, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{OnFull: eventbus.DropOldest, Capacity: 1},
					func(context.Context, int) error {
						if fail {
							return assert.AnError
						}
						return nil
					})
				require.NoError(t, err)
				publish(t, x, 1)
				synctest.Wait() // handled, in vain
				assert.Equal(t, map[string]int{"Handled": 1, "Failed": 1}, calls)
				fail = false
				publish(t, x, 2, 3, 4)
				synctest.Wait()
				q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Capacity: 1})
				require.NoError(t, err)
				publish(t, x, 5)
				go func() { assert.NoError(t, x.Publish(bg, 6)) }()
				time.Sleep(5 * time.Second)
				synctest.Wait()
				assert.Equal(t, 1, calls["Stalled"])
				// Goexit in Dropped ends whoever ends the subscription: not this goroutine.
				go q.Cancel()
				synctest.Wait()
				closed(t, b)
				st := s.Stats()
				assert.EqualValues(t, 1, st.Failed)
				assert.EqualValues(t, 6, st.Failed+st.Handled+st.Lagged)
				total := 0
				for _, n := range calls {
					total += n
				}
				assert.EqualValues(t, total, x.Stats().HookPanics)
				assert.Positive(t, calls["Dropped"])
			})
		})
	}
}

// What a hook panicked with, or that it ended its goroutine, is told to Fault.
// What Fault itself does is only counted, and concerns nothing else.
func TestG18_Fault(t *testing.T) {
	for _, end := range []string{"panic", "Goexit"} {
		for name, misbehave := range map[string]func(){"returns": nil, "panics": func() { panic("fault") }, "exits": runtime.Goexit} {
			t.Run(end+", and Fault "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var mu sync.Mutex
					var told []*eventbus.PanicError
					b, x := newTopic[int](t, eventbus.Config{Hooks: eventbus.Hooks{
						Handled: func(context.Context, eventbus.Handling) {
							if end == "Goexit" {
								runtime.Goexit()
							}
							panic(assert.AnError)
						},
						Dropped: func(eventbus.Drop) {},
						Fault: func(p *eventbus.PanicError) {
							mu.Lock()
							told = append(told, p)
							mu.Unlock()
							if misbehave != nil {
								misbehave()
							}
						},
					}}, eventbus.TopicConfig{})
					j, s := subscribe(t, x, eventbus.SubscribeConfig[int]{Retry: eventbus.Retry{Attempts: 1}})
					publish(t, x, 1, 2)
					synctest.Wait()
					closed(t, b)
					assert.Equal(t, []int{1, 2}, j.data())
					assert.EqualValues(t, 2, s.Stats().Handled)
					require.Len(t, told, 2)
					for _, p := range told {
						if end == "Goexit" {
							assert.Equal(t, &eventbus.PanicError{Goexit: true}, p)
							continue
						}
						assert.False(t, p.Goexit)
						require.ErrorIs(t, p, assert.AnError)
						assert.Contains(t, string(p.Stack), "TestG18_Fault")
					}
					want := 2
					if misbehave != nil {
						want = 4
					}
					assert.EqualValues(t, want, x.Stats().HookPanics)
				})
			})
		}
	}
}

// A handler that ends its goroutine fails, and another goroutine goes on.
func TestS20_G19_GoexitInAQueuedHandler(t *testing.T) {
	for _, k := range queuedKinds {
		var told failures
		if k.name == "with Failed" {
			k.bus.Hooks.Failed = told.hook
		}
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			var saw []int
			s := k.subscribe(t, b, x, func(c *eventbus.SubscribeConfig[int]) { c.Retry = eventbus.Retry{Attempts: 2, Wait: time.Second} },
				func(_ context.Context, i int) error {
					saw = append(saw, i)
					if i == 2 || i == 4 && len(saw) < 6 {
						runtime.Goexit()
					}
					return nil
				})
			publish(t, x, 1, 2, 3, 4, 5)
			closed(t, b)
			assert.Equal(t, []int{1, 2, 2, 3, 4, 4, 5}, saw)
			st := s.Stats()
			assert.EqualValues(t, []uint64{4, 1, 2}, []uint64{st.Handled, st.Failed, st.Retried})
			if k.name == "with Failed" {
				require.Len(t, told.list(), 3)
				for _, f := range told.list() {
					var p *eventbus.PanicError
					require.ErrorAs(t, f.Err, &p)
					assert.True(t, p.Goexit)
					assert.Nil(t, p.Value)
				}
			}
		})
	}
}

// In a Sync handler the others are called before the publisher's goroutine ends.
func TestS20_G19_GoexitInASyncHandler(t *testing.T) {
	for _, k := range syncKinds {
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			var saw []string
			add := func(name string, fn func()) *eventbus.Subscription {
				return k.subscribe(t, b, x, func(c *eventbus.SubscribeConfig[int]) { c.Name = name }, func(context.Context, int) error {
					saw = append(saw, name)
					fn()
					return nil
				})
			}
			add("first", func() {})
			exits := add("exits", runtime.Goexit)
			add("panics", func() { panic("after it") })
			again := add("exits too", runtime.Goexit)
			last := add("last", func() {})
			returned := false
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = x.Publish(bg, 1)
				returned = true
			}()
			<-done
			assert.False(t, returned, "the goroutine has ended")
			assert.Equal(t, "first, exits, panics, exits too, last", strings.Join(saw, ", "))
			assert.EqualValues(t, 1, exits.Stats().Failed)
			assert.EqualValues(t, 1, again.Stats().Failed)
			assert.EqualValues(t, 1, last.Stats().Handled)
			for _, s := range []*eventbus.Subscription{exits, again, last} {
				s.Cancel()
				<-s.Done() // that publish is over
			}
			closed(t, b)
		})
	}
}

// A Goexit outside of handlers is the caller's own, and leaves nothing locked.
func TestG19_GoexitInAFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		j, _ := subscribe(t, x, eventbus.SubscribeConfig[int]{Filter: func(i int) bool {
			if i == 1 {
				runtime.Goexit()
			}
			return true
		}})
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = x.Publish(bg, 1)
		}()
		<-done
		publish(t, x, 2)
		closed(t, b)
		assert.Equal(t, []int{2}, j.data())
		assert.EqualValues(t, 1, x.Stats().Seq)
	})
}

func TestG18_WhatThePanicWas(t *testing.T) {
	p := &eventbus.PanicError{Value: "oh"}
	assert.Equal(t, "eventbus: panic: oh", p.Error())
	require.NoError(t, p.Unwrap())
	assert.Equal(t, assert.AnError, errors.Unwrap(&eventbus.PanicError{Value: assert.AnError}))
	assert.Contains(t, (&eventbus.PanicError{Goexit: true}).Error(), "Goexit")
}
