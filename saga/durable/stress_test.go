package durable_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

// A storm is some runs of a saga in two engines on one store, while operators, signals
// and restarts come at random.
type storm struct {
	def     *saga.Saga[order]
	store   *durable.MemoryStore
	signal  string   // where one is awaited
	leaves  []string // all steps that act
	one     bool     // nothing of a run happens at the same time
	engines [2]*durable.Engine

	mu      sync.Mutex
	rnd     *rand.Rand
	inside  map[string]string // what is under way
	there   map[string]bool   // effects, by run and step
	skipped map[string]bool   // runs of which an operator has skipped a step
	wrong   []string
}

const stormRuns = 4

var stormConfig = durable.Config{Lease: 3 * time.Second, MaxRunning: 2, MaxCrashes: -1}

func (s *storm) intN(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rnd.IntN(n)
}

func (s *storm) upTo(d time.Duration) time.Duration { return time.Duration(s.intN(int(d))) }

// engine is one of both.
func (s *storm) engine() *durable.Engine {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.engines[s.rnd.IntN(len(s.engines))]
}

// enter begins a call, alone.
func (s *storm) enter(info saga.StepInfo, verb string) (leave func(effect bool)) {
	key := info.Run
	if !s.one {
		key += " " + info.Step
	}
	what := verb + " " + info.Step
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.inside[key]; other != "" {
		s.wrong = append(s.wrong, fmt.Sprintf("%s: %s during %s", info.Run, what, other))
	}
	s.inside[key] = what
	return func(effect bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.inside, key)
		if effect {
			s.there[info.Run+" "+info.Step] = verb == "do"
		}
	}
}

// acts is a Do, or an Undo, that takes a while, listens to its context or does not, and
// may fail in any way.
func (s *storm) acts(verb string) func(context.Context, *order) error {
	return func(ctx context.Context, o *order) (err error) {
		leave := s.enter(saga.Info(ctx), verb)
		took := s.upTo(900 * time.Millisecond)
		if s.intN(2) == 0 {
			time.Sleep(took)
		} else {
			select {
			case <-ctx.Done():
			case <-time.After(took):
			}
		}
		o.N++
		effect := true
		switch n := s.intN(24); {
		case ctx.Err() != nil && s.intN(2) == 0:
			err = context.Cause(ctx)
			effect = n < 12
		case n < 3:
			err = errLost
			effect = n < 2
		case n < 6:
			err, effect = saga.RetryAfter(errRefused, s.upTo(time.Second)), false
		case n == 6:
			err, effect = errRefused, false
		}
		leave(effect)
		return err
	}
}

