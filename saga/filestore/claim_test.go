package filestore_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
)

// claim claims for an owner and returns the IDs, in one string.
func claim(tb testing.TB, s *filestore.Store, owner string, ttl time.Duration, limit int, sagas ...string) (string, time.Duration) {
	tb.Helper()
	if sagas == nil {
		sagas = []string{"checkout"}
	}
	heads, next, err := s.Claim(bg, durable.ClaimRequest{Owner: owner, TTL: ttl, Limit: limit, Sagas: sagas})
	require.NoError(tb, err)
	var ids []string
	for _, h := range heads {
		require.Equal(tb, owner, h.Owner)
		got, _, err := s.Load(bg, h.ID)
		require.NoError(tb, err)
		require.Equal(tb, h, got)
		ids = append(ids, h.ID)
	}
	return strings.Join(ids, " "), next
}

// waking is the head of a run that is due after d, in a bubble.
func waking(id string, d time.Duration) durable.Head {
	h := head(id)
	h.Status, h.WakeAt = saga.Waiting, time.Now().Add(d)
	return h
}

// TestG47_order: the earliest first, across sagas, at most Limit, and only what is
// asked for and due.
func TestG47_order(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := filestore.OpenDir(filestore.NewMemDir(nil), filestore.Config{})
		require.NoError(t, err)
		defer closeStore(t, s)
		for i, d := range []time.Duration{-3, -5, 0, 7 * time.Second, -4, -1} {
			h := waking(fmt.Sprint(i), d)
			h.Saga = []string{"x", "y"}[i%2]
			create(t, s, h)
		}
		for i, status := range []saga.Status{saga.Stuck, saga.Completed, saga.Compensated, saga.Abandoned, 0, 99} {
			h := waking(fmt.Sprint("not-", i), -9)
			h.Saga, h.Status = "x", status
			create(t, s, h)
		}
		never := waking("never", 0)
		never.Saga, never.WakeAt = "x", time.Time{}
		create(t, s, never)

		ids, next := claim(t, s, "o", -1, 9, "nobody")
		assert.Empty(t, ids)
		assert.Negative(t, next)
		ids, next = claim(t, s, "o", -1, 0, "x", "y")
		assert.Empty(t, ids)
		assert.Zero(t, next)
		ids, next = claim(t, s, "o", -1, 3, "x", "y", "x")
		assert.Equal(t, "1 4 0", ids)
		assert.Zero(t, next, "there are more")
		ids, next = claim(t, s, "o", -1, 9, "x")
		assert.Equal(t, "2", ids)
		assert.Negative(t, next)
		ids, next = claim(t, s, "o", -1, 9, "y", "x")
		assert.Equal(t, "5", ids)
		assert.Equal(t, 7*time.Second, next)
		time.Sleep(next - 1)
		ids, next = claim(t, s, "o", -1, 9, "y")
		assert.Empty(t, ids, "not 1 ns early")
		assert.Equal(t, time.Duration(1), next)
		time.Sleep(time.Nanosecond)
		ids, _ = claim(t, s, "o", -1, 9, "y")
		assert.Equal(t, "3", ids)
	})
}

