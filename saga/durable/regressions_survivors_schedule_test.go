package durable_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// A watched store is one without Watch, but for what the test has to say.
type watched struct {
	meddler

	watch func() (<-chan struct{}, error)
}

func (w *watched) Watch(context.Context) (<-chan struct{}, error) { return w.watch() }

// G43: of a store that has no Watch, or whose Watch fails or has ended, it is asked every
// Config.Poll, whatever it has said last about when something is due; and not more often.
func TestG43_AskedAgainAndAgain(t *testing.T) {
	ended := make(chan struct{})
	close(ended)
	for name, watch := range map[string]func() (<-chan struct{}, error){
		"no Watch": nil,
		"it fails": func() (<-chan struct{}, error) { return nil, errStore },
		"it ended": func() (<-chan struct{}, error) { return ended, nil },
	} {
		for _, sleeps := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " ", sleeps), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					def := define("shop", say("a"))
					raw, asked, faults := &durable.MemoryStore{}, 0, &ledger{}
					w := &watched{meddler{Store: raw}, watch}
					var store durable.Store = w
					if watch == nil {
						store = &w.meddler
					}
					w.claimed.is(func() error { asked++; return nil })
					e := open(t, store, durable.Config{Hooks: faults.hooked()}, def)
					if sleeps {
						_, err := durable.StartWith(bg, e, def, durable.StartConfig{ID: "r0", Delay: time.Hour}, order{})
						require.NoError(t, err)
					}
					time.Sleep(10500 * time.Millisecond)
					synctest.Wait()
					assert.InDelta(t, 12, asked, 2)
					other := open(t, cutShort(t, def, "r1", 1), durable.Config{})
					rec, err := other.Get(bg, "r1")
					require.NoError(t, err)
					require.NoError(t, raw.Create(bg, rec.Head, 0, [][]byte{created(t, raw, e, def)}))
					time.Sleep(time.Second)
					synctest.Wait() // perhaps it was asked at this very instant
					assert.Equal(t, saga.Completed, status(t, e, "r1"))
					assert.Equal(t, name == "it fails", slices.Contains(faults.all("fault"), "fault watch"))
				})
			})
		}
	}
}

// created is the first event of a run.
func created(t *testing.T, store durable.Store, e *durable.Engine, def *saga.Saga[order]) []byte {
	t.Helper()
	_, err := durable.StartWith(bg, e, def, durable.StartConfig{ID: "model", Delay: time.Hour}, order{})
	require.NoError(t, err)
	_, events, err := store.Load(bg, "model")
	require.NoError(t, err)
	return events[0]
}

// G43: what a Start has left for later is executed then, also by an engine whose store has
// no Watch, and what a signal has made due is executed at once.
func TestG43_NoPollForItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", say("a"), approval("ok", 0))
		e := open(t, &meddler{Store: &durable.MemoryStore{}}, durable.Config{Poll: time.Hour}, def)
		time.Sleep(time.Minute)
		begun := time.Now()
		run, err := durable.StartWith(bg, e, def, durable.StartConfig{ID: "r1", Delay: time.Second}, order{})
		require.NoError(t, err)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, "ok", head(t, e, "r1").Step)
		require.NoError(t, durable.Signal(bg, e, "r1", "ok", "yes"))
		synctest.Wait()
		assert.Equal(t, saga.Completed, status(t, e, "r1"))
		_, err = run.Wait(bg)
		require.NoError(t, err)
		assert.Equal(t, time.Second, time.Since(begun))
	})
}

// G43: as many runs execute as there is room for, though they are claimed in portions.
func TestG43_AllTheRoomIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &tally{}
		def := define("shop", c.during("a", time.Hour))
		e := open(t, &durable.MemoryStore{}, durable.Config{MaxRunning: 10, StepTimeout: -1}, def)
		for i := range 20 {
			_, err := durable.StartWith(bg, e, def, durable.StartConfig{ID: fmt.Sprint(i), Delay: time.Minute}, order{})
			require.NoError(t, err)
		}
		time.Sleep(2 * time.Minute)
		assert.Equal(t, 10, c.total())
		time.Sleep(3 * time.Hour)
	})
}

// G27, G43: the runs of a saga that has a limit of its own are no reason for those of
// others to be late, nor the other way around.
func TestG43_EachInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := saga.MustNewWith(saga.Spec[order]{Name: "own", MaxRunning: 1, Clone: wound, Steps: []saga.Step[order]{say("a")}})
		def := define("shop", say("a"))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, own, def)
		for i, late := range []*saga.Saga[order]{own, def, own, def} {
			soon := map[*saga.Saga[order]]*saga.Saga[order]{own: def, def: own}[late]
			for s, d := range map[*saga.Saga[order]]time.Duration{soon: time.Minute, late: time.Hour} {
				id := fmt.Sprint(s.Name(), i)
				_, err := durable.StartWith(bg, e, s, durable.StartConfig{ID: id, Delay: d}, order{})
				require.NoError(t, err)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			assert.Equal(t, saga.Completed, status(t, e, fmt.Sprint(soon.Name(), i)))
			time.Sleep(time.Hour)
		}
	})
}

