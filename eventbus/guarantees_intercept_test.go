package eventbus_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

type ctxKey struct{}

// tracer is an interceptor that writes down when it is entered and left.
func tracer(trace *[]string, name string) eventbus.Interceptor {
	return func(next eventbus.Handler) eventbus.Handler {
		return func(ctx context.Context, e eventbus.Event[any]) error {
			*trace = append(*trace, fmt.Sprintf("%s %v #%d", name, e.Data, e.Seq))
			err := next(ctx, e)
			*trace = append(*trace, fmt.Sprintf("%s %v: %v", name, e.Data, err))
			return err
		}
	}
}

func TestG12_AroundPublishes(t *testing.T) {
	var trace []string
	b, x := newTopic[int](t, eventbus.Config{AroundPublish: []eventbus.Interceptor{
		tracer(&trace, "outer"),
		func(next eventbus.Handler) eventbus.Handler {
			return func(ctx context.Context, e eventbus.Event[any]) error {
				switch e.Data {
				case 3:
					return assert.AnError // refused
				case 4:
					e.Data = "four" // another type
				case 5:
					return nil // swallowed
				case 6:
					return next(nil, e)
				case 7:
					panic("seven")
				default:
					e.Data = e.Data.(int) * 10
				}
				return next(context.WithValue(ctx, ctxKey{}, "from outside"), e)
			}
		},
		tracer(&trace, "inner"),
	}}, eventbus.TopicConfig{})
	var values []any
	j := new(journal[int])
	_, err := x.SubscribeEvents(bg, eventbus.SubscribeConfig[int]{}, func(ctx context.Context, e eventbus.Event[int]) error {
		values = append(values, ctx.Value(ctxKey{}))
		return j.handle(ctx, e)
	})
	require.NoError(t, err)

	publish(t, x, 1, 2)
	require.ErrorIs(t, x.Publish(bg, 3), assert.AnError)
	require.ErrorIs(t, x.Publish(bg, 4), eventbus.ErrTopicType)
	require.NoError(t, x.Publish(bg, 5), "what the interceptor returns is what Publish returns")
	require.Error(t, x.Publish(bg, 6))
	var p *eventbus.PanicError
	require.ErrorAs(t, x.Publish(bg, 7), &p)
	assert.Equal(t, "seven", p.Value)
	closed(t, b)
	assert.Equal(t, []int{10, 20}, j.data())
	assert.Equal(t, []int64{1, 2}, j.seqs())
	assert.Equal(t, []any{"from outside", "from outside"}, values)
	assert.Equal(t, []string{
		"outer 1 #0", "inner 10 #0", "inner 10: <nil>", "outer 1: <nil>",
		"outer 2 #0", "inner 20 #0", "inner 20: <nil>", "outer 2: <nil>",
	}, trace[:8])
}

// What an interceptor sees of a batch is what became of all of it.
func TestG12_InterceptorsOfABatchNest(t *testing.T) {
	var trace []string
	swallow := 0
	b, x := newTopic[int](t, eventbus.Config{AroundPublish: []eventbus.Interceptor{
		func(next eventbus.Handler) eventbus.Handler {
			return func(ctx context.Context, e eventbus.Event[any]) error {
				if e.Data == swallow {
					return nil
				}
				return next(ctx, e)
			}
		},
		tracer(&trace, "a"),
	}}, eventbus.TopicConfig{})
	q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Capacity: 3, OnFull: eventbus.Fail})
	require.NoError(t, err)
	n, err := x.PublishBatch(bg, ints(1, 3))
	require.NoError(t, err)
	assert.Equal(t, 3, n)
	assert.Equal(t, []string{"a 1 #0", "a 2 #0", "a 3 #0", "a 3: <nil>", "a 2: <nil>", "a 1: <nil>"}, trace)

	trace = nil
	n, err = x.PublishBatch(bg, ints(4, 5))
	require.ErrorIs(t, err, eventbus.ErrFull)
	assert.Zero(t, n)
	require.Len(t, trace, 4)
	assert.Contains(t, trace[3], "a 4: eventbus: queue full")

	next := func() int {
		e, err := q.Next(bg)
		require.NoError(t, err)
		return e.Data
	}
	assert.Equal(t, 1, next())
	assert.Equal(t, 2, next())
	// One that is swallowed is skipped; longer batches are cut all the same.
	swallow = 7
	n, err = x.PublishBatch(bg, ints(6, 8))
	require.NoError(t, err)
	assert.Equal(t, 3, n)
	assert.Equal(t, 3, next())
	assert.Equal(t, 6, next())
	assert.Equal(t, 8, next())
	n, err = x.PublishBatch(bg, ints(10, 15))
	require.ErrorIs(t, err, eventbus.ErrFull)
	assert.Equal(t, 3, n)
	q.Cancel()
	closed(t, b)
}

