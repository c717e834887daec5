package durable_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

// crashSize is how many sagas are crashed, how often each of them with two and with
// three deaths, and how many deaths that has to be.
func crashSize() (sagas uint64, twice, thrice int, least int64) {
	switch {
	case raceEnabled:
		return 60, 20, 20, 4000
	case testing.Short():
		return 20, 60, 60, 5000
	case os.Getenv("MAINSTAY_DEEP") != "":
		return 4000, 200, 200, 3_500_000
	}
	return 260, 75, 80, 100_000
}

// G34: the process dies before and after everything it writes and everything it
// does, and again while that is mended, and a third time. Then an operator resumes what
// is stuck, and the other side does what it is asked. Whatever the saga is like, all is
// done or all is undone in the end, in order, and nothing has had its effect twice.
func TestG34_EveryCrash(t *testing.T) {
	sagas, twice, thrice, least := crashSize()
	var deaths, lives [4]atomic.Int64 // by how many deaths there were to be
	var seen sync.Map                 // kinds of places, and what there was in the sagas
	t.Run("all", func(t *testing.T) {
		const shards = 4
		for shard := range uint64(shards) {
			t.Run(fmt.Sprint(shard), func(t *testing.T) {
				t.Parallel()
				for seed := shard; seed < sagas && !t.Failed(); seed += shards {
					c := newCrashing(seed)
					c.census(&seen)
					c.everywhere(t, twice, thrice, func(depth, died int, ps []point) {
						deaths[depth].Add(int64(died))
						lives[depth].Add(1)
						for _, p := range ps {
							seen.Store(places-int(p.at), true)
						}
					})
				}
			})
		}
	})
	total := int64(0)
	for depth := range deaths {
		total += deaths[depth].Load()
		t.Logf("%d deaths each: %d histories, %d deaths", depth, lives[depth].Load(), deaths[depth].Load())
	}
	assert.GreaterOrEqual(t, total, least)
	for _, what := range []any{
		1, 2, 3, 4, 5, saga.KindDo, saga.KindSub, saga.KindForEach, saga.KindParallel, saga.KindSleep,
		"retry", "pivot", "Probe", "no Undo", "failing Undo", "refused Undo", "panic", "late answer", "time limit", "KeepUndoing", "When",
	} {
		_, ok := seen.Load(what)
		assert.True(t, ok, "there was nothing of %v", what)
	}
}

// A crashing is a saga that is crashed.
type crashing struct {
	seed  uint64
	all   []*shape
	limit time.Duration // of a run; 0: none
	keep  bool
}

func newCrashing(seed uint64) *crashing {
	c := &crashing{seed: seed, all: drawn(seed+10_000, seed%3 == 0), keep: seed%2 == 0}
	if seed%5 == 0 {
		c.limit = 15 * time.Second
	}
	return c
}

func (c *crashing) census(seen *sync.Map) {
	note := func(what string, is bool) {
		if is {
			seen.Store(what, true)
		}
	}
	note("time limit", c.limit > 0)
	note("KeepUndoing", c.keep)
	for _, s := range flat(c.all) {
		seen.Store(s.kind, true)
		note("When", s.off)
		if s.kind != saga.KindDo {
			continue
		}
		note("retry", s.says[0] == unheard && s.tries > 1)
		note("pivot", s.pivot)
		note("Probe", s.probe)
		note("no Undo", !s.undo)
		note("failing Undo", s.undo && s.undoes[0] == missed)
		note("refused Undo", s.undo && slices.Contains(s.undoes, declined))
		note("panic", slices.Contains(s.says, panicked))
		note("late answer", late(c.seed, saga.StepInfo{Key: "checkout/r1/" + s.name + "/do", Attempt: 1}))
	}
}

func flat(all []*shape) (found []*shape) {
	for _, s := range all {
		found = append(append(found, s), flat(s.kids)...)
	}
	return found
}

