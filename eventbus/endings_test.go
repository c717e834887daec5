package eventbus_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// A handler of a Sync topic is done when the last of its calls has returned, not
// when the first has.
func TestG23_DoneAfterTheLastSyncCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Sync: true})
		gate := make(chan struct{})
		s, err := x.Subscribe(bg, func(context.Context, int) error {
			<-gate
			return nil
		})
		require.NoError(t, err)
		for i := range 3 {
			go publish(t, x, i)
		}
		synctest.Wait()
		s.Cancel()
		for range 3 {
			select {
			case <-s.Done():
				assert.Fail(t, "done while a call is running")
			default:
			}
			gate <- struct{}{}
			synctest.Wait()
		}
		<-s.Done()
		assert.EqualValues(t, 3, s.Stats().Handled)
		closed(t, b)
	})
}

// Others that come and go while it is called do not end it.
func TestG24_SyncHandlersThatComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Sync: true})
		nop := func(context.Context, int) error { return nil }
		s, err := x.Subscribe(bg, func(context.Context, int) error {
			other, err := x.Subscribe(bg, nop)
			require.NoError(t, err)
			other.Cancel()
			<-other.Done()
			return nil
		})
		require.NoError(t, err)
		publish(t, x, 1, 2)
		select {
		case <-s.Done():
			assert.Fail(t, "it was not ended")
		default:
		}
		s.Cancel()
		<-s.Done()
		assert.EqualValues(t, 2, s.Stats().Handled)
		closed(t, b)
	})
}

// With Once coverage ends before the handler is called, so that what it publishes
// itself reaches nobody.
func TestG20_OnceCoversNothingElse(t *testing.T) {
	for _, k := range syncKinds {
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			calls := 0
			k.subscribe(t, b, x, func(c *eventbus.SubscribeConfig[int]) { c.Once = true }, func(context.Context, int) error {
				calls++
				assert.False(t, x.HasSubscribers())
				return nil
			})
			publish(t, x, 1)
			assert.Equal(t, 1, calls)
			closed(t, b)
		})
	}
}

// The attempt that ended the goroutine is told, too.
func TestG19_GoexitIsAnAttempt(t *testing.T) {
	for _, k := range []kind{queuedKinds[7], queuedKinds[8], syncKinds[3]} {
		var told []error
		k.bus.Hooks.Handled = func(_ context.Context, h eventbus.Handling) { told = append(told, h.Err) }
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			k.subscribe(t, b, x, nil, func(context.Context, int) error {
				runtime.Goexit()
				return nil
			})
			go func() { _ = x.Publish(bg, 1) }()
			synctest.Wait()
			closed(t, b)
			require.Len(t, told, 1)
			var p *eventbus.PanicError
			require.ErrorAs(t, told[0], &p)
			assert.True(t, p.Goexit)
		})
	}
}

// With the context of a handler every call of Close returns at once.
func TestG26_CloseTwiceInAHandler(t *testing.T) {
	for _, k := range queuedKinds {
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			s := k.subscribe(t, b, x, nil, func(ctx context.Context, _ int) error {
				return errors.Join(b.Close(ctx), b.Close(ctx))
			})
			publish(t, x, 1)
			<-s.Done()
			assert.EqualValues(t, 1, s.Stats().Handled)
			closed(t, b)
		})
	}
}

// While Close waits for a handler, no responder answers any more and nothing is
// imported. Then patterns still get the dead letters of the last events, and
// bridges are closed after their last import has returned.
func TestG34_TheOrderOfClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := eventbus.MustNew(eventbus.Config{})
		dead := eventbus.MustNewTopic[eventbus.Failure](b, "dead", eventbus.TopicConfig{})
		x := eventbus.MustNewTopic[int](b, "x", eventbus.TopicConfig{DeadLetter: dead})
		gate := make(chan struct{})
		_, err := x.Subscribe(bg, func(context.Context, int) error {
			<-gate
			return assert.AnError
		})
		require.NoError(t, err)
		letters := new(journal[eventbus.Failure])
		_, err = eventbus.SubscribePattern(bg, b, "dead", eventbus.SubscribeConfig[eventbus.Failure]{}, letters.handle)
		require.NoError(t, err)
		_, err = eventbus.Respond(bg, b, func(_ context.Context, i int) (int, error) { return i, nil })
		require.NoError(t, err)
		_, err = eventbus.Respond(bg, b, func(_ context.Context, s string) (int, error) { return len(s), nil })
		require.NoError(t, err)
		br := new(slowBridge)
		_, err = b.Attach(bg, br, eventbus.BridgeConfig{Import: []string{"x"}})
		require.NoError(t, err)
		publish(t, x, 1)
		synctest.Wait()
		assert.EqualValues(t, 1, br.receiving.Load())
		go closed(t, b)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.Zero(t, br.receiving.Load(), "imports have ended")
		_, err = eventbus.Request[int](bg, b, 1)
		require.ErrorIs(t, err, eventbus.ErrClosed)
		_, err = eventbus.Request[int](bg, b, "s")
		require.ErrorIs(t, err, eventbus.ErrClosed)
		close(gate)
		closed(t, b)
		assert.Len(t, letters.data(), 1)
		assert.EqualValues(t, 1, br.closed.Load())
	})
}

// A bridge that is imported from is not closed before that has come to its end.
func TestG34_BridgesAreClosedAfterTheirImports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := eventbus.MustNew(eventbus.Config{})
		br := new(slowBridge)
		_, err := b.Attach(bg, br, eventbus.BridgeConfig{Import: []string{"x", "y"}})
		require.NoError(t, err)
		synctest.Wait()
		closed(t, b)
		assert.EqualValues(t, 1, br.closed.Load())
		assert.Zero(t, br.early.Load())
	})
}

// A slowBridge takes a second to return from Receive.
type slowBridge struct{ receiving, closed, early atomic.Int64 }

func (br *slowBridge) Forward(context.Context, eventbus.Encoded) error { return nil }

func (br *slowBridge) Receive(ctx context.Context, _ string, _ func(context.Context, eventbus.Encoded) error) error {
	br.receiving.Add(1)
	<-ctx.Done()
	time.Sleep(time.Second)
	br.receiving.Add(-1)
	return nil
}

func (br *slowBridge) Close(context.Context) error {
	br.closed.Add(1)
	br.early.Add(br.receiving.Load())
	return nil
}

// Handlers of Sync topics are their publishers' business, so nothing of theirs is
// left when a closing is cut short.
func TestG34_SyncCallsAreNotLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Sync: true})
		gate := make(chan struct{})
		s, err := x.Subscribe(bg, func(context.Context, int) error {
			<-gate
			return nil
		})
		require.NoError(t, err)
		go publish(t, x, 1)
		synctest.Wait()
		ended, cancel := context.WithCancel(bg)
		cancel()
		require.NoError(t, b.Close(ended))
		close(gate)
		<-s.Done()
	})
}
