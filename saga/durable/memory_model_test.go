package durable_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// A memoryModel is what a store has to be like, written as plainly as can be.
type memoryModel struct {
	clock *memoryClock
	runs  []*memoryModelRun // in the order of creation
}

type memoryModelRun struct {
	head   durable.Head
	events int
	until  time.Duration // when the lease ends, by what has passed; 0: there is none, -1: never
}

func (m *memoryModel) find(id string) *memoryModelRun {
	i := slices.IndexFunc(m.runs, func(r *memoryModelRun) bool { return r.head.ID == id })
	if i < 0 {
		return nil
	}
	return m.runs[i]
}

func (m *memoryModel) set(r *memoryModelRun, h durable.Head, ttl time.Duration) {
	old := r.head
	r.head = h
	r.head.Rev, r.head.Epoch = old.Rev, old.Epoch
	m.lease(r, old, h.Owner, ttl)
}

func (m *memoryModel) lease(r *memoryModelRun, old durable.Head, owner string, ttl time.Duration) {
	r.head.Owner, r.head.LeaseUntil = owner, time.Time{}
	switch {
	case owner == "":
		r.until = 0
	case ttl < 0:
		r.until = -1
	case ttl > 0:
		r.until, r.head.LeaseUntil = m.clock.passed+ttl, m.clock.wall.Add(ttl)
	default:
		r.head.Owner, r.head.LeaseUntil = old.Owner, old.LeaseUntil
	}
}

// due is how long it is until a run can be claimed; negative: never.
func (m *memoryModel) due(r *memoryModelRun) time.Duration {
	if r.head.WakeAt.IsZero() || r.head.Status == saga.Stuck || r.head.Status.Ended() || r.until < 0 {
		return -1
	}
	return max(0, r.head.WakeAt.Sub(m.clock.wall), r.until-m.clock.passed)
}

// claim is the heads that Claim has to return. atMost is how long next may be, and
// atLeast says how short; both are negative if nothing can come due.
func (m *memoryModel) claim(req durable.ClaimRequest) (heads []durable.Head, atLeast, atMost time.Duration) {
	var due []*memoryModelRun
	for _, r := range m.runs {
		if slices.Contains(req.Sagas, r.head.Saga) && m.due(r) == 0 {
			due = append(due, r)
		}
	}
	slices.SortStableFunc(due, func(a, b *memoryModelRun) int { return a.head.WakeAt.Compare(b.head.WakeAt) })
	for _, r := range due[:min(len(due), req.Limit)] {
		r.head.Rev++
		r.head.Epoch++
		m.lease(r, r.head, req.Owner, req.TTL)
		heads = append(heads, r.head)
	}
	atLeast, atMost = -1, -1
	for _, r := range m.runs {
		if rest := m.due(r); rest >= 0 && slices.Contains(req.Sagas, r.head.Saga) {
			if atMost < 0 || rest < atMost {
				atMost = rest
			}
			// A lease may be reported, though its run sleeps longer.
			if until := r.until - m.clock.passed; r.until > 0 && until > 0 {
				rest = min(rest, until)
			}
			if atLeast < 0 || rest < atLeast {
				atLeast = rest
			}
		}
	}
	return heads, atLeast, atMost
}

// memoryRandom does what a run of bytes says to a store and to its model.
type memoryRandom struct {
	tb     testing.TB
	rand   *rand.Rand
	store  *durable.MemoryStore
	model  *memoryModel
	number int
}

// head is a random one of a random run.
func (x *memoryRandom) head() (h durable.Head, ttl time.Duration) {
	x.number++
	h = durable.Head{
		ID: fmt.Sprint(x.rand.IntN(12)), Saga: fmt.Sprint("saga ", x.rand.IntN(2)), Attempt: x.number,
		Status: saga.Status(1 + x.rand.IntN(7)), Owner: []string{"", "a", "b"}[x.rand.IntN(3)],
	}
	if x.rand.IntN(3) > 0 {
		h.Status = saga.Running + saga.Status(x.rand.IntN(3))
	}
	if x.rand.IntN(5) > 0 {
		h.WakeAt = memoryEpoch.Add(x.model.clock.passed + time.Duration(x.rand.IntN(21)-10)*time.Second)
	}
	return h, time.Duration(x.rand.IntN(8)-1) * time.Second
}

