package eventbus_test

import (
	"context"
	"fmt"
	"io"
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

type delivery = func(context.Context, eventbus.Encoded) error

// A bridgeOf is made of functions. Without them it sends to nowhere, and receives
// nothing until it shall stop.
type bridgeOf struct {
	forward func(context.Context, eventbus.Encoded) error
	receive func(context.Context, delivery) error
	close   func(context.Context) error

	closes int
}

func (br *bridgeOf) Forward(ctx context.Context, e eventbus.Encoded) error {
	if br.forward == nil {
		return nil
	}
	return br.forward(ctx, e)
}

func (br *bridgeOf) Receive(ctx context.Context, _ string, deliver func(context.Context, eventbus.Encoded) error) error {
	if br.receive == nil {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return br.receive(ctx, deliver)
}

func (br *bridgeOf) Close(ctx context.Context) error {
	br.closes++
	if br.close == nil {
		return nil
	}
	return br.close(ctx)
}

// waitsFor is a Forward that has to be released, whatever its context says.
func waitsFor(gate chan struct{}) delivery {
	return func(context.Context, eventbus.Encoded) error {
		<-gate
		return nil
	}
}

// Imports went on while a Forward did not come back, though the context that was
// given to Attach had ended. The bridge is closed when both are at their end.
func TestRegression_G39_ImportsEndWithTheContextOfAttach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[order](t, eventbus.Config{}, eventbus.TopicConfig{})
		gate := make(chan struct{})
		var cause error
		br := &bridgeOf{forward: waitsFor(gate), receive: func(ctx context.Context, _ delivery) error {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return cause
		}}
		ctx, cancel := context.WithCancelCause(bg)
		s, err := b.Attach(ctx, br, both)
		require.NoError(t, err)
		publish(t, x, order{1})
		synctest.Wait()
		cancel(assert.AnError)
		synctest.Wait()
		assert.Equal(t, assert.AnError, cause)
		assert.Zero(t, br.closes, "Forward has not returned")
		close(gate)
		<-s.Done()
		synctest.Wait()
		assert.Equal(t, 1, br.closes)
		closed(t, b)
		assert.Equal(t, 1, br.closes)
	})
}

// What the Close of a bridge returned was told to nobody.
func TestRegression_G34_TheErrorsOfBridges(t *testing.T) {
	fails := func(err error) *bridgeOf { return &bridgeOf{close: func(context.Context) error { return err }} }
	bubbles(t, map[string]context.Context{"in order": bg, "halted": endedCtx}, func(t *testing.T, ctx context.Context) {
		b := eventbus.MustNew(eventbus.Config{})
		early, late, well := fails(io.ErrClosedPipe), fails(io.ErrUnexpectedEOF), fails(nil)
		s := attach(t, b, early, both)
		end := attach(t, b, late, eventbus.BridgeConfig{Import: []string{"x"}})
		attach(t, b, well, eventbus.BridgeConfig{Export: []string{"x"}}).Cancel()
		s.Cancel()
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.Equal(t, 1, early.closes, "its attachment has ended")
		assert.Equal(t, 1, well.closes)
		if ctx.Err() != nil {
			end.Cancel()
			synctest.Wait()
		}
		for range 2 {
			err := b.Close(ctx)
			require.ErrorIs(t, err, io.ErrClosedPipe)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.ErrorContains(t, err, s.Name())
			var drain *eventbus.DrainError
			assert.NotErrorAs(t, err, &drain)
		}
		for _, br := range []*bridgeOf{early, late, well} {
			assert.Equal(t, 1, br.closes)
		}
	})
}

// Close returned nil although a bridge had not come to its end, and the context of
// the bridge's own Close never ended.
func TestRegression_G34_BridgesThatHang(t *testing.T) {
	gate := func(t *testing.T) (chan struct{}, func()) {
		g := make(chan struct{})
		return g, func() { close(g); synctest.Wait() }
	}
	hangs := func(t *testing.T, br *bridgeOf, release func(), ended *error) {
		b, x := newTopic[order](t, eventbus.Config{}, eventbus.TopicConfig{})
		attach(t, b, br, eventbus.BridgeConfig{Import: []string{"x"}})
		attach(t, b, &bridgeOf{}, both)
		synctest.Wait()
		ctx, cancel := context.WithTimeoutCause(bg, time.Minute, io.ErrNoProgress)
		defer cancel()
		for range 2 {
			err := b.Close(ctx)
			var drain *eventbus.DrainError
			require.ErrorAs(t, err, &drain)
			require.ErrorIs(t, err, io.ErrNoProgress)
			require.ErrorContains(t, err, "bridges still open: 1")
			assert.Empty(t, drain.Left)
		}
		release()
		assert.Equal(t, io.ErrNoProgress, *ended)
		assert.Equal(t, 1, br.closes)
		require.ErrorIs(t, x.Publish(bg, order{}), eventbus.ErrClosed)
	}
	t.Run("Receive", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g, release := gate(t)
			var ended error
			hangs(t, &bridgeOf{
				receive: func(context.Context, delivery) error { <-g; return nil },
				close: func(ctx context.Context) error {
					ended = context.Cause(ctx)
					return nil
				},
			}, release, &ended)
		})
	})
	t.Run("Close", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g, release := gate(t)
			var ended error
			hangs(t, &bridgeOf{close: func(ctx context.Context) error {
				<-ctx.Done()
				ended = context.Cause(ctx)
				<-g
				return nil
			}}, release, &ended)
		})
	})
}