// G38, G43: with little room no saga is always the last.
func TestG43_NobodyIsAlwaysLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &tally{}
		own := saga.MustNewWith(saga.Spec[order]{Name: "own", MaxRunning: 1, Clone: wound, Steps: []saga.Step[order]{c.during("a", time.Second)}})
		def := define("shop", c.during("a", time.Second))
		e := open(t, &durable.MemoryStore{}, durable.Config{MaxRunning: 1}, own, def)
		for i := range 60 {
			begin(t, e, own, fmt.Sprint(i))
		}
		begin(t, e, def, "r1")
		time.Sleep(time.Hour)
		require.Equal(t, 61, c.total())
		assert.NotEqual(t, "r1", c.names()[60], "which happens by chance once in a thousand million million times")
	})
}

// G42: a run that was claimed in the moment of Close is given back untouched, and none is
// claimed after that.
func TestG42_ClaimedInThatMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := saga.MustNewWith(saga.Spec[order]{Name: "own", MaxRunning: 1, Clone: wound, Steps: []saga.Step[order]{say("a")}})
		def := define("shop", say("a"))
		m := &meddler{Store: &durable.MemoryStore{}}
		e := open(t, m, durable.Config{}, own, def)
		for _, s := range []*saga.Saga[order]{own, def} {
			_, err := durable.StartWith(bg, e, s, durable.StartConfig{ID: s.Name(), Delay: time.Minute}, order{})
			require.NoError(t, err)
		}
		time.Sleep(59500 * time.Millisecond)
		claims := 0
		m.claimed.is(func() error {
			if time.Now().Second() == 0 {
				if claims++; claims == 1 {
					go func() { assert.NoError(t, e.Close(bg)) }()
					time.Sleep(time.Nanosecond)
				}
			}
			return nil
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, 1, claims)
		for _, id := range []string{"own", "shop"} {
			assert.Equal(t, []string{"created  0"}, story(t, e, id))
			assert.Empty(t, head(t, e, id).Owner)
		}
	})
}

// G42: Close stops a run that was started twice, too.
func TestG42_StartedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opened, faults := make(chan struct{}), &ledger{}
		def := define("shop", held("a", opened), say("b"))
		e := open(t, &durable.MemoryStore{}, durable.Config{Hooks: saga.Hooks{Fault: faults.hooked().Fault}}, def)
		for range 3 {
			begin(t, e, def, "r1")
		}
		synctest.Wait()
		time.AfterFunc(time.Minute, func() { close(opened) })
		require.NoError(t, e.Close(bg))
		assert.Equal(t, []string{"created  0", "started a 1", "done a 1"}, story(t, e, "r1"))
		assert.Empty(t, faults.all())
	})
}

// G31: that another engine has started the run is told to nobody as a fault.
func TestG31_StartedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults, store := &ledger{}, &durable.MemoryStore{}
		def := define("shop", say("a"), approval("ok", 0))
		e := open(t, store, durable.Config{Hooks: saga.Hooks{Fault: faults.hooked().Fault}}, def)
		begin(t, open(t, store, durable.Config{}, def), def, "r1")
		synctest.Wait()
		begin(t, e, def, "r1")
		synctest.Wait()
		assert.Empty(t, faults.all())
	})
}

// Runs that wait for room have no owner, and begin in the order in which they were started,
// with labels that are theirs.
func TestG43_OrderOfTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, labels := &tally{}, map[string]string{"k": "v"}
		var seen []string
		step := c.during("a", time.Second)
		do := step.Do
		step.Do = func(ctx context.Context, o *order) error {
			seen = append(seen, saga.Info(ctx).Labels["k"])
			return do(ctx, o)
		}
		def := define("shop", say("z"), step)
		e := open(t, &durable.MemoryStore{}, durable.Config{MaxRunning: 1}, def)
		for i, d := range []time.Duration{0, 0, -time.Hour} {
			_, err := durable.StartWith(bg, e, def, durable.StartConfig{ID: fmt.Sprint("r", i), Delay: d, Labels: labels}, order{})
			require.NoError(t, err)
			if i > 0 {
				assert.Empty(t, head(t, e, fmt.Sprint("r", i)).Owner)
			}
			time.Sleep(time.Millisecond)
		}
		labels["k"] = "mine"
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"r0", "r1", "r2"}, c.names())
		assert.Equal(t, "v v v", strings.Join(seen, " "))
		assert.Equal(t, "v", head(t, e, "r0").Labels["k"])
	})
}
