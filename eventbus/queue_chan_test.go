package eventbus_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

func TestG25_ChanHandsOutAndCounts(t *testing.T) {
	for _, boxed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := eventbus.MustNew(eventbus.Config{})
			x := eventbus.MustNewTopic[int](b, "x", eventbus.TopicConfig{})
			cfg := eventbus.SubscribeConfig[int]{}
			if boxed { // by way of a mailbox
				cfg.Filter = func(int) bool { return true }
			}
			q, err := x.Queue(context.Background(), cfg)
			require.NoError(t, err)
			for i := range 5 {
				require.NoError(t, x.Publish(context.Background(), i))
			}
			c := q.Chan()
			require.Equal(t, c, q.Chan())
			require.Equal(t, 0, (<-c).Data)
			require.Equal(t, 1, (<-c).Data)
			synctest.Wait()
			st := q.Stats()
			require.EqualValues(t, 2, st.Handled)
			require.Equal(t, 3, st.Depth)
			q.Cancel()
			<-q.Done()
			synctest.Wait()
			st = q.Stats()
			require.EqualValues(t, 2, st.Handled)
			require.EqualValues(t, 3, st.Discarded)
			_, ok := <-c
			require.False(t, ok)
		})
	}
}

func TestG25_ChanDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := eventbus.MustNew(eventbus.Config{})
		x := eventbus.MustNewTopic[int](b, "x", eventbus.TopicConfig{})
		q, err := x.Queue(context.Background(), eventbus.SubscribeConfig[int]{})
		require.NoError(t, err)
		c := q.Chan()
		for i := range 100 {
			require.NoError(t, x.Publish(context.Background(), i))
		}
		go func() { assert.NoError(t, b.Close(context.Background())) }()
		n := 0
		for e := range c {
			require.Equal(t, n, e.Data)
			n++
		}
		require.Equal(t, 100, n)
		<-q.Done()
		require.EqualValues(t, 100, q.Stats().Handled)
	})
}
