package durable_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// seeds are the first n, and those that have found something.
func seeds(n uint64, more ...uint64) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for seed := range n + uint64(len(more)) {
			if seed >= n {
				seed = more[seed-n]
			}
			if !yield(seed) {
				return
			}
		}
	}
}

func drawn(seed uint64, sequential bool) []*shape {
	d := &dice{Rand: rand.New(rand.NewPCG(seed, 7)), left: 5, sequential: sequential}
	return d.steps(0, new(bool), false)
}

func (x *effects) define(all []*shape) *saga.Saga[order] {
	return saga.MustNewWith(saga.Spec[order]{Name: "checkout", Steps: x.steps(all, false), Clone: wound, KeepUndoing: true})
}

// G4, S28: whatever a saga is like, whatever its steps say, and wherever the process
// dies, what happens is lawful.
func TestS28_Law(t *testing.T) {
	for seed := range seeds(2000, 2199, 3095, 4032, 5174, 6446, 7526) {
		all := drawn(seed, false)
		var before []death
		random := rand.New(rand.NewPCG(seed, 11))
		for range seed % 4 {
			before = append(before, death{random.IntN(14), random.IntN(2) == 0})
		}
		synctest.Test(t, func(t *testing.T) { lawful(t, seed, all, before) })
		if t.Failed() {
			return
		}
	}
}

func lawful(t *testing.T, seed uint64, all []*shape, before []death) {
	x, store, crashed := newEffects(), &durable.MemoryStore{}, false
	def := x.define(all)
	for _, d := range before {
		crashed = dies(t, store, def, d) || crashed
	}
	e := ignite(t, store, durable.Config{MaxCrashes: -1}, def)
	run := launch(t, e, def)
	ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
	defer cancel()
	_, err := run.Wait(ctx)
	rec := seen(t, e, "r1")
	broken := x.lawful(all, rec.Head.Status, crashed)
	if h := rec.Head; !h.Status.Ended() && h.Status != saga.Stuck {
		broken = append(broken, "it does not end")
	}
	assert.Empty(t, broken, "seed %d, %v, %v: %v\n%s\n%s", seed, before, rec.Head.Status, err, def.Mermaid(), strings.Join(journal(rec), "\n"))
	seal(t, e)
}

// S28: a saga in which nothing runs at the same time makes the same calls in memory as
// in an engine, and ends the same way.
func TestS28_MemoryAndEngine(t *testing.T) {
	for seed := range seeds(1500, 2237, 4041) {
		all := drawn(seed, true)
		synctest.Test(t, func(t *testing.T) { alike(t, seed, all) })
		if t.Failed() {
			return
		}
	}
}

func alike(t *testing.T, seed uint64, all []*shape) {
	memory, engine := newEffects(), newEffects()
	var state order
	err := ran(t, memory.define(all), &state)
	def := engine.define(all)
	e := ignite(t, &durable.MemoryStore{}, durable.Config{}, def)
	o, failed := launch(t, e, def).Wait(t.Context())
	rec := seen(t, e, "r1")
	story := fmt.Sprintf("seed %d: in memory %v, in the engine %v\n%s\n%s", seed, err, failed, def.Mermaid(), strings.Join(journal(rec), "\n"))
	assert.Equal(t, fmt.Sprint(memory.calls), fmt.Sprint(engine.calls), story)
	assert.Equal(t, state, o, story)
	status := saga.Completed
	var inMemory, inEngine *saga.Error
	if errors.As(err, &inMemory) {
		status = inMemory.Status
		if assert.ErrorAs(t, failed, &inEngine, story) {
			assert.Equal(t, inMemory.Error(), inEngine.Error(), story)
		}
	}
	assert.Equal(t, status, rec.Head.Status, story)
	seal(t, e)
}

// ran executes a saga in memory, and takes the *saga.Error that it panics with.
func ran(t *testing.T, def *saga.Saga[order], state *order) (err error) {
	t.Helper()
	defer func() {
		if v := recover(); v != nil {
			failed, ok := v.(*saga.Error)
			require.True(t, ok, "%v", v)
			err = failed
		}
	}()
	return def.RunWith(t.Context(), saga.RunConfig{ID: "r1", Grace: -1}, state)
}

// S28: a child that waits has begun and not ended, so that it counts for Limit in the
// engine as it does in memory.
func TestS28_LimitOfChildrenThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		of := func(l *ledger) *saga.Saga[order] {
			child := func(name string) saga.Step[order] {
				s := l.step(name, errLost)
				s.Merge, s.Retry.Attempts = saga.NoMerge[order], 3
				return s
			}
			return saga.MustNewWith(spec(saga.Step[order]{Name: "g", Limit: 1, Parallel: []saga.Step[order]{child("x"), child("y")}}))
		}
		memory, engine := &ledger{}, &ledger{}
		require.NoError(t, of(memory).Run(t.Context(), &order{}))
		def := of(engine)
		e := ignite(t, &durable.MemoryStore{}, durable.Config{}, def)
		_, err := launch(t, e, def).Wait(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{"do x", "do x", "do y", "do y"}, memory.all())
		assert.Equal(t, memory.all(), engine.all())
		seal(t, e)
	})
}