// The context of a bridge's Close ends with that of the Close of the bus, not with
// that of Attach.
func TestRegression_G39_TheContextOfABridgesClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := eventbus.MustNew(eventbus.Config{})
		var during error
		var kept context.Context
		br := &bridgeOf{close: func(ctx context.Context) error {
			kept, during = ctx, ctx.Err() //nolint:fatcontext // kept, not nested
			return nil
		}}
		ctx, cancel := context.WithCancel(context.WithValue(bg, ctxKey{}, "v"))
		_, err := b.Attach(ctx, br, both)
		require.NoError(t, err)
		cancel()
		synctest.Wait()
		require.NoError(t, during)
		assert.Equal(t, "v", kept.Value(ctxKey{}))
		require.Error(t, kept.Err(), "it is closed")
		closed(t, b)
	})
}

// A Receive that had been well for a long time was called again only after the
// longest wait, if others had failed before it.
func TestRegression_G39_TheWaitsBeginAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := eventbus.MustNew(eventbus.Config{})
		lasts := []time.Duration{0, 0, time.Second, 31 * time.Second, 0, 29 * time.Second, 0}
		var waits []time.Duration
		var returned time.Time
		calls := 0
		attach(t, b, &bridgeOf{receive: func(ctx context.Context, _ delivery) error {
			if calls > 0 {
				waits = append(waits, time.Since(returned))
			}
			if calls++; calls > len(lasts) {
				<-ctx.Done()
				return nil
			}
			time.Sleep(lasts[calls-1])
			returned = time.Now()
			return assert.AnError
		}}, eventbus.BridgeConfig{Import: []string{"x"}})
		time.Sleep(time.Hour)
		closed(t, b)
		const first = 100 * time.Millisecond
		assert.Equal(t, []time.Duration{first, 2 * first, 4 * first, first, 2 * first, 4 * first, 8 * first}, waits)
	})
}

// What only imports had a name that began with a slash.
func TestRegression_G39_TheNameOfAnImport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := eventbus.MustNew(eventbus.Config{})
		imports := []string{"a.*", "b"}
		s := attach(t, b, new(bridgeOf), eventbus.BridgeConfig{Import: imports})
		assert.Equal(t, "import of a.*, b", s.Name())
		assert.Equal(t, s.Name(), s.Stats().Name)
		s = attach(t, b, new(bridgeOf), eventbus.BridgeConfig{Import: imports, Queue: eventbus.SubscribeConfig[any]{Name: "mine"}})
		assert.Equal(t, "mine", s.Name())
		s = attach(t, b, new(bridgeOf), eventbus.BridgeConfig{Import: imports, Export: []string{"c"}})
		assert.Equal(t, "c/3", s.Name())
		closed(t, b)
	})
}

// Close stops imports first, whatever the export is at: by the time an import is
// refused, its context has ended.
func TestRegression_G34_CloseStopsImportsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[order](t, eventbus.Config{}, eventbus.TopicConfig{})
		full := eventbus.MustNewTopic[order](b, "full", eventbus.TopicConfig{Capacity: 1})
		others := make([]*eventbus.Topic[order], 0, 5000) // it takes a while to get through
		for i := range cap(others) {
			others = append(others, eventbus.MustNewTopic[order](b, fmt.Sprint("other", i), eventbus.TopicConfig{}))
		}
		gate := make(chan struct{})
		var refused, cause error
		var deliver delivery
		br := &bridgeOf{forward: waitsFor(gate), receive: func(ctx context.Context, d delivery) error {
			deliver = d
			refused = d(bg, eventbus.Encoded{ID: "1", Topic: "full", Data: []byte("{}")}) // waits for room
			cause = context.Cause(ctx)
			return nil
		}}
		q, err := full.Queue(bg, eventbus.SubscribeConfig[order]{})
		require.NoError(t, err)
		publish(t, full, order{1})
		attach(t, b, br, eventbus.BridgeConfig{Export: []string{"x"}, Import: []string{">"}})
		publish(t, x, order{1})
		synctest.Wait()
		require.Equal(t, 1, full.Stats().Waiting)
		go closed(t, b)
		synctest.Wait()
		require.ErrorIs(t, refused, eventbus.ErrClosed)
		assert.Equal(t, eventbus.ErrClosed, cause)
		require.ErrorIs(t, deliver(bg, eventbus.Encoded{ID: "2", Topic: "x", Data: []byte("{}")}), eventbus.ErrClosed)
		assert.Zero(t, br.closes)
		_, err = q.Next(bg)
		require.NoError(t, err)
		_, err = q.Next(bg)
		require.ErrorIs(t, err, eventbus.ErrClosed)
		close(gate)
		closed(t, b)
		assert.Equal(t, 1, br.closes)
		runtime.KeepAlive(others)
	})
}