func (s *storm) probe(ctx context.Context, _ *order) (saga.Outcome, error) {
	info := saga.Info(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.there[info.Run+" "+info.Step] {
		return saga.Applied, nil
	}
	return saga.Rejected, nil
}

var stormRetry = saga.Retry{Attempts: 100, Wait: 500 * time.Millisecond, MaxWait: time.Second}

func (s *storm) step(name string) saga.Step[order] {
	return saga.Step[order]{Name: name, Do: s.acts("do"), Undo: s.acts("undo"), Retry: stormRetry, UndoRetry: stormRetry}
}

func (s *storm) child(name string) saga.Step[order] {
	step := s.step(name)
	step.Merge = func(dst, src *order) { dst.N += src.N }
	return step
}

// awaits is a step that waits for the signal.
func (s *storm) awaits(name string) saga.Step[order] {
	step := s.step(name)
	step.Do, step.Timeout = nil, 20*time.Second
	return saga.Await(step, func(ctx context.Context, o *order, _ string) error { return s.acts("do")(ctx, o) })
}

// define makes a saga of some steps and of two more at the end. In every second one of
// them the last but one is the pivot.
func (s *storm) define(seed uint64, steps ...saga.Step[order]) {
	p, z := s.step("p"), s.step("z")
	if seed%2 == 0 {
		p.Undo, p.UndoRetry, p.Pivot, p.Probe = nil, saga.Retry{}, true, s.probe
		z.Undo, z.UndoRetry = nil, saga.Retry{}
	}
	s.def = saga.MustNewWith(saga.Spec[order]{Name: "checkout", Clone: wound, KeepUndoing: seed%3 == 0, Steps: append(steps, p, z)})
}

// row has no groups.
func (s *storm) row(seed uint64) {
	s.one, s.signal, s.leaves = true, "ok", []string{"a", "in/b", "ok", "p", "z"}
	s.define(seed, s.step("a"), saga.Sleep(saga.Step[order]{Name: "s"}, 2*time.Second), within("in", define("in", s.step("b"))), s.awaits("ok"))
}

// groups has one of each kind.
func (s *storm) groups(seed uint64) {
	s.signal = "g/ok"
	s.leaves = []string{"a", "g/x", "g/y", "g/ok", "each/0/b", "each/0/c", "each/1/b", "each/1/c", "each/2/b", "each/2/c", "p", "z"}
	nap, ok := saga.Sleep(saga.Step[order]{Name: "s", Merge: saga.NoMerge[order]}, 2*time.Second), s.awaits("ok")
	ok.Merge = saga.NoMerge[order]
	s.define(seed, s.step("a"),
		saga.Step[order]{Name: "g", Parallel: []saga.Step[order]{s.child("x"), s.child("y"), nap, ok}},
		saga.ForEach(saga.Step[order]{Name: "each", Limit: 2}, func(*order) []order { return make([]order, 3) }, define("in", s.step("b"), s.step("c")), nil))
}

// attend starts a run, and waits for its end as often as it takes.
func (s *storm) attend(ctx context.Context, id string) {
	for ctx.Err() == nil {
		if run, err := durable.Start(ctx, s.engine(), s.def, id, order{}); err == nil {
			_, _ = run.Wait(ctx)
			if h, _, err := s.store.Load(ctx, id); err == nil && h.Status.Ended() {
				return
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// blow has one thing happen to one of the runs, or to one of the engines.
func (s *storm) blow(t *testing.T) {
	t.Helper()
	e, id := s.engine(), fmt.Sprint("r", s.intN(stormRuns))
	switch s.intN(8) {
	case 0, 1:
		_ = durable.Signal(bg, e, id, s.signal, "yes")
	case 2:
		_ = e.Abort(bg, id, ann)
	case 3, 4:
		_ = e.Resume(bg, id, ann)
	case 5:
		if h, _, err := s.store.Load(bg, id); err == nil && e.Skip(bg, id, h.Step, ann) == nil {
			s.skipped[id] = true
		}
	case 6:
		ctx, cancel := context.WithTimeout(bg, s.upTo(1500*time.Millisecond))
		defer cancel()
		_ = e.Close(ctx)
		require.NoError(t, e.Close(bg))
		next := ignite(t, s.store, stormConfig, s.def)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.engines[slices.Index(s.engines[:], e)] = next
	}
}

// calm gives all runs what they need, until they have ended.
func (s *storm) calm() {
	for range 400 {
		time.Sleep(time.Second)
		left := 0
		for i := range stormRuns {
			h, _, err := s.store.Load(bg, fmt.Sprint("r", i))
			if err == nil && h.Status.Ended() {
				continue
			}
			left++
			if err == nil && h.Status == saga.Stuck {
				_ = s.engines[0].Resume(bg, h.ID, ann)
			}
			if err == nil {
				_ = durable.Signal(bg, s.engines[0], h.ID, s.signal, "yes")
			}
		}
		if left == 0 {
			return
		}
	}
}

// judge checks what has become of a run.
func (s *storm) judge(t *testing.T, id string) {
	t.Helper()
	rec := seen(t, s.engines[0], id)
	assert.True(t, rec.Head.Status.Ended(), "it does not end: %v", rec.Head)
	broken := slices.Clone(s.wrong)
	if err := sagatest.CheckLaw(s.def.Plan(), rec); err != nil {
		broken = append(broken, err.Error())
	}
	for _, leaf := range s.leaves {
		there := s.there[id+" "+leaf]
		switch undone := leaf != "z" || !pivotal(s.def); {
		case s.skipped[id]: // an operator has said how it is
		case rec.Head.Status == saga.Completed && !there:
			broken = append(broken, leaf+" is not done in the end")
		case rec.Head.Status == saga.Compensated && there && undone:
			broken = append(broken, leaf+" is not undone in the end")
		}
	}
	assert.Empty(t, broken, "%s, %v\n%s", id, rec.Head.Status, strings.Join(journal(rec), "\n"))
}

func pivotal(def *saga.Saga[order]) bool {
	for _, step := range def.Plan() {
		if step.Pivot {
			return true
		}
	}
	return false
}

// stormSize is how many there are of each kind.
func stormSize() uint64 {
	n := uint64(200)
	switch {
	case raceEnabled:
		return n / 20
	case testing.Short():
		return n / 4
	case os.Getenv("MAINSTAY_DEEP") != "":
		return 20 * n
	}
	return n
}

// G4, G36, G37, G39, S28: whatever operators do, whoever sends signals and however often
// engines are closed, every run ends lawfully: no two calls of a step meet, all is done or
// all is undone in the end.
func TestS28_Operators(t *testing.T) {
	for name, make := range map[string]func(*storm, uint64){"row": (*storm).row, "groups": (*storm).groups} {
		t.Run(name, func(t *testing.T) {
			ended := map[saga.Status]int{}
			for seed := range stormSize() {
				synctest.Test(t, func(t *testing.T) {
					s := &storm{
						store: &durable.MemoryStore{}, rnd: rand.New(rand.NewPCG(seed, 77)),
						inside: map[string]string{}, there: map[string]bool{}, skipped: map[string]bool{},
					}
					make(s, seed)
					s.rages(t, ended)
				})
				if t.Failed() {
					t.Logf("seed %d", seed)
					return
				}
			}
			for _, status := range []saga.Status{saga.Completed, saga.Compensated} {
				assert.Positive(t, ended[status], status)
			}
		})
	}
}

func (s *storm) rages(t *testing.T, ended map[saga.Status]int) {
	t.Helper()
	for i := range s.engines {
		s.engines[i] = ignite(t, s.store, stormConfig, s.def)
	}
	ctx, stop := context.WithCancel(t.Context())
	var runs sync.WaitGroup
	for i := range stormRuns {
		runs.Go(func() { s.attend(ctx, fmt.Sprint("r", i)) })
	}
	for range 60 {
		time.Sleep(s.upTo(700 * time.Millisecond))
		s.blow(t)
	}
	s.calm()
	stop()
	runs.Wait()
	for _, e := range s.engines {
		halt(t, e)
	}
	s.engines[0] = ignite(t, s.store, durable.Config{}, s.def)
	for i := range stormRuns {
		s.judge(t, fmt.Sprint("r", i))
		ended[seen(t, s.engines[0], fmt.Sprint("r", i)).Head.Status]++
	}
	seal(t, s.engines[0])
}
