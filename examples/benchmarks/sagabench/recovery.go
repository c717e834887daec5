package sagabench

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
)

// A tape is a store that keeps what is written of one run.
type tape struct {
	durable.Store
	mu     sync.Mutex
	writes []write
}

// A write is one to a store.
type write struct {
	head   durable.Head
	ttl    time.Duration
	events [][]byte
}

func (t *tape) Create(ctx context.Context, h durable.Head, ttl time.Duration, events [][]byte) error {
	t.record(h, ttl, events)
	return t.Store.Create(ctx, h, ttl, events)
}

func (t *tape) Append(ctx context.Context, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
	t.record(h, ttl, events)
	return t.Store.Append(ctx, at, h, ttl, events)
}

func (t *tape) record(h durable.Head, ttl time.Duration, events [][]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	own := make([][]byte, len(events)) // what is passed to a store is used again
	for i, e := range events {
		own[i] = slices.Clone(e)
	}
	t.writes = append(t.writes, write{h, ttl, own})
}

func (t *tape) recorded() []write {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.writes[:len(t.writes):len(t.writes)]
}

// recordings are what an engine writes of a saga until it is in the middle of its
// third step, and until its end.
func recordings() (unfinished, finished []write) {
	t := &tape{Store: &durable.MemoryStore{}}
	steps := make([]saga.Step[int], durableSteps)
	for i := range steps {
		steps[i] = saga.Step[int]{Name: stepNames[i], Do: count, Undo: uncount}
	}
	steps[2].Do = func(ctx context.Context, n *int) error {
		unfinished = t.recorded()
		return count(ctx, n)
	}
	e := got(durable.Open(t, durable.Config{}))
	def := saga.MustNew(sagaName, steps)
	must(durable.Register(e, def))
	got(got(durable.Start(background, e, def, "order", 0)).Wait(background))
	must(e.Close(background))
	return unfinished, t.recorded()
}

// fill writes what was recorded for each of n runs into a new directory. The lease
// that is in it ends with the process that had it.
func fill(writes []write, n int) (dir string, remove func()) {
	dir, remove = directory()
	store := got(filestore.Open(dir, filestore.Config{NoSync: true}))
	each(n, func(i int) {
		for rev, w := range writes {
			h := w.head
			h.ID = "order-" + strconv.Itoa(i)
			if rev == 0 {
				must(store.Create(background, h, w.ttl, w.events))
			} else {
				must(store.Append(background, uint64(rev), h, w.ttl, w.events))
			}
		}
	})
	must(store.Close(background))
	return dir, remove
}

// each calls do for each number below n, 64 at a time.
func each(n int, do func(i int)) {
	const workers = 64
	var next atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	all.Wait()
}

// reading is how long it takes to read the files of a directory, and no more.
func reading(dir string) time.Duration {
	begin := time.Now()
	for _, file := range got(os.ReadDir(dir)) {
		f := got(os.Open(filepath.Join(dir, file.Name())))
		got(io.Copy(io.Discard, struct{ io.Reader }{f}))
		must(f.Close())
	}
	return time.Since(begin)
}

// reopened is how long it takes to open a directory that has so many records.
func reopened(records int) (n int, took, floor time.Duration) {
	_, writes := recordings()
	runs := max(1, records/len(writes))
	dir, remove := fill(writes, runs)
	defer remove()
	floor = reading(dir)
	begin := time.Now()
	store := got(filestore.Open(dir, filestore.Config{}))
	took = time.Since(begin)
	s := store.Stats()
	must(want(s.Runs == runs && s.Unended == 0 && s.Records == uint64(runs*len(writes)), "there are %d runs and %d records", s.Runs, s.Records))
	must(store.Close(background))
	return int(s.Records), took, floor
}

// left is how long it takes to list runs that another process has left in the
// middle of a step, and to bring them to their end.
func left(runs int) (listing, resuming, floor time.Duration) {
	writes, _ := recordings()
	dir, remove := fill(writes, runs)
	defer remove()
	floor = reading(dir)
	store := got(filestore.Open(dir, filestore.Config{}))
	defer func() { must(store.Close(background)) }()

	m := &made{}
	var ended atomic.Int64
	over := make(chan struct{})
	e := got(durable.Open(store, durable.Config{Hooks: saga.Hooks{Status: func(_ context.Context, ev saga.StatusEvent) {
		if ev.To.Ended() && ended.Add(1) == int64(runs) {
			close(over)
		}
	}}}))
	defer func() { must(e.Close(background)) }()

	begin := time.Now()
	listed := 0
	for h, err := range e.List(background, durable.Query{Saga: sagaName, Limit: 1000}) {
		must(err)
		must(want(h.Status == saga.Running && h.Step == stepNames[2], "%s is %s at %s", h.ID, h.Status, h.Step))
		listed++
	}
	listing = time.Since(begin)
	must(want(listed == runs, "%d runs are listed", listed))

	begin = time.Now()
	must(durable.Register(e, oursSaga(load{}, m)))
	<-over
	resuming = time.Since(begin)
	s, steps := store.Stats(), int64((durableSteps-2)*runs)
	must(want(s.Unended == 0 && m.steps.Load() == steps, "%d runs have not ended, and there were %d steps, not %d", s.Unended, m.steps.Load(), steps))
	return listing, resuming, floor
}

// recovery is a table of what happens after a crash.
func recovery(runs, records int) bench.Table {
	return bench.Table{
		Name: "After a crash",
		Note: "With filestore. Runs were left in the middle of the third of five steps; to resume them is to make that step again and the two after it, synced, 64 runs at a time. " +
			"In the cache of the system are all files, and how long it takes to read them is told beside. Of the rivals none is here: they take hours for so many. Measured once.",
		Columns: []string{"", "how many", "seconds", "per second", "reading the files alone, seconds", "bar", ""},
		Rows: func() [][]string {
			n, reopening, readingAll := reopened(records)
			listing, resuming, readingLeft := left(runs)
			scan := float64(runs) / listing.Seconds()
			return [][]string{
				recovered("records in a directory that is opened", n, reopening, readingAll, "<= 2 s", reopening <= 2*time.Second),
				recovered("runs listed", runs, listing, readingLeft, ">= 50000 per second", scan >= 50_000),
				recovered("runs resumed", runs, resuming, readingLeft, "<= 10 s", resuming <= 10*time.Second),
			}
		},
	}
}

func recovered(what string, n int, took, floor time.Duration, bar string, met bool) []string {
	verdict := "met"
	if !met {
		verdict = "**missed**"
	}
	return []string{
		what, strconv.Itoa(n), seconds(took), strconv.Itoa(int(float64(n) / took.Seconds())), seconds(floor), bar, verdict,
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
