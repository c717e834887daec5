package durable_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// G46: every call of a store whose context has ended returns its cause.
func TestG46_memoryContext(t *testing.T) {
	s := new(durable.MemoryStore)
	memoryCreate(t, s, memoryEpoch, "a")
	ended := errors.New("ended")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(ended)
	_, _, load := s.Load(ctx, "a")
	_, _, claim := s.Claim(ctx, durable.ClaimRequest{Owner: "me", TTL: 1, Limit: 1})
	_, _, list := s.List(ctx, durable.Query{})
	_, watch := s.Watch(ctx)
	for op, err := range map[string]error{
		"Create": s.Create(ctx, memoryHead("b", memoryEpoch), 0, nil), "Append": s.Append(ctx, 1, memoryHead("a", memoryEpoch), 0, nil),
		"Load": load, "Claim": claim, "List": list, "Delete": s.Delete(ctx, "a", 1), "Watch": watch,
	} {
		assert.Equal(t, ended, err, op)
	}
	assert.Zero(t, durable.MemoryWatchers(s))
}

// G46: what a run was passed without a lease to leave has none.
func TestG46_memoryNoLeaseToLeave(t *testing.T) {
	s := new(durable.MemoryStore)
	h := memoryHead("a", time.Unix(1, 0))
	h.Owner, h.LeaseUntil = "me", memoryEpoch
	require.NoError(t, s.Create(t.Context(), h, 0, nil))
	got, _, err := s.Load(t.Context(), "a")
	require.NoError(t, err)
	assert.Empty(t, got.Owner)
	assert.Zero(t, got.LeaseUntil)
	ids, _ := memoryClaim(t, s, time.Hour, 1)
	assert.Equal(t, []string{"a"}, ids)
}

// G47: a lease of "ttl 0" that is over stays over, and is claimed.
func TestG47_memoryLeaseThatIsOver(t *testing.T) {
	c := newMemoryClock(memoryEpoch)
	s := &durable.MemoryStore{Clock: c}
	h := memoryHead("a", memoryEpoch)
	h.Owner = "other"
	require.NoError(t, s.Create(t.Context(), h, time.Minute, nil))
	c.pass(time.Minute - 1)
	ids, next := memoryClaim(t, s, time.Hour, 1)
	assert.Empty(t, ids)
	assert.EqualValues(t, 1, next)
	c.pass(1)
	got := memoryAppend(t, s, "a", 0, func(*durable.Head) {})
	assert.Equal(t, "other", got.Owner)
	assert.Equal(t, memoryEpoch.Add(time.Minute), got.LeaseUntil)
	ids, next = memoryClaim(t, s, time.Hour, 1)
	assert.Equal(t, []string{"a"}, ids)
	assert.Equal(t, time.Hour, next)
	_, next = memoryClaim(t, s, time.Hour, 1)
	assert.Equal(t, time.Hour, next)
}

// G47, G27: a wall clock that is set ends no lease, and what it makes late is not
// lost.
func TestG47_memoryClockIsSet(t *testing.T) {
	c := newMemoryClock(memoryEpoch)
	s := &durable.MemoryStore{Clock: c}
	h := memoryHead("leased", memoryEpoch)
	h.Owner = "other"
	require.NoError(t, s.Create(t.Context(), h, time.Minute, nil))
	memoryCreate(t, s, memoryEpoch.Add(time.Minute), "sleeps")

	c.jump(time.Hour)
	ids, next := memoryClaim(t, s, time.Hour, 10)
	assert.Equal(t, []string{"sleeps"}, ids, "its instant has come")
	assert.Equal(t, time.Minute, next)
	memoryAppend(t, s, "sleeps", 0, func(h *durable.Head) { h.Owner, h.WakeAt = "", memoryEpoch.Add(time.Minute) })

	c.jump(-2 * time.Hour)
	ids, next = memoryClaim(t, s, time.Hour, 10)
	assert.Empty(t, ids)
	assert.Equal(t, time.Minute, next)
	c.pass(time.Minute)
	ids, next = memoryClaim(t, s, time.Hour, 10)
	assert.Empty(t, ids, "the lease is over, and it sleeps")
	assert.Equal(t, time.Hour-time.Minute, next)
	c.pass(time.Hour)
	ids, _ = memoryClaim(t, s, time.Hour, 10)
	assert.Equal(t, []string{"leased", "sleeps"}, ids)
}