func (x *memoryRandom) step() {
	ctx, tb := context.Background(), x.tb
	tb.Helper()
	h, ttl := x.head()
	r := x.model.find(h.ID)
	at := uint64(x.rand.IntN(3))
	if r != nil && x.rand.IntN(4) > 0 {
		at = r.head.Rev
		if ttl == 0 {
			h.Owner = r.head.Owner // zero leaves the lease to whom it belongs
		}
	}
	switch x.rand.IntN(8) {
	case 0, 1:
		err := x.store.Create(ctx, h, ttl, [][]byte{{1}})
		if r != nil {
			require.Equal(tb, durable.ErrConflict, err)
			return
		}
		require.NoError(tb, err)
		r = new(memoryModelRun)
		x.model.set(r, h, ttl)
		r.head.Rev, r.head.Epoch, r.events = 1, 1, 1
		x.model.runs = append(x.model.runs, r)
	case 2, 3:
		err := x.store.Append(ctx, at, h, ttl, make([][]byte, x.rand.IntN(3)))
		x.decided(err, r, at, true)
		if err == nil {
			_, events, _ := x.store.Load(ctx, h.ID)
			x.model.set(r, h, ttl)
			r.head.Rev++
			r.events = len(events)
		}
	case 4:
		err := x.store.Delete(ctx, h.ID, at)
		x.decided(err, r, at, r != nil && r.head.Status.Ended())
		if err == nil {
			x.model.runs = slices.DeleteFunc(x.model.runs, func(other *memoryModelRun) bool { return other == r })
		}
	case 5, 6:
		req := durable.ClaimRequest{Owner: "c", TTL: []time.Duration{-1, time.Second, 5 * time.Second}[x.rand.IntN(3)], Limit: x.rand.IntN(4)}
		req.Sagas = [][]string{{"saga 0"}, {"saga 1"}, {"saga 1", "saga 0"}, nil}[x.rand.IntN(4)]
		heads, next, err := x.store.Claim(ctx, req)
		require.NoError(tb, err)
		want, atLeast, atMost := x.model.claim(req)
		require.Equal(tb, want, heads)
		require.LessOrEqual(tb, next, atMost)
		require.GreaterOrEqual(tb, next, atLeast)
	case 7:
		x.model.clock.pass(time.Duration(x.rand.IntN(3000)) * time.Millisecond)
	}
}

// decided is what Append and Delete have to say.
func (x *memoryRandom) decided(err error, r *memoryModelRun, at uint64, allowed bool) {
	x.tb.Helper()
	switch {
	case r == nil:
		require.True(x.tb, errors.Is(err, durable.ErrNotFound))
	case r.head.Rev != at || !allowed:
		require.True(x.tb, errors.Is(err, durable.ErrConflict))
	default:
		require.NoError(x.tb, err)
	}
}

// G46, G47, G49: whatever is done to it, the store is as its model.
func TestG47_memoryStoreIsAsItsModel(t *testing.T) {
	for seed := range uint64(200) {
		memoryCompare(t, seed, 300)
	}
}

func memoryCompare(tb testing.TB, seed uint64, steps int) {
	tb.Helper()
	c := newMemoryClock(memoryEpoch)
	x := &memoryRandom{
		tb: tb, rand: rand.New(rand.NewPCG(seed, 0)), store: &durable.MemoryStore{Clock: c}, model: &memoryModel{clock: c},
	}
	for range steps {
		x.step()
		heads, _, err := x.store.List(context.Background(), durable.Query{})
		require.NoError(tb, err, "seed %d", seed)
		require.Len(tb, heads, len(x.model.runs), "seed %d", seed)
		for i, r := range x.model.runs {
			require.Equal(tb, r.head, heads[i], "seed %d", seed)
		}
	}
}

// FuzzMemoryStore compares a store with its model.
func FuzzMemoryStore(f *testing.F) {
	f.Add(uint64(1), uint8(100))
	f.Fuzz(func(t *testing.T, seed uint64, steps uint8) { memoryCompare(t, seed, int(steps)) })
}
