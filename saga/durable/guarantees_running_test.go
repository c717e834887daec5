package durable_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

func TestS26_MaxRunning(t *testing.T) {
	for name, test := range map[string]struct{ running, own, want int }{
		"one":                   {1, 0, 1},
		"two":                   {2, 0, 2},
		"one of this saga":      {0, 1, 1},
		"two of this saga":      {5, 2, 2},
		"more than the engine":  {2, 5, 2},
		"any number":            {-1, -1, 6},
		"by default plenty":     {0, 0, 6},
		"any number, but of it": {-1, 3, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c tally
				def := saga.MustNewWith(saga.Spec[order]{Name: "shop", Steps: []saga.Step[order]{c.during("a", time.Minute)}, MaxRunning: test.own})
				e := open(t, &durable.MemoryStore{}, durable.Config{MaxRunning: test.running}, def)
				begun := time.Now()
				var runs []*durable.Run[order]
				for i := range 6 {
					runs = append(runs, begin(t, e, def, fmt.Sprint("r", i)))
					time.Sleep(time.Millisecond)
				}
				require.Equal(t, 6*time.Millisecond, time.Since(begun), "Start does not wait for room")
				for _, run := range runs {
					end, err := run.Wait(bg)
					require.NoError(t, err)
					assert.Equal(t, []string{"do a"}, end.Log)
				}
				assert.Equal(t, test.want, c.peak())
				assert.Equal(t, 6, c.total())
				assert.Equal(t, time.Duration(6/test.want)*time.Minute, time.Since(begun).Truncate(time.Minute), "no place stays empty")
				assert.True(t, slices.IsSorted(c.names()), "who came first is first: %v", c.names())
			})
		})
	}
}

// However the places are fought for, there are no more.
func TestG43_NeverMoreThanThereIsRoomFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c tally
		def := define("shop", c.during("a", time.Second), saga.Sleep(saga.Step[order]{Name: "s"}, time.Second), c.during("b", time.Second))
		e := open(t, &durable.MemoryStore{}, durable.Config{MaxRunning: 3}, def)
		var crew sync.WaitGroup
		for i := range 64 {
			crew.Go(func() {
				run, err := durable.Start(bg, e, def, fmt.Sprint("r", i), order{})
				if assert.NoError(t, err) {
					_, err = run.Wait(bg)
					assert.NoError(t, err)
				}
			})
		}
		crew.Wait()
		assert.Equal(t, 3, c.peak())
		assert.Equal(t, 128, c.total())
	})
}

// A place that was free when the scheduler asked the store may be taken when the
// answer comes.
func TestG43_RoomTakenDuringAClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c tally
		def := define("shop", c.during("a", time.Hour))
		store := &meddler{Store: &durable.MemoryStore{}}
		e := open(t, store, durable.Config{MaxRunning: 1}, def)
		first, err := durable.StartWith(bg, e, def, durable.StartConfig{ID: "first", Delay: time.Minute}, order{})
		require.NoError(t, err)
		second := make(chan *durable.Run[order], 1)
		var once sync.Once
		store.claimed.is(func() error {
			if h, _, err := store.Store.Load(bg, "first"); err == nil && h.Owner != "" {
				once.Do(func() {
					run, err := durable.Start(bg, e, def, "second", order{})
					assert.NoError(t, err)
					second <- run
				})
			}
			return nil
		})
		for _, run := range []*durable.Run[order]{first, <-second} {
			_, err := run.Wait(bg)
			require.NoError(t, err)
		}
		assert.Equal(t, 1, c.peak())
		assert.Equal(t, 2, c.total())
	})
}

