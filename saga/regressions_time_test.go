package saga_test

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
)

// An ebbClock goes back by a second with every reading, and its timers are those of
// the system.
type ebbClock struct {
	*clock.Mock
	system clock.Clock
}

func newEbbClock() ebbClock { return ebbClock{clock.NewMock(), clock.New()} }

func (c ebbClock) Since(at time.Time) time.Duration {
	c.Set(c.Now().Add(-time.Second))
	return c.Mock.Since(at)
}

func (c ebbClock) AfterFunc(d time.Duration, f func()) *clock.Timer { return c.system.AfterFunc(d, f) }

// G27: a clock that is set back between two looks at it makes the longest wait no
// short one, and the longest timeout neither.
func TestG27_SetBackBetweenTwoLooks(t *testing.T) {
	later := func(t *testing.T) context.Context {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, errOther)
		t.Cleanup(cancel)
		return ctx
	}
	t.Run("a wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newScript()
			a := s.step("a", saga.RetryAfter(rejected, math.MaxInt64), nil)
			a.Retry = patient(2)
			err := saga.MustNew("checkout", []saga.Step[state]{a}).RunWith(later(t), saga.RunConfig{Clock: newEbbClock()}, &state{})
			require.ErrorIs(t, err, errOther)
			assert.Equal(t, []string{"do a"}, s.trace())
		})
	})
	t.Run("a wait of Undo", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newScript()
			a := s.step("a", errDown)
			a.Undo = s.acts("undo a", saga.RetryAfter(errDown, math.MaxInt64), nil)
			err := saga.MustNew("checkout", []saga.Step[state]{a}).RunWith(t.Context(), saga.RunConfig{Clock: newEbbClock()}, &state{})
			require.ErrorIs(t, err, saga.ErrStuck)
			assert.Equal(t, []string{"do a", "undo a"}, s.trace())
		})
	})
	t.Run("a timeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newScript()
			spec := saga.Spec[state]{Name: "checkout", Timeout: math.MaxInt64 - 1, Steps: []saga.Step[state]{s.step("a", deed(func(ctx context.Context, _ *state) error {
				time.Sleep(time.Second)
				return ctx.Err()
			}))}}
			require.NoError(t, saga.MustNewWith(spec).RunWith(t.Context(), saga.RunConfig{Clock: newEbbClock()}, &state{}))
		})
	})
}
