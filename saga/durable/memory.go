package durable

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/saga"
)

// A MemoryStore is a [Store] and a [Watcher] that keeps runs in memory, for tests
// and for runs that need not outlive the process. Its zero value is ready. It is
// safe for concurrent use, and must not be copied once it is used.
//
// Every instant it returns is in UTC. Runs due at the same instant are claimed in
// the order in which they were created, and that is also the order of List. A
// Query.Limit that is negative is none. Claim refuses a request without Owner, and
// one whose TTL is zero.
//
// It has no goroutine and no timer. To arm a run and to claim one takes O(log n). A
// waiting run takes less than 1 KiB, if it was passed less than 400 bytes.
type MemoryStore struct {
	// Clock is that of WakeAt, by Now, and of the leases, by Since. Nil: system time.
	Clock saga.Clock

	begin sync.Once
	base  time.Time // written by begin

	// mu guards the fields below. The clock is read without it.
	mu       sync.Mutex
	runs     map[string]*memoryRun   // by ID
	slots    []memorySlot            // all runs, by number
	gone     int                     // how many of the slots are empty
	last     uint64                  // number of the newest run
	queues   map[string]*memoryQueue // by saga
	watchers map[chan struct{}]struct{}
}

// A memoryRun is one run. Its fields are guarded by MemoryStore.mu.
type memoryRun struct {
	head   Head     // without Labels
	labels []string // keys and values in turn: a map takes several times the memory
	events [][]byte // no byte of them ever changes: they are copied without mu
	number uint64   // in the order of creation
	over   int64    // when the lease is, as memoryNow.passed; never if it is endless
	key    int64    // in the heap it is in
	heap   *memoryHeap
	at     int // where in heap
}

// A memorySlot outlives its run, so that a slot is found by its number.
type memorySlot struct {
	number uint64
	run    *memoryRun // nil: deleted
}

// memoryNever is an instant that does not come.
const memoryNever = math.MaxInt64

// A memoryNow is one reading of the clock. What is compared is wall with WakeAt,
// which may come from elsewhere, and passed with the ends of leases: a clock that
// is set does not end them.
type memoryNow struct {
	date   time.Time
	wall   int64 // date in nanoseconds
	passed int64 // nanoseconds since MemoryStore.base
}

func (s *MemoryStore) now() memoryNow {
	t := timeline{s.Clock}
	s.begin.Do(func() { s.base = t.now() })
	date := t.now().UTC()
	return memoryNow{date: date, wall: memoryNanos(date), passed: int64(t.since(s.base))}
}

// memoryNanos is t in nanoseconds since 1970. What is too far away for that is as
// far as can be.
func memoryNanos(t time.Time) int64 {
	switch {
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	case t.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	default:
		return t.UnixNano()
	}
}

// memorySum is a+b, where b is not negative.
func memorySum(a, b int64) int64 {
	if a > memoryNever-b {
		return memoryNever
	}
	return a + b
}

// enter is why there can be no call, or nil.
func (s *MemoryStore) enter(ctx context.Context) error {
	switch {
	case s == nil:
		return errNilMemory
	case ctx == nil:
		return errNilContext
	}
	return context.Cause(ctx)
}

// Create is [Store.Create].
func (s *MemoryStore) Create(ctx context.Context, h Head, ttl time.Duration, events [][]byte) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	now, r := s.now(), &memoryRun{events: memoryCopies(events)}
	r.set(h, ttl, now)
	r.head.Rev, r.head.Epoch = 1, 1
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.runs[h.ID]; taken {
		return ErrConflict
	}
	if s.runs == nil {
		s.runs, s.queues = make(map[string]*memoryRun), make(map[string]*memoryQueue)
	}
	s.last++
	r.number = s.last
	s.runs[h.ID] = r
	s.slots = append(s.slots, memorySlot{r.number, r})
	s.arm(r, now)
	return nil
}