// TestG47_lease: a lease keeps others away until its end, not longer; Append ends
// it, renews it, makes it endless or leaves it.
func TestG47_lease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := filestore.OpenDir(filestore.NewMemDir(nil), filestore.Config{})
		require.NoError(t, err)
		defer closeStore(t, s)
		create(t, s, head("a"))
		ids, _ := claim(t, s, "one", 10*time.Second, 1)
		require.Equal(t, "a", ids)
		h, _, _ := s.Load(bg, "a")
		require.Equal(t, [2]uint64{2, 2}, [2]uint64{h.Rev, h.Epoch})
		require.Equal(t, time.Now().Add(10*time.Second).UTC(), h.LeaseUntil)
		ids, next := claim(t, s, "two", 10*time.Second, 1)
		require.Empty(t, ids)
		require.Equal(t, 10*time.Second, next)

		time.Sleep(9 * time.Second)
		h.Owner = "one"
		require.NoError(t, s.Append(bg, 2, h, 10*time.Second, nil)) // renewed
		time.Sleep(9 * time.Second)
		require.NoError(t, s.Append(bg, 3, h, 0, nil)) // left as it is
		h, _, _ = s.Load(bg, "a")
		require.Equal(t, "one", h.Owner)
		ids, next = claim(t, s, "two", 10*time.Second, 1)
		require.Empty(t, ids)
		require.Equal(t, time.Second, next)
		time.Sleep(time.Second - 1)
		ids, _ = claim(t, s, "two", 10*time.Second, 1)
		require.Empty(t, ids)
		time.Sleep(time.Nanosecond)
		ids, _ = claim(t, s, "two", 10*time.Second, 1)
		require.Equal(t, "a", ids)
		require.ErrorIs(t, s.Append(bg, 4, h, 0, nil), durable.ErrConflict, "fenced")

		h, _, _ = s.Load(bg, "a")
		require.Equal(t, [2]uint64{5, 3}, [2]uint64{h.Rev, h.Epoch})
		require.NoError(t, s.Append(bg, 5, h, -1, nil)) // endless
		h, _, _ = s.Load(bg, "a")
		require.Equal(t, "two", h.Owner)
		require.Zero(t, h.LeaseUntil)
		time.Sleep(1000 * time.Hour)
		ids, next = claim(t, s, "three", 1, 1)
		require.Empty(t, ids)
		require.Negative(t, next)
		h.Owner = ""
		require.NoError(t, s.Append(bg, 6, h, 5, nil)) // released
		ids, _ = claim(t, s, "three", math.MaxInt64, 1)
		require.Equal(t, "a", ids)
		h, _, _ = s.Load(bg, "a")
		require.Zero(t, h.LeaseUntil, "a lease without end, in effect")

		h = head("made with a lease")
		h.Owner = "maker"
		require.NoError(t, s.Create(bg, h, time.Minute, nil))
		ids, next = claim(t, s, "four", 1, 1)
		require.Empty(t, ids)
		require.Equal(t, time.Minute, next)
	})
}

// TestG47_leaseOverWhileWritten: the lease of a run ends while it is being written
// by somebody else; who asked meanwhile is told afterwards.
func TestG47_leaseOverWhileWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		d := filestore.NewMemDir(nil)
		d.Before = g.before
		s, err := filestore.OpenDir(d, filestore.Config{})
		require.NoError(t, err)
		defer closeStore(t, s)
		create(t, s, head("a"))
		claim(t, s, "one", time.Second, 1)
		work, err := s.Watch(t.Context())
		require.NoError(t, err)
		g.shut()
		done := make(chan error)
		h, _, _ := s.Load(bg, "a")
		go func() { done <- s.Append(bg, h.Rev, h, 0, payloads("signal")) }()
		synctest.Wait()
		time.Sleep(2 * time.Second)
		ids, _ := claim(t, s, "two", time.Second, 1)
		require.Empty(t, ids)
		g.open()
		require.NoError(t, <-done)
		<-work
		ids, _ = claim(t, s, "two", time.Second, 1)
		require.Equal(t, "a", ids)
	})
}

