package sagatest_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

var (
	_ durable.Store = (*sagatest.FaultStore)(nil)

	errFault = errors.New("no space left on device")
	errNone  = errors.New("none")
)

// waiting is the head of a run that is due.
func waiting(id string) durable.Head {
	return durable.Head{ID: id, Saga: "checkout", Status: saga.Waiting, WakeAt: time.Unix(1, 0)}
}

// A verb is a call of a store, and how it is seen whether it was done.
type verb struct {
	call func(s durable.Store) error
	done func(tb testing.TB, s durable.Store) bool // nil: it writes nothing
}

// verbs are made for a store with the runs "a", which is due, and "b", which has
// ended.
func verbs() map[string]verb {
	rev := func(tb testing.TB, s durable.Store, id string) uint64 {
		tb.Helper()
		h, _, err := s.Load(bg, id)
		if errors.Is(err, durable.ErrNotFound) {
			return 0
		}
		require.NoError(tb, err)
		return h.Rev
	}
	return map[string]verb{
		"Create": {
			func(s durable.Store) error { return s.Create(bg, waiting("c"), 0, [][]byte{[]byte("x")}) },
			func(tb testing.TB, s durable.Store) bool { tb.Helper(); return rev(tb, s, "c") == 1 },
		},
		"Append": {
			func(s durable.Store) error { return s.Append(bg, 1, waiting("a"), 0, nil) },
			func(tb testing.TB, s durable.Store) bool { tb.Helper(); return rev(tb, s, "a") == 2 },
		},
		"Load": {func(s durable.Store) error {
			h, events, err := s.Load(bg, "a")
			if (err == nil) != (h.ID == "a" && len(events) == 1) {
				return fmt.Errorf("%v and %d events, error %w", h, len(events), cmp.Or(err, errNone))
			}
			return err
		}, nil},
		"Claim": {
			func(s durable.Store) error {
				heads, next, err := s.Claim(bg, durable.ClaimRequest{Owner: "me", TTL: time.Hour, Limit: 1, Sagas: []string{"checkout"}})
				if (err == nil) != (len(heads) == 1 && next > 0) {
					return fmt.Errorf("%v and %v, error %w", heads, next, cmp.Or(err, errNone))
				}
				return err
			},
			func(tb testing.TB, s durable.Store) bool { tb.Helper(); return rev(tb, s, "a") == 2 },
		},
		"List": {func(s durable.Store) error {
			heads, cursor, err := s.List(bg, durable.Query{Limit: 1})
			if (err == nil) != (len(heads) == 1 && cursor != "") {
				return fmt.Errorf("%v and %q, error %w", heads, cursor, cmp.Or(err, errNone))
			}
			return err
		}, nil},
		"Delete": {
			func(s durable.Store) error { return s.Delete(bg, "b", 1) },
			func(tb testing.TB, s durable.Store) bool { tb.Helper(); return rev(tb, s, "b") == 0 },
		},
	}
}

// filled is a store for verbs.
func filled(tb testing.TB) *durable.MemoryStore {
	tb.Helper()
	s := new(durable.MemoryStore)
	require.NoError(tb, s.Create(bg, waiting("a"), 0, [][]byte{[]byte("created")}))
	ended := waiting("b")
	ended.Status = saga.Completed
	require.NoError(tb, s.Create(bg, ended, 0, nil))
	return s
}

// K2: without Before and After it is the store.
func TestFaultStoreAsItIs(t *testing.T) {
	for op, v := range verbs() {
		s := filled(t)
		f := &sagatest.FaultStore{Store: s}
		assert.NoError(t, v.call(f), op)
		assert.True(t, v.done == nil || v.done(t, s), op)
	}
}

// K2: the calls of each method are counted, and fail unwritten or written.
func TestFaultStoreFails(t *testing.T) {
	for op, v := range verbs() {
		t.Run(op, func(t *testing.T) {
			for _, written := range []bool{false, true} {
				s := filled(t)
				f := &sagatest.FaultStore{Store: s}
				var asked []string
				fails := func(of string, call int) error {
					asked = append(asked, fmt.Sprint(of, " ", call))
					if of == op && call == 1 {
						return errFault
					}
					return nil
				}
				if written {
					f.After = fails
				} else {
					f.Before = fails
				}
				assert.Equal(t, errFault, v.call(f))
				assert.Equal(t, written && v.done != nil, v.done != nil && v.done(t, s))
				err := v.call(f)
				want := []string{op + " 1", op + " 2"}
				again := written && v.done != nil // what was done before fails, or finds nothing more to claim
				if again && op != "Claim" {
					want = want[:1] // After is asked about what succeeds
				}
				assert.Equal(t, again, err != nil)
				assert.Equal(t, want, asked)
				assert.Equal(t, v.done != nil, v.done != nil && v.done(t, s))
			}
		})
	}
}

// K2: each method is counted for itself.
func TestFaultStoreCounts(t *testing.T) {
	f := &sagatest.FaultStore{Store: filled(t)}
	last := make(map[string]int)
	f.Before = func(op string, call int) error {
		last[op] = call
		return nil
	}
	for range 3 {
		for _, v := range verbs() {
			_ = v.call(f)
		}
	}
	assert.Equal(t, map[string]int{"Create": 3, "Append": 3, "Load": 3, "Claim": 3, "List": 3, "Delete": 3}, last)
}

// K2: an error of the store is returned as it is, and After is not asked.
func TestFaultStoreErrors(t *testing.T) {
	f := &sagatest.FaultStore{Store: new(durable.MemoryStore), After: func(string, int) error { return errFault }}
	_, _, err := f.Load(bg, "none")
	assert.Equal(t, durable.ErrNotFound, err)
	ctx, cancel := context.WithCancel(bg)
	cancel()
	assert.Equal(t, context.Canceled, f.Create(ctx, waiting("a"), 0, nil))
}

// K2: no call is counted twice or left out.
func TestFaultStoreConcurrently(t *testing.T) {
	var sum atomic.Int64
	f := &sagatest.FaultStore{Store: filled(t), Before: func(_ string, call int) error {
		sum.Add(int64(call))
		return nil
	}}
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() { _, _, _ = f.Load(bg, "a") })
	}
	wg.Wait()
	assert.EqualValues(t, 5050, sum.Load())
}