// G27: extreme instants and durations are as far away as can be.
func TestG27_memoryExtremes(t *testing.T) {
	for _, now := range []time.Time{
		memoryEpoch, time.Unix(0, 0), time.Date(1700, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		c := newMemoryClock(now)
		s := &durable.MemoryStore{Clock: c}
		_, next := memoryClaim(t, s, 1, 1)
		assert.Negative(t, next)
		far := time.Date(200_000, 1, 1, 0, 0, 0, 0, time.UTC)
		memoryCreate(t, s, far, "far")
		ids, next := memoryClaim(t, s, math.MaxInt64, 10)
		assert.Empty(t, ids)
		assert.Greater(t, next, 200*365*24*time.Hour, now)
		memoryCreate(t, s, time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC), "long ago")
		ids, next = memoryClaim(t, s, math.MaxInt64, 10)
		assert.Equal(t, []string{"long ago"}, ids)
		assert.Positive(t, next)
		c.pass(math.MaxInt64 / 2)
		ids, _ = memoryClaim(t, s, math.MinInt64, 10)
		assert.Empty(t, ids)
		h := memoryAppend(t, s, "long ago", math.MinInt64, func(*durable.Head) {})
		assert.Zero(t, h.LeaseUntil)
		assert.Equal(t, "me", h.Owner)
		h = memoryAppend(t, s, "far", 0, func(h *durable.Head) { h.Labels = map[string]string{"a": "b"} })
		assert.Equal(t, far, h.WakeAt)
	}
}

// G52: a request that cannot be served is refused.
func TestG52_memoryMisuse(t *testing.T) {
	s := new(durable.MemoryStore)
	memoryCreate(t, s, time.Unix(1, 0), "a", "b")
	for want, req := range map[string]durable.ClaimRequest{
		"durable: ClaimRequest.Owner is empty":      {TTL: 1, Limit: 1, Sagas: []string{"checkout"}},
		`durable: ClaimRequest.TTL of "me" is zero`: {Owner: "me", Limit: 1, Sagas: []string{"checkout"}},
	} {
		heads, next, err := s.Claim(t.Context(), req)
		assert.EqualError(t, err, want)
		assert.Empty(t, heads)
		assert.Negative(t, next)
	}
	ids, next := memoryClaim(t, s, 1, -1)
	assert.Empty(t, ids)
	assert.Zero(t, next)
	_, _, err := s.List(t.Context(), durable.Query{Cursor: "page 2"})
	assert.EqualError(t, err, `durable: Query.Cursor is "page 2", which List has not returned`)
	heads, cursor, err := s.List(t.Context(), durable.Query{Limit: -1})
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b"}, memoryIDs(heads))
	assert.Empty(t, cursor)
}

// G47: what is due at the same instant is claimed in the order of creation, also
// across sagas, and a saga that is named twice is as good as one.
func TestG47_memoryOrderOfEquals(t *testing.T) {
	s := new(durable.MemoryStore)
	var want []string
	for i := range 20 {
		h := memoryHead(fmt.Sprint((i*7)%20), time.Unix(1, 0))
		h.Saga = fmt.Sprint("saga ", i%2)
		require.NoError(t, s.Create(t.Context(), h, 0, nil))
		want = append(want, h.ID)
	}
	heads, next, err := s.Claim(t.Context(), durable.ClaimRequest{Owner: "me", TTL: -1, Limit: 15, Sagas: []string{"saga 1", "saga 0", "saga 1"}})
	require.NoError(t, err)
	assert.Equal(t, want[:15], memoryIDs(heads))
	assert.Zero(t, next)
}

// G46: Append may change the saga of a run.
func TestG46_memoryOtherSaga(t *testing.T) {
	s := new(durable.MemoryStore)
	memoryCreate(t, s, time.Unix(1, 0), "a", "b")
	memoryAppend(t, s, "a", 0, func(h *durable.Head) { h.Saga = "refund" })
	ids, _ := memoryClaim(t, s, -1, 10)
	assert.Equal(t, []string{"b"}, ids)
	heads, _, err := s.Claim(t.Context(), durable.ClaimRequest{Owner: "me", TTL: -1, Limit: 1, Sagas: []string{"refund"}})
	require.NoError(t, err)
	assert.Equal(t, []string{"a"}, memoryIDs(heads))
}

// G49: what comes back is in UTC, without a monotonic reading, and without a map
// where there are no labels.
func TestG49_memoryInstants(t *testing.T) {
	s := new(durable.MemoryStore)
	at := time.Now().In(time.FixedZone("elsewhere", 3600))
	h := memoryHead("a", at)
	h.Owner, h.CreatedAt, h.UpdatedAt, h.Labels = "me", at, at, map[string]string{}
	require.NoError(t, s.Create(t.Context(), h, time.Hour, nil))
	got, events, err := s.Load(t.Context(), "a")
	require.NoError(t, err)
	assert.Equal(t, []time.Time{at.UTC(), at.UTC(), at.UTC()}, []time.Time{got.WakeAt, got.CreatedAt, got.UpdatedAt})
	assert.Equal(t, got.LeaseUntil.UTC(), got.LeaseUntil)
	assert.Nil(t, got.Labels)
	assert.Nil(t, events)
}