// everywhere has a run of it die at every place, then again at some of all places of
// the life after that, and then a third time.
func (c *crashing) everywhere(t *testing.T, twice, thrice int, tell func(depth, died int, ps []point)) {
	t.Helper()
	random := rand.New(rand.NewPCG(c.seed, 3))
	after := map[string][]point{} // what there is in the life after some deaths
	try := func(ps ...point) {
		died, next := c.crash(t, ps)
		after[fmt.Sprint(ps)] = next
		tell(len(ps), died, ps)
	}
	one := func(all []point) point { return all[random.IntN(len(all))] }
	try()
	first := after["[]"]
	for _, p := range first {
		if try(p); t.Failed() {
			return
		}
	}
	for range twice {
		p := one(first)
		if q := after[fmt.Sprint([]point{p})]; len(q) > 0 {
			if try(p, one(q)); t.Failed() {
				return
			}
		}
	}
	pairs := make([]string, 0, len(after))
	for ps := range after {
		if strings.Count(ps, "e") > 0 && len(after[ps]) > 0 {
			pairs = append(pairs, ps)
		}
	}
	slices.Sort(pairs)
	for range thrice {
		p := one(first)
		second := after[fmt.Sprint([]point{p})]
		if len(second) == 0 {
			continue
		}
		q := one(second)
		third := after[fmt.Sprint([]point{p, q})]
		if len(third) == 0 { // it was not tried, and is much as without q
			third = second
		}
		if try(p, q, one(third)); t.Failed() {
			return
		}
	}
}

// crash has a run die at some points, one in each life, and live on. It tells how
// often it died, and where it could have in its last life.
func (c *crashing) crash(t *testing.T, ps []point) (died int, last []point) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		x, store := newEffects(), &durable.MemoryStore{}
		def := saga.MustNewWith(saga.Spec[order]{
			Name: "checkout", Steps: x.steps(c.all, false), Clone: wound, KeepUndoing: c.keep, Timeout: c.limit,
		})
		var r *reaper
		var err error
		var resumed []int
		for _, p := range append(slices.Clone(ps), point{}) {
			var dies bool
			r = &reaper{MemoryStore: store, end: p, slow: c.seed}
			dies, err = r.live(t, x, def)
			if resumed = append(resumed, r.resumed...); !dies {
				break
			}
			died++
		}
		c.judge(t, x, resumed, def, store, ps, err)
		last = points(r.writes, r.effects)
	})
	return died, last
}

// judge checks what has become of a run.
func (c *crashing) judge(t *testing.T, x *effects, resumed []int, def *saga.Saga[order], store *durable.MemoryStore, ps []point, err error) {
	t.Helper()
	e := ignite(t, store, durable.Config{}, def)
	rec := seen(t, e, "r1")
	broken, from := x.once(), 0
	for _, to := range resumed { // what failed for good is undone once more then, so that it comes after what is earlier
		broken = append(broken, x.between(from, to).lawful(c.all, saga.Stuck, true)...)
		from = to
	}
	broken = append(broken, x.between(from, len(x.calls)).lawful(c.all, rec.Head.Status, true)...)
	if !rec.Head.Status.Ended() {
		broken = append(broken, "it does not end")
	}
	if lawless := sagatest.CheckLaw(def.Plan(), rec); lawless != nil {
		broken = append(broken, lawless.Error())
	}
	for _, l := range leaves(c.all, "", false) {
		key := "checkout/r1/" + l.path + "/do"
		if rec.Head.Status == saga.Completed && !l.off && !x.there[key] {
			broken = append(broken, l.path+" is not done in the end")
		}
	}
	if len(broken) > 0 || err != nil {
		require.Fail(t, "not lawful", "seed %d, %v: %v, %v\n%s\n%s\n%s\n%v", c.seed, ps, rec.Head.Status, err,
			strings.Join(broken, "\n"), def.Mermaid(), strings.Join(journal(rec), "\n"), x.calls)
	}
	seal(t, e)
}
