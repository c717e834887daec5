package sagatest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// An Explorer says what [Explore] explores.
type Explorer[S any] struct {
	// Setup makes a saga over fresh fakes, and the state it begins with. It is
	// called once for each schedule.
	Setup func() (*saga.Saga[S], S)

	// Check looks at the fakes when a run has ended, or is stuck, or waits for a
	// signal. Its error is a failure of the saga. Nil: there is nothing to look at.
	Check func(end saga.Status, s S) error

	// Crashes is how often the process dies in a schedule, at most. Zero: once.
	// Negative: never.
	Crashes int

	// MaxSchedules is how many schedules are tried. Zero: 100,000. If there are more
	// it is a sample, by Seed.
	MaxSchedules int
	Seed         uint64

	// Only replays one schedule, a line that a failed test has printed.
	Only string
}

// Explore executes a saga again and again, each time by another schedule: every
// attempt may be applied, rejected, or end with an error before or after its effect,
// every compensation may fail before or after it, and the process may die before and
// after everything it writes. It fails the test if a run breaks the law (see
// [CheckLaw]), does not end, or Check objects, and prints the schedule with the fewest
// turns that did, to be replayed by Only. It returns how many were tried.
//
// Each runs in a testing/synctest bubble of its own, so that no time passes. Steps
// without attempts of their own are tried twice. In one schedule an action fails three
// times at most, and a compensation twice.
func Explore[S any](t *testing.T, x Explorer[S]) (schedules int) {
	t.Helper()
	if x.Setup == nil {
		t.Fatal("sagatest: Explorer.Setup is nil, want a function")
	}
	var only schedule
	if x.Only != "" {
		var err error
		if only, err = parse(x.Only); err != nil {
			t.Fatal(err)
		}
	}
	schedules, failed, err := explore(t, x, only)
	if err != nil {
		t.Errorf("sagatest: %v\nschedule %d; to replay it: Only: %q", err, schedules, failed)
	}
	return schedules
}

// explore tries schedules, those with fewer turns first, or one, and returns the first
// that fails.
func explore[S any](t *testing.T, x Explorer[S], only schedule) (schedules int, failed schedule, err error) {
	t.Helper()
	var known events
	if only != nil {
		_, err := try(t, x, only, &known)
		return 1, only, err
	}
	most := x.MaxSchedules
	if most <= 0 {
		most = 100_000
	}
	random := rand.New(rand.NewPCG(x.Seed, 1))
	for level := []schedule{nil}; len(level) > 0; {
		var next []schedule
		for _, s := range level {
			if schedules == most {
				return schedules, nil, nil
			}
			schedules++
			turns, err := try(t, x, s, &known)
			if err != nil {
				return schedules, s, err
			}
			next = append(next, s.children(turns, x.crashes())...)
		}
		if left := most - schedules; len(next) > left { // a sample of them
			random.Shuffle(len(next), func(i, j int) { next[i], next[j] = next[j], next[i] })
			next = next[:left]
		}
		level = next
	}
	return schedules, nil, nil
}

func (x *Explorer[S]) crashes() int {
	if x.Crashes == 0 {
		return 1
	}
	return max(x.Crashes, 0)
}

// errWaits is that a run waits for a signal, which nobody sends.
var errWaits = errors.New("it waits for a signal")

// try executes one schedule, and tells which turns there were.
func try[S any](t *testing.T, x Explorer[S], s schedule, known *events) (turns []turn, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		def, state := x.Setup()
		d := newDirector(s, known)
		store := &durable.MemoryStore{}
		for life := 0; ; life++ {
			var over bool
			if over, err = live(t.Context(), x, d, store, def, state); over {
				break
			}
			if life > len(s)+1 {
				err = errors.New("it dies again and again")
				break
			}
		}
		turns = d.met
	})
	return turns, err
}

// live executes a run by one process. It is over unless that dies.
func live[S any](ctx context.Context, x Explorer[S], d *director, store durable.Store, def *saga.Saga[S], state S) (over bool, err error) {
	process := d.process(store)
	e, err := durable.Open(process, durable.Config{
		Lease: time.Minute, Retry: saga.Retry{Attempts: 2}, Around: d.around, MaxCrashes: -1,
		Poll: time.Hour, Retain: -1, // the store tells what there is to do, and nothing gets old
		Rand: halfway,
	})
	if err != nil {
		return true, err
	}
	defer func() {
		if process.isDead() {
			ended, cancel := context.WithCancel(ctx)
			cancel()
			_ = e.Close(ended)
		}
		_ = e.Close(ctx)
	}()
	if err := durable.Register(e, def); err != nil {
		return true, err
	}
	type ending struct {
		state S
		err   error
	}
	end := make(chan ending, 1)
	waiting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		var is ending
		var run *durable.Run[S]
		if run, is.err = durable.Start(waiting, e, def, "run", state); is.err == nil {
			is.state, is.err = run.Wait(waiting)
		}
		end <- is
	}()
	for {
		select {
		case <-process.dead:
			cancel(errDied)
			<-end
			return false, nil
		case is := <-end:
			if process.isDead() {
				return false, nil
			}
			return true, judge(ctx, x, d, store, def, is.state, is.err)
		case <-after(time.Hour):
			rec, err := e.Get(ctx, "run")
			switch {
			case err != nil:
				return true, err
			case rec.Head.Status == saga.Waiting && rec.Head.WakeAt.IsZero():
				cancel(errWaits)
				<-end
				run, err := durable.Find(ctx, e, def, "run")
				if err != nil {
					return true, err
				}
				state, _, err := run.State(ctx)
				if err != nil {
					return true, err
				}
				return true, judge(ctx, x, d, store, def, state, errWaits)
			case d.endless() != "" || now().Sub(rec.Head.UpdatedAt) > 1000*time.Hour && !rec.Head.Status.Ended() && rec.Head.WakeAt.Before(now()):
				cancel(errDied)
				<-end
				return true, fmt.Errorf("the run does not end: it is %v at %s", rec.Head.Status, cmp.Or(d.endless(), rec.Head.Step))
			}
		}
	}
}

// halfway makes waits the same every time.
func halfway() uint64 { return 1 << 63 }

// judge checks how a run has ended.
func judge[S any](ctx context.Context, x Explorer[S], d *director, store durable.Store, def *saga.Saga[S], state S, end error) error {
	h, all, err := store.Load(ctx, "run")
	if err != nil {
		return errors.Join(err, end)
	}
	rec, err := d.known.record(h, all)
	if err != nil {
		return err
	}
	if err := errors.Join(d.wrong, CheckLaw(def.Plan(), rec)); err != nil {
		return err
	}
	if x.Check == nil {
		return nil
	}
	if err := x.Check(rec.Head.Status, state); err != nil {
		return fmt.Errorf("of a run that is %v, Check says: %w", rec.Head.Status, err)
	}
	return nil
}
