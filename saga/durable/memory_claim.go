package durable

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mainstay-go/mainstay/saga"
)

// A memoryQueue is the runs of one saga that come due by themselves. The others,
// and those with an endless lease, are in neither heap.
type memoryQueue struct {
	asleep memoryHeap // without a lease, by WakeAt
	leased memoryHeap // with one, by its end; it may be over, which Claim looks after
}

// arm puts a run where it belongs after it has changed, and tells the watchers if
// something comes due earlier than Claim has told them. If nothing does, they need
// not know: what is ahead of this run will make them ask. mu is held.
func (s *MemoryStore) arm(r *memoryRun, now memoryNow) {
	q, ok := s.queues[r.head.Saga]
	if !ok {
		q = new(memoryQueue)
		s.queues[r.head.Saga] = q
	}
	asleep, leased := q.asleep.first(), q.leased.first()
	r.disarm()
	switch {
	case !memoryClaimable(r.head.Status) || r.head.WakeAt.IsZero():
	case r.head.Owner == "" || r.over <= now.passed:
		q.asleep.add(r, memoryNanos(r.head.WakeAt))
	case r.over < memoryNever:
		q.leased.add(r, r.over)
	}
	if q.asleep.first() < asleep || q.leased.first() < leased {
		s.tell()
	}
}

// memoryClaimable reports whether a run of that status can be claimed.
func memoryClaimable(s saga.Status) bool {
	return s == saga.Running || s == saga.Waiting || s == saga.Compensating
}

// Claim is [Store.Claim].
func (s *MemoryStore) Claim(ctx context.Context, req ClaimRequest) (heads []Head, next time.Duration, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, -1, err
	}
	switch {
	case req.Owner == "":
		return nil, -1, errors.New("durable: ClaimRequest.Owner is empty")
	case req.TTL == 0:
		return nil, -1, fmt.Errorf("durable: ClaimRequest.TTL of %q is zero", req.Owner)
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	queues := make([]*memoryQueue, 0, len(req.Sagas))
	for _, name := range req.Sagas {
		if q, ok := s.queues[name]; ok {
			q.expire(now)
			queues = append(queues, q)
		}
	}
	for len(heads) < req.Limit {
		r := memoryEarliest(queues)
		if r == nil || r.key > now.wall {
			break
		}
		r.head.Rev++
		r.head.Epoch++
		r.lease(req.Owner, req.TTL, now)
		s.arm(r, now)
		heads = append(heads, r.summary())
	}
	return heads, memoryNext(queues, now), nil
}

// expire moves the runs whose lease is over to where they can be claimed.
func (q *memoryQueue) expire(now memoryNow) {
	for q.leased.first() <= now.passed {
		r := q.leased.runs[0]
		r.disarm()
		q.asleep.add(r, memoryNanos(r.head.WakeAt))
	}
}

// memoryEarliest is the run without a lease that comes due first; nil: there is
// none.
func memoryEarliest(queues []*memoryQueue) *memoryRun {
	var earliest *memoryRun
	for _, q := range queues {
		if q.asleep.Len() > 0 && (earliest == nil || q.asleep.runs[0].before(earliest)) {
			earliest = q.asleep.runs[0]
		}
	}
	return earliest
}

// memoryNext is how long it takes until one of the runs may be due.
func memoryNext(queues []*memoryQueue, now memoryNow) time.Duration {
	next := int64(-1)
	least := func(h *memoryHeap, now int64) {
		if rest := memoryRest(h.first(), now); h.Len() > 0 && (next < 0 || rest < next) {
			next = rest
		}
	}
	for _, q := range queues {
		least(&q.asleep, now.wall)
		least(&q.leased, now.passed)
	}
	return time.Duration(next)
}

// memoryRest is how long it is from now until at; 0 if that has come.
func memoryRest(at, now int64) int64 {
	switch rest := at - now; {
	case at <= now:
		return 0
	case rest < 0: // more than can be told
		return memoryNever
	default:
		return rest
	}
}

// A memoryHeap has the run with the lowest key first.
type memoryHeap struct{ runs []*memoryRun }

// first is the lowest key.
func (h *memoryHeap) first() int64 {
	if len(h.runs) == 0 {
		return memoryNever
	}
	return h.runs[0].key
}

// add adds a run that is in no heap.
func (h *memoryHeap) add(r *memoryRun, key int64) {
	r.key, r.heap = key, h
	heap.Push(h, r)
}

// disarm takes a run out of the heap it is in, if any.
func (r *memoryRun) disarm() {
	if r.heap != nil {
		heap.Remove(r.heap, r.at)
		r.heap = nil
	}
}

// before reports whether r is ahead of another run.
func (r *memoryRun) before(other *memoryRun) bool {
	return r.key < other.key || r.key == other.key && r.number < other.number
}

// Len, Less, Swap, Push and Pop are those of heap.Interface.
func (h *memoryHeap) Len() int           { return len(h.runs) }
func (h *memoryHeap) Less(i, j int) bool { return h.runs[i].before(h.runs[j]) }

func (h *memoryHeap) Swap(i, j int) {
	h.runs[i], h.runs[j] = h.runs[j], h.runs[i]
	h.runs[i].at, h.runs[j].at = i, j
}

func (h *memoryHeap) Push(r any) {
	added := r.(*memoryRun)
	added.at = len(h.runs)
	h.runs = append(h.runs, added)
}

func (h *memoryHeap) Pop() any {
	last := len(h.runs) - 1
	r := h.runs[last]
	h.runs[last] = nil
	h.runs = h.runs[:last]
	return r
}