// Append is [Store.Append].
func (s *MemoryStore) Append(ctx context.Context, at uint64, h Head, ttl time.Duration, events [][]byte) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	now, array := s.now(), memoryArray(events)
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(h.ID, at)
	if err != nil {
		return err
	}
	r.set(h, ttl, now)
	r.head.Rev++
	r.events = memoryPieces(r.events, array, events) // beyond what a Load under way reads
	s.arm(r, now)
	return nil
}

// Load is [Store.Load].
func (s *MemoryStore) Load(ctx context.Context, id string) (Head, [][]byte, error) {
	if err := s.enter(ctx); err != nil {
		return Head{}, nil, err
	}
	s.mu.Lock()
	r, ok := s.runs[id]
	if !ok {
		s.mu.Unlock()
		return Head{}, nil, ErrNotFound
	}
	h, events := r.summary(), r.events
	s.mu.Unlock()
	return h, memoryCopies(events), nil
}

// Delete is [Store.Delete].
func (s *MemoryStore) Delete(ctx context.Context, id string, at uint64) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(id, at)
	if err != nil {
		return err
	}
	if !r.head.Status.Ended() {
		return ErrConflict
	}
	delete(s.runs, id)
	s.vacate(r.number)
	return nil
}

// find is the run with that ID and Rev. mu is held.
func (s *MemoryStore) find(id string, at uint64) (*memoryRun, error) {
	r, ok := s.runs[id]
	switch {
	case !ok:
		return nil, ErrNotFound
	case r.head.Rev != at:
		return nil, ErrConflict
	default:
		return r, nil
	}
}

// set replaces the head, but for Rev and Epoch.
func (r *memoryRun) set(h Head, ttl time.Duration, now memoryNow) {
	old := r.head
	r.head, r.labels = h, nil
	if len(h.Labels) > 0 {
		r.labels = make([]string, 0, 2*len(h.Labels))
		for k, v := range h.Labels {
			r.labels = append(r.labels, k, v)
		}
	}
	r.head.Labels = nil
	r.head.Rev, r.head.Epoch = old.Rev, old.Epoch
	r.head.Owner, r.head.LeaseUntil = old.Owner, old.LeaseUntil
	// UTC also takes off the monotonic reading: of instants of which some have one
	// the order would not be transitive.
	r.head.WakeAt, r.head.CreatedAt, r.head.UpdatedAt = h.WakeAt.UTC(), h.CreatedAt.UTC(), h.UpdatedAt.UTC()
	r.lease(h.Owner, ttl, now)
}

// lease gives, renews, releases or leaves the lease.
func (r *memoryRun) lease(owner string, ttl time.Duration, now memoryNow) {
	switch {
	case owner == "":
		r.head.Owner, r.head.LeaseUntil, r.over = "", time.Time{}, 0
	case ttl > 0:
		r.head.Owner, r.head.LeaseUntil, r.over = owner, now.date.Add(ttl), memorySum(now.passed, int64(ttl))
	case ttl < 0:
		r.head.Owner, r.head.LeaseUntil, r.over = owner, time.Time{}, memoryNever
	}
}

// summary is a copy of the head.
func (r *memoryRun) summary() Head {
	h := r.head
	if len(r.labels) > 0 {
		h.Labels = make(map[string]string, len(r.labels)/2)
		for i := 0; i < len(r.labels); i += 2 {
			h.Labels[r.labels[i]] = r.labels[i+1]
		}
	}
	return h
}

// memoryCopies copies payloads.
func memoryCopies(events [][]byte) [][]byte {
	if len(events) == 0 {
		return nil
	}
	return memoryPieces(make([][]byte, 0, len(events)), memoryArray(events), events)
}

// memoryArray is room for payloads.
func memoryArray(events [][]byte) []byte {
	size := 0
	for _, e := range events {
		size += len(e)
	}
	if size == 0 {
		return nil
	}
	return make([]byte, 0, size)
}

// memoryPieces adds payloads to a list, copied into an array.
func memoryPieces(list [][]byte, array []byte, events [][]byte) [][]byte {
	for _, e := range events {
		from := len(array)
		array = append(array, e...)
		list = append(list, array[from:len(array):len(array)])
	}
	return list
}