// TestG47_once: one of many claimers gets a run.
func TestG47_once(t *testing.T) {
	s := open(t, t.TempDir(), filestore.Config{NoSync: true})
	const runs = 50
	for i := range runs {
		create(t, s, head(fmt.Sprint(i)))
	}
	var mu sync.Mutex
	got := map[string]int{}
	var all sync.WaitGroup
	for w := range 32 {
		all.Go(func() {
			for range runs {
				heads, _, err := s.Claim(bg, durable.ClaimRequest{Owner: fmt.Sprint(w), TTL: -1, Limit: 2, Sagas: []string{"checkout"}})
				assert.NoError(t, err)
				mu.Lock()
				for _, h := range heads {
					got[h.ID]++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	require.Len(t, got, runs)
	for id, n := range got {
		require.Equal(t, 1, n, id)
	}
}

// TestG50_claimableAtOnce: leases, and what claims count, end with the store.
func TestG50_claimableAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, filestore.Config{})
	create(t, s, head("a"))
	ids, _ := claim(t, s, "one", -1, 1)
	require.Equal(t, "a", ids)
	h, _, _ := s.Load(bg, "a")
	h.Owner = "one"
	require.NoError(t, s.Append(bg, 2, h, -1, nil))
	closeStore(t, s)
	s = open(t, dir, filestore.Config{})
	h, _, err := s.Load(bg, "a")
	require.NoError(t, err)
	require.Equal(t, [2]uint64{3, 2}, [2]uint64{h.Rev, h.Epoch})
	require.Empty(t, h.Owner)
	ids, _ = claim(t, s, "two", time.Hour, 1)
	require.Equal(t, "a", ids)
}

// TestG47_clock: with a Clock, wake-ups go by its date and leases by the time that
// passes: a clock that is set back makes nothing early, and ends no lease.
func TestG47_clock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mock := clock.NewMock()
		mock.Set(day)
		s, err := filestore.OpenDir(filestore.NewMemDir(nil), filestore.Config{Clock: mock})
		require.NoError(t, err)
		defer closeStore(t, s)
		h := head("a")
		h.WakeAt = day.Add(time.Minute)
		create(t, s, h)
		ids, next := claim(t, s, "o", time.Minute, 1)
		require.Empty(t, ids)
		require.Equal(t, time.Minute, next)
		mock.Set(day.Add(-time.Hour))
		ids, next = claim(t, s, "o", time.Minute, 1)
		require.Empty(t, ids)
		require.Equal(t, time.Hour+time.Minute, next)
		mock.Set(day.Add(time.Minute))
		ids, _ = claim(t, s, "o", time.Minute, 1)
		require.Equal(t, "a", ids)
		mock.Set(day.Add(2*time.Minute - 1))
		ids, _ = claim(t, s, "p", time.Minute, 1)
		require.Empty(t, ids)
		mock.Set(day.Add(2 * time.Minute))
		ids, _ = claim(t, s, "p", time.Minute, 1)
		require.Equal(t, "a", ids)
	})
}

// Test_claimMisuse: a claim without an owner or a time is refused.
func Test_claimMisuse(t *testing.T) {
	s := open(t, t.TempDir(), filestore.Config{})
	_, _, err := s.Claim(bg, durable.ClaimRequest{TTL: 1, Limit: 1})
	require.ErrorContains(t, err, "Owner")
	_, _, err = s.Claim(bg, durable.ClaimRequest{Owner: "o", Limit: 1})
	require.ErrorContains(t, err, "TTL")
}

// Test_watch: who watches is told of runs that may be due, once for many, and no
// more when the context has ended.
func Test_watch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := filestore.OpenDir(filestore.NewMemDir(nil), filestore.Config{})
		require.NoError(t, err)
		defer closeStore(t, s)
		ctx, cancel := context.WithCancel(bg)
		work, err := s.Watch(ctx)
		require.NoError(t, err)
		told := func() bool {
			select {
			case <-work:
				return true
			default:
				return false
			}
		}
		create(t, s, ended("no work"))
		require.False(t, told())
		create(t, s, head("a"))
		create(t, s, head("b"))
		require.True(t, told())
		require.False(t, told())
		claim(t, s, "o", -1, 9)
		h := head("endless")
		h.Owner = "o"
		require.NoError(t, s.Create(bg, h, -1, nil))
		require.False(t, told())
		h.Owner = ""
		appendTo(t, s, 1, h)
		require.True(t, told())
		claim(t, s, "o", -1, 9)

		h = head("leased")
		h.Owner = "o"
		require.NoError(t, s.Create(bg, h, time.Minute, nil))
		require.True(t, told(), "there is a lease to wait for")
		require.NoError(t, s.Append(bg, 1, h, time.Hour, nil))
		require.False(t, told(), "a longer one is no news")
		require.NoError(t, s.Append(bg, 2, h, time.Second, nil))
		require.True(t, told())
		cancel()
		synctest.Wait()
		create(t, s, head("c"))
		require.False(t, told())
	})
}
