package eventbus_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

type getOrder struct{ ID int }

// On the caller's goroutine, with the caller's context, and what it returns.
func TestS41_G36_RequestAndAnswer(t *testing.T) {
	for name, around := range map[string][]eventbus.Interceptor{"bare": nil, "intercepted": {through}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := eventbus.MustNew(eventbus.Config{AroundHandle: around})
				ctx := context.WithValue(bg, ctxKey{}, "v")
				s, err := eventbus.Respond(bg, b, func(ctx context.Context, q getOrder) (order, error) {
					assert.Equal(t, "v", ctx.Value(ctxKey{}))
					switch q.ID {
					case 1:
						return order{1}, assert.AnError
					case 2:
						panic("two")
					}
					return order(q), nil
				})
				require.NoError(t, err)
				got, err := eventbus.Request[order](ctx, b, getOrder{7})
				require.NoError(t, err)
				assert.Equal(t, order{7}, got)
				_, err = eventbus.Request[order](ctx, b, getOrder{1})
				assert.Equal(t, assert.AnError, err)
				_, err = eventbus.Request[order](ctx, b, getOrder{2})
				panicked(t, err, "two")

				_, err = eventbus.Request[string](ctx, b, getOrder{7})
				require.ErrorIs(t, err, eventbus.ErrTopicType)
				require.ErrorContains(t, err, "order")
				_, err = eventbus.Request[order](ctx, b, "no such request")
				require.ErrorIs(t, err, eventbus.ErrNoSubscriber)
				_, err = eventbus.Respond(bg, b, func(context.Context, getOrder) (string, error) { return "", nil })
				require.ErrorContains(t, err, "there is a responder already")

				st := s.Stats()
				assert.Equal(t, []uint64{1, 2}, []uint64{st.Handled, st.Failed})
				s.Cancel()
				<-s.Done()
				_, err = eventbus.Request[order](ctx, b, getOrder{7})
				require.ErrorIs(t, err, eventbus.ErrNoSubscriber)
				again, err := eventbus.Respond(bg, b, func(context.Context, getOrder) (string, error) { return "again", nil })
				require.NoError(t, err, "its place is free")
				text, err := eventbus.Request[string](ctx, b, getOrder{7})
				require.NoError(t, err)
				assert.Equal(t, "again", text)
				closed(t, b)
				<-again.Done()
			})
		})
	}
}

// It ends with its context, with the bus, and not before its calls have.
func TestG36_TheEndOfAResponder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := eventbus.MustNew(eventbus.Config{})
		ctx, cancel := context.WithCancelCause(bg)
		gate := make(chan struct{})
		s, err := eventbus.Respond(ctx, b, func(context.Context, int) (int, error) {
			<-gate
			return 1, nil
		})
		require.NoError(t, err)
		answers := make(chan int, 2)
		for range 2 {
			go func() {
				got, err := eventbus.Request[int](bg, b, 1)
				assert.NoError(t, err)
				answers <- got
			}()
		}
		synctest.Wait()
		assert.Equal(t, 2, s.Stats().Running)
		cancel(assert.AnError)
		synctest.Wait()
		_, err = eventbus.Request[int](bg, b, 1)
		require.ErrorIs(t, err, eventbus.ErrNoSubscriber)
		select {
		case <-s.Done():
			t.Error("done while calls run")
		default:
		}
		require.NoError(t, s.Drain(bg), "which does not wait: there is no queue")
		close(gate)
		<-s.Done()
		assert.Equal(t, assert.AnError, s.Err())
		assert.Equal(t, 2, <-answers+<-answers)
		closed(t, b)
		_, err = eventbus.Request[int](bg, b, 1)
		require.ErrorIs(t, err, eventbus.ErrClosed)
	})
}

// Many ask while responders come and go: each gets an answer or is told that
// nobody is there.
func TestG36_ManyAtOnce(t *testing.T) {
	b := eventbus.MustNew(eventbus.Config{})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				got, err := eventbus.Request[string](bg, b, i)
				if err != nil {
					assert.ErrorIs(t, err, eventbus.ErrNoSubscriber)
					continue
				}
				assert.Equal(t, fmt.Sprint(i), got)
			}
		})
	}
	for range 300 {
		s, err := eventbus.Respond(bg, b, func(_ context.Context, i int) (string, error) { return fmt.Sprint(i), nil })
		require.NoError(t, err)
		_, err = eventbus.Request[string](bg, b, -1)
		require.NoError(t, err)
		s.Cancel()
		<-s.Done()
		st := s.Stats()
		assert.Zero(t, st.Running)
		assert.Positive(t, st.Handled)
	}
	close(stop)
	wg.Wait()
	closed(t, b)
}

// An interceptor may pass another request of the same type, none of another.
func TestG12_G36_AroundResponders(t *testing.T) {
	b := eventbus.MustNew(eventbus.Config{AroundHandle: []eventbus.Interceptor{
		func(next eventbus.Handler) eventbus.Handler {
			return func(ctx context.Context, e eventbus.Event[any]) error {
				q := e.Data.(getOrder)
				switch q.ID {
				case 1:
					e.Data = "another type"
				case 2:
					return next(nil, e)
				case 3:
					return assert.AnError
				case 4:
					return next(bg, e) // without the values of the context
				case 5:
					return nil // without calling next
				default:
					e.Data = getOrder{q.ID * 10}
				}
				return next(ctx, e)
			}
		},
	}})
	_, err := eventbus.Respond(bg, b, func(_ context.Context, q getOrder) (order, error) { return order(q), nil })
	require.NoError(t, err)
	got, err := eventbus.Request[order](bg, b, getOrder{7})
	require.NoError(t, err)
	assert.Equal(t, order{70}, got)
	_, err = eventbus.Request[order](bg, b, getOrder{1})
	require.ErrorIs(t, err, eventbus.ErrTopicType)
	_, err = eventbus.Request[order](bg, b, getOrder{2})
	require.Error(t, err)
	_, err = eventbus.Request[order](bg, b, getOrder{3})
	require.ErrorIs(t, err, assert.AnError)
	for _, id := range []int{4, 5} {
		_, err = eventbus.Request[order](bg, b, getOrder{id})
		require.ErrorContains(t, err, "no answer", "no zero order without an error")
	}
	closed(t, b)
}

type asker interface{ Ask() string }

// A request may be of an interface type, and nil; what an interceptor makes of it
// has to fit.
func TestG36_G12_RequestsOfAnInterface(t *testing.T) {
	var pass any
	b := eventbus.MustNew(eventbus.Config{AroundHandle: []eventbus.Interceptor{func(next eventbus.Handler) eventbus.Handler {
		return func(ctx context.Context, e eventbus.Event[any]) error {
			e.Data = pass
			return next(ctx, e)
		}
	}}})
	_, err := eventbus.Respond(bg, b, func(_ context.Context, a asker) (bool, error) { return a == nil, nil })
	require.NoError(t, err)
	isNil, err := eventbus.Request[bool](bg, b, asker(nil))
	require.NoError(t, err)
	assert.True(t, isNil)
	pass = 5
	_, err = eventbus.Request[bool](bg, b, asker(nil))
	require.ErrorIs(t, err, eventbus.ErrTopicType)
	require.ErrorContains(t, err, "int")
	closed(t, b)
}