// Places of one saga and those of the engine count both, also when several sagas
// want the last one.
func TestG43_SagasShareTheRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c tally
		def := func(name string, own int) *saga.Saga[order] {
			return saga.MustNewWith(saga.Spec[order]{Name: name, Steps: []saga.Step[order]{c.during("a", time.Minute)}, MaxRunning: own})
		}
		defs := []*saga.Saga[order]{def("one", 1), def("two", 2), def("three", 0), def("four", 1)}
		e := open(t, &durable.MemoryStore{}, durable.Config{MaxRunning: 2}, defs...)
		for i := range 12 {
			cfg := durable.StartConfig{ID: fmt.Sprint(i), Delay: time.Minute}
			_, err := durable.StartWith(bg, e, defs[i%4], cfg, order{})
			require.NoError(t, err)
		}
		time.Sleep(time.Hour)
		assert.Equal(t, 12, c.total(), "nobody is forgotten")
		assert.LessOrEqual(t, c.peak(), 2)
	})
}

// A saga whose places are taken holds up no other.
func TestG43_FullSagaHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := saga.MustNewWith(saga.Spec[order]{Name: "slow", Steps: []saga.Step[order]{held("a", nil)}, MaxRunning: 1})
		quick := define("quick", say("a"))
		e := open(t, &durable.MemoryStore{}, durable.Config{StepTimeout: -1}, slow, quick)
		for i := range 100 {
			_, err := durable.StartWith(bg, e, slow, durable.StartConfig{ID: fmt.Sprint("s", i), Delay: 1}, order{})
			require.NoError(t, err)
		}
		run, err := durable.StartWith(bg, e, quick, durable.StartConfig{ID: "q", Delay: time.Minute}, order{})
		require.NoError(t, err)
		begun := time.Now()
		_, err = run.Wait(bg)
		require.NoError(t, err)
		assert.Equal(t, time.Minute, time.Since(begun))
		shut(t, e)
	})
}

// A run that waits takes no place.
func TestG43_WhoWaitsTakesNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits := define("waits", approval("a", 0))
		sleeps := define("sleeps", saga.Sleep(saga.Step[order]{Name: "a"}, time.Hour))
		retries := define("retries", saga.Step[order]{Name: "a", Do: act("do a", errDown), Retry: saga.Retry{Wait: time.Hour, MaxWait: -1, NoJitter: true}})
		last := define("last", say("a"))
		e := open(t, &durable.MemoryStore{}, durable.Config{MaxRunning: 1}, waits, sleeps, retries, last)
		for _, def := range []*saga.Saga[order]{waits, sleeps, retries} {
			begin(t, e, def, def.Name())
		}
		begun := time.Now()
		_, err := begin(t, e, last, "r1").Wait(bg)
		require.NoError(t, err)
		assert.Zero(t, time.Since(begun))
	})
}

// sleepers is how many runs sleep at once in the test of that. Each of them costs
// some microseconds, with the race detector ten times as much.
const sleepers = 100_000

func TestS26_ManySleepingRuns(t *testing.T) {
	n := sleepers
	if raceEnabled || testing.Short() {
		n /= 20
	}
	synctest.Test(t, func(t *testing.T) {
		var late, woken atomic.Int64
		begun := time.Now()
		wake := func(o *order) time.Time { return begun.Add(time.Hour + time.Duration(o.N)*time.Millisecond) }
		def := define("shop", saga.SleepUntil(saga.Step[order]{Name: "s"}, wake), saga.Step[order]{Name: "a", Do: func(_ context.Context, o *order) error {
			woken.Add(1)
			if !time.Now().Equal(wake(o)) {
				late.Add(1)
			}
			return nil
		}})
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		synctest.Wait()
		before := runtime.NumGoroutine()
		for i := range n {
			_, err := durable.Start(bg, e, def, fmt.Sprint(i), order{N: i})
			require.NoError(t, err)
		}
		synctest.Wait()
		assert.Less(t, runtime.NumGoroutine(), before+n/100, "each has one") // the runtime may have begun one
		assert.Zero(t, woken.Load())
		time.Sleep(time.Hour - time.Since(begun) + time.Duration(n)*time.Millisecond)
		assert.Equal(t, int64(n), woken.Load())
		assert.Zero(t, late.Load(), "that did not wake at their instant")
	})
}
