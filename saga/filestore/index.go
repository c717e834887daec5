package filestore

import (
	"slices"
	"time"
)

// An index finds runs: by ID, by number, and by when they are due.
type index struct {
	byID  map[string]*run
	order []*run // by number; deleted ones stay until they are many
	gone  int    // how many of them are deleted
	due   map[string]*agenda
	ended int
	next  uint64 // number of the next run
}

// An agenda is what is to be executed of one saga.
type agenda struct {
	free   heap // without a lease, by wake-up
	leased heap // with one that ends, by its end
}

func newIndex() index {
	return index{byID: make(map[string]*run), due: make(map[string]*agenda), next: 1}
}

// from returns where in order the first run with a number above num is.
func (x *index) from(num uint64) int {
	i, found := slices.BinarySearchFunc(x.order, num, func(r *run, num uint64) int {
		switch {
		case r.num < num:
			return -1
		case r.num > num:
			return 1
		default:
			return 0
		}
	})
	if found {
		i++
	}
	return i
}

// numbered returns the run of a number, or nil.
func (x *index) numbered(num uint64) *run {
	if i := x.from(num); i > 0 && x.order[i-1].num == num && x.order[i-1].exists() {
		return x.order[i-1]
	}
	return nil
}

// put makes a run found: it has been written. Runs are written in the order of
// their numbers.
func (x *index) put(r *run) {
	x.order = append(x.order, r)
	x.next = max(x.next, r.num+1)
}

// drop takes out a run that was deleted.
func (x *index) drop(r *run) {
	r.deleted = true
	delete(x.byID, r.head.ID)
	x.gone++
	if x.gone > 64 && x.gone > len(x.order)/2 {
		x.order = slices.DeleteFunc(x.order, func(r *run) bool { return r.deleted })
		x.gone = 0
	}
}

// plan enters a run where claims look for it.
func (x *index) plan(r *run) {
	if r.head.Status.Ended() {
		x.ended++
	}
	if r.lease == never || !claimable(&r.head) {
		return
	}
	a := x.due[r.head.Saga]
	if a == nil {
		a = &agenda{free: heap{less: byWake}, leased: heap{less: byLease}}
		x.due[r.head.Saga] = a
	}
	if r.lease == noLease {
		a.free.add(r)
	} else {
		a.leased.add(r)
	}
}

// unplan takes it out there.
func (x *index) unplan(r *run) {
	if r.head.Rev > 0 && r.head.Status.Ended() {
		x.ended--
	}
	if r.heap != nil {
		r.heap.remove(r)
	}
}

// soonest returns when the first run of a saga is due, and when the first lease
// ends.
func (x *index) soonest(saga string) (wake time.Time, lease int64) {
	wake, lease = time.Unix(1<<62, 0), never
	if a := x.due[saga]; a != nil {
		if r := a.free.top(); r != nil {
			wake = r.head.WakeAt
		}
		if r := a.leased.top(); r != nil {
			lease = r.lease
		}
	}
	return wake, lease
}