// G49: pages are stable while most of the runs are deleted, whose room is used
// again.
func TestG49_memoryDeletesWhileListing(t *testing.T) {
	s := new(durable.MemoryStore)
	const runs = 3*durable.MemoryScan + 7
	var want []string
	for i := range runs {
		h := memoryHead(fmt.Sprint(i), memoryEpoch)
		if h.Status = saga.Completed; i%10 == 3 {
			h.Status = saga.Stuck
			want = append(want, h.ID)
		}
		require.NoError(t, s.Create(t.Context(), h, 0, nil))
	}
	var got []string
	next := 0
	for q := (durable.Query{Limit: 10}); ; {
		heads, cursor, err := s.List(t.Context(), q)
		require.NoError(t, err)
		for _, h := range heads {
			if h.Status == saga.Stuck {
				got = append(got, h.ID)
			}
		}
		for range 100 { // from both ends
			for _, i := range []int{next, runs - 1 - next} {
				if i%10 != 3 {
					_ = s.Delete(t.Context(), fmt.Sprint(i), 1)
				}
			}
			next++
		}
		if cursor == "" {
			break
		}
		q.Cursor = cursor
	}
	assert.Equal(t, want, got)
	slots, left := durable.MemorySlots(s)
	assert.Equal(t, len(want), left)
	assert.LessOrEqual(t, slots, 2*left+64)

	none, cursor, err := s.List(t.Context(), durable.Query{Saga: "none"})
	require.NoError(t, err)
	assert.Empty(t, none)
	assert.Empty(t, cursor)
}

// G49: List is no longer than its context, between two turns.
func TestG49_memoryListHeedsContext(t *testing.T) {
	s := new(durable.MemoryStore)
	for i := range 2 * durable.MemoryScan {
		memoryCreate(t, s, memoryEpoch, fmt.Sprint(i))
	}
	ctx := &memoryDone{Context: t.Context(), left: 1}
	_, _, err := s.List(ctx, durable.Query{Saga: "none"})
	assert.Equal(t, context.Canceled, err)
}

// A memoryDone is a context that has ended when it was asked so often.
type memoryDone struct {
	context.Context //nolint:containedctx // it is one
	left            int
}

func (d *memoryDone) Err() error {
	if d.left--; d.left < 0 {
		return context.Canceled
	}
	return nil
}

func (d *memoryDone) Value(any) any { return nil }

// G49: a list of which little is asked for, or all, takes several turns.
func TestG49_memoryLongLists(t *testing.T) {
	s := new(durable.MemoryStore)
	var all, stuck []string
	for i := range 4*durable.MemoryScan + 1 {
		h := memoryHead(fmt.Sprint(i), memoryEpoch)
		all = append(all, h.ID)
		if i%1000 == 0 {
			h.Status = saga.Stuck
			stuck = append(stuck, h.ID)
		}
		require.NoError(t, s.Create(t.Context(), h, 0, nil))
	}
	heads, cursor, err := s.List(t.Context(), durable.Query{Limit: -1})
	require.NoError(t, err)
	assert.Equal(t, all, memoryIDs(heads))
	assert.Empty(t, cursor)
	var got []string
	q := durable.Query{Limit: 2, Status: []saga.Status{saga.Stuck}}
	for range (len(stuck) + 1) / 2 {
		heads, cursor, err = s.List(t.Context(), q)
		require.NoError(t, err)
		got = append(got, memoryIDs(heads)...)
		q.Cursor = cursor
	}
	assert.Equal(t, stuck, got)
	assert.Empty(t, cursor)
}

// G52: a store that there is not, and a call without a context, are errors.
func TestG52_MemoryStoreMisused(t *testing.T) {
	var none *durable.MemoryStore
	misused := func(s *durable.MemoryStore, ctx context.Context, want string) {
		_, _, load := s.Load(ctx, "a")
		_, _, claim := s.Claim(ctx, durable.ClaimRequest{Owner: "o", TTL: 1, Limit: 1})
		_, _, list := s.List(ctx, durable.Query{})
		_, watch := s.Watch(ctx)
		for verb, err := range map[string]error{
			"Create": s.Create(ctx, durable.Head{ID: "a"}, 0, nil), "Append": s.Append(ctx, 1, durable.Head{ID: "a"}, 0, nil),
			"Delete": s.Delete(ctx, "a", 1), "Load": load, "Claim": claim, "List": list, "Watch": watch,
		} {
			require.EqualError(t, err, want, verb)
		}
	}
	misused(none, t.Context(), "durable: nil MemoryStore")
	misused(&durable.MemoryStore{}, nil, "durable: nil context")
}