// The header of an event is its own, on both ways over a bridge.
func TestRegression_G39_TheHeaderIsACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[order](t, eventbus.Config{}, eventbus.TopicConfig{})
		seen, _ := subscribe(t, x, eventbus.SubscribeConfig[order]{})
		var deliver delivery
		attach(t, b, &bridgeOf{
			forward: func(_ context.Context, e eventbus.Encoded) error {
				e.Header["k"], e.Header["new"] = "changed", "v"
				return nil
			},
			receive: func(ctx context.Context, d delivery) error {
				deliver = d
				<-ctx.Done()
				return nil
			},
		}, both)
		attach(t, b, new(bridgeOf), both)
		require.NoError(t, x.PublishWith(bg, eventbus.PublishConfig{Header: map[string]string{"k": "sent"}}, order{}))
		synctest.Wait()
		in := eventbus.Encoded{ID: "1", Topic: "x", Header: map[string]string{"k": "received"}, Data: []byte("{}")}
		require.NoError(t, deliver(bg, in))
		in.Header["k"], in.Header["new"] = "changed", "v"
		closed(t, b)
		for i, want := range []string{"sent", "received"} {
			e := seen.all()[i]
			assert.Equal(t, want, e.Header("k"))
			assert.Empty(t, e.Header("new"))
		}
	})
}

// A countingCtx counts who waits for its end, which never comes.
type countingCtx struct {
	context.Context //nolint:containedctx // it is a context
	never           chan struct{}
	waiting         atomic.Int64
}

func (c *countingCtx) Done() <-chan struct{} { return c.never }

// AfterFunc is what package context looks for.
func (c *countingCtx) AfterFunc(func()) (stop func() bool) {
	c.waiting.Add(1)
	return sync.OnceValue(func() bool {
		c.waiting.Add(-1)
		return true
	})
}

// Nothing waits for the context of an attachment that has ended.
func TestRegression_G41_TheContextOfAttachIsLetGoOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := eventbus.MustNew(eventbus.Config{})
		ctx := &countingCtx{Context: bg, never: make(chan struct{})}
		s, err := b.Attach(ctx, new(bridgeOf), both)
		require.NoError(t, err)
		assert.Positive(t, ctx.waiting.Load())
		s.Cancel()
		synctest.Wait()
		assert.Zero(t, ctx.waiting.Load())
		_, err = b.Attach(ctx, new(bridgeOf), both)
		require.NoError(t, err)
		closed(t, b)
		synctest.Wait()
		assert.Zero(t, ctx.waiting.Load())
	})
}

// Each failure of an import left a trace among those remembered, so that one that
// failed time and again pushed out what had been accepted.
func TestRegression_G39_FailuresPushNothingOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[order](t, eventbus.Config{}, eventbus.TopicConfig{})
		j, _ := subscribe(t, x, eventbus.SubscribeConfig[order]{})
		l, _ := links()
		attach(t, b, l, both)
		synctest.Wait()
		good := eventbus.Encoded{ID: "good", Topic: "x", Data: []byte(`{"ID":1}`)}
		require.NoError(t, l.arrive(bg, good))
		bad := eventbus.Encoded{ID: "bad", Topic: "x", Data: []byte(`{`)}
		for range 5000 {
			require.Error(t, l.arrive(bg, bad))
		}
		require.NoError(t, l.arrive(bg, good))
		bad.Data = []byte(`{"ID":2}`)
		require.NoError(t, l.arrive(bg, bad))
		// Of those accepted the last 4096 are remembered.
		for i := range 4096 - 2 {
			require.NoError(t, l.arrive(bg, eventbus.Encoded{ID: fmt.Sprint(i), Topic: "x", Data: []byte(`{"ID":3}`)}))
		}
		require.NoError(t, l.arrive(bg, good))
		require.NoError(t, l.arrive(bg, bad))
		require.NoError(t, l.arrive(bg, eventbus.Encoded{ID: "one more", Topic: "x", Data: []byte(`{"ID":4}`)}))
		require.NoError(t, l.arrive(bg, good), "forgotten by now")
		closed(t, b)
		counts := make(map[int]int)
		for _, o := range j.data() {
			counts[o.ID]++
		}
		assert.Equal(t, map[int]int{1: 2, 2: 1, 3: 4094, 4: 1}, counts)
	})
}