// Should an interceptor call next twice, there are two events.
func TestG12_NextTwice(t *testing.T) {
	for name, sync := range map[string]bool{"queued": false, "sync": true} {
		t.Run(name, func(t *testing.T) {
			b, x := newTopic[int](t, eventbus.Config{AroundPublish: []eventbus.Interceptor{
				func(next eventbus.Handler) eventbus.Handler {
					return func(ctx context.Context, e eventbus.Event[any]) error {
						return errors.Join(next(ctx, e), next(ctx, e))
					}
				},
			}}, eventbus.TopicConfig{Sync: sync})
			j, _ := subscribe(t, x, eventbus.SubscribeConfig[int]{})
			require.NoError(t, x.PublishWith(bg, eventbus.PublishConfig{Key: "k"}, 1))
			publish(t, x, 2)
			closed(t, b)
			assert.Equal(t, []int{1, 1, 2, 2}, j.data())
			assert.Equal(t, []int64{1, 2, 3, 4}, j.seqs())
			assert.Equal(t, "k", j.all()[0].Key())
			assert.Empty(t, j.all()[3].Key())
		})
	}
}

// Around handlers: each attempt is wrapped, of whatever kind the handler is; what
// a Queue hands out is not.
func TestG12_AroundHandlers(t *testing.T) {
	for name, sync := range map[string]bool{"queued": false, "sync": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var trace []string
				b, x := newTopic[int](t, eventbus.Config{AroundHandle: []eventbus.Interceptor{
					tracer(&trace, "a"),
					func(next eventbus.Handler) eventbus.Handler {
						return func(ctx context.Context, e eventbus.Event[any]) error {
							switch e.Data {
							case 2:
								e.Data = "two"
							case 3:
								return assert.AnError
							case 4:
								return next(nil, e)
							default:
								e.Data = e.Data.(int) * 10
							}
							return next(context.WithValue(ctx, ctxKey{}, "wrapped"), e)
						}
					},
				}}, eventbus.TopicConfig{Sync: sync})
				q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{})
				require.NoError(t, err)
				attempts := 0
				var errs []error
				s, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Retry: eventbus.Retry{Attempts: 2}},
					func(ctx context.Context, i int) error {
						attempts++
						assert.Equal(t, 10, i)
						assert.Equal(t, "wrapped", ctx.Value(ctxKey{}))
						if attempts == 1 {
							return errors.New("once more")
						}
						return nil
					})
				require.NoError(t, err)
				for i := 1; i <= 4; i++ {
					errs = append(errs, x.Publish(bg, i))
				}
				for i := 1; i <= 4; i++ {
					e, err := q.Next(bg)
					require.NoError(t, err)
					assert.Equal(t, i, e.Data)
				}
				q.Cancel()
				closed(t, b)
				assert.Equal(t, 2, attempts)
				assert.Equal(t, []string{"a 1 #1", "a 1: once more", "a 1 #1", "a 1: <nil>"}, trace[:4])
				if sync {
					require.NoError(t, errs[0])
					require.ErrorIs(t, errs[1], eventbus.ErrTopicType)
					require.ErrorIs(t, errs[2], assert.AnError)
					require.Error(t, errs[3])
				}
				assert.EqualValues(t, 3, s.Stats().Failed)
				assert.EqualValues(t, 1, s.Stats().Handled)
			})
		})
	}
}

// One that is nil for a handler is found when the subscription is made.
func TestG12_ANilHandlerOfAnInterceptor(t *testing.T) {
	for name, in := range map[string]eventbus.Interceptor{
		"nil":   func(eventbus.Handler) eventbus.Handler { return nil },
		"panic": func(eventbus.Handler) eventbus.Handler { panic("no") },
	} {
		t.Run(name, func(t *testing.T) {
			b, x := newTopic[int](t, eventbus.Config{AroundHandle: []eventbus.Interceptor{in}}, eventbus.TopicConfig{})
			_, err := x.Subscribe(bg, func(context.Context, int) error { return nil })
			require.Error(t, err)
			_, err = eventbus.SubscribePattern(bg, b, ">", eventbus.SubscribeConfig[any]{}, func(context.Context, eventbus.Event[any]) error { return nil })
			require.Error(t, err)
			_, err = eventbus.Respond(bg, b, func(context.Context, int) (int, error) { return 0, nil })
			require.Error(t, err)
			assert.False(t, x.HasSubscribers())
			closed(t, b)

			b, x = newTopic[int](t, eventbus.Config{AroundPublish: []eventbus.Interceptor{in}}, eventbus.TopicConfig{})
			require.Error(t, x.Publish(bg, 1))
			closed(t, b)
		})
	}
}
