package filestore_test

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
)

// BenchmarkAppend: every one of so many callers at a time appends to a run of its
// own, 300 bytes each, synced.
func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 16, 64, 1024} {
		b.Run(fmt.Sprintf("inflight=%d", callers), func(b *testing.B) {
			s := open(b, b.TempDir(), filestore.Config{})
			events := [][]byte{make([]byte, 300)}
			for i := range callers {
				create(b, s, head(strconv.Itoa(i)))
			}
			b.ReportAllocs()
			before := s.Stats().Syncs
			b.ResetTimer()
			var left atomic.Int64
			left.Store(int64(b.N))
			var all sync.WaitGroup
			for i := range callers {
				all.Go(func() {
					h := head(strconv.Itoa(i))
					for rev := uint64(1); left.Add(-1) >= 0; rev++ {
						if err := s.Append(bg, rev, h, 0, events); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(s.Stats().Syncs-before)/float64(b.N), "syncs/op")
		})
	}
}

// BenchmarkReopen: a directory with 1M records of 100,000 runs is opened.
func BenchmarkReopen(b *testing.B) {
	const runs, records = 100_000, 1_000_000
	dir := b.TempDir()
	s := open(b, dir, filestore.Config{NoSync: true})
	events := [][]byte{make([]byte, 100)}
	var all sync.WaitGroup
	for w := range 64 {
		all.Go(func() {
			for i := w; i < runs; i += 64 {
				h := head("order-" + strconv.Itoa(i))
				if err := s.Create(bg, h, 0, events); err != nil {
					b.Error(err)
					return
				}
				for rev := uint64(1); rev < records/runs; rev++ {
					h.Step = "step-" + strconv.Itoa(int(rev))
					if err := s.Append(bg, rev, h, 0, events); err != nil {
						b.Error(err)
						return
					}
				}
			}
		})
	}
	all.Wait()
	closeStore(b, s)
	b.ReportAllocs()
	for b.Loop() {
		s, err := filestore.Open(dir, filestore.Config{})
		if err != nil {
			b.Fatal(err)
		}
		if n := s.Stats().Records; n != records {
			b.Fatal(n, "records")
		}
		closeStore(b, s)
	}
}

// BenchmarkLoad reads a run of ten records, BenchmarkClaim hands one out.
func BenchmarkLoad(b *testing.B) {
	s := open(b, b.TempDir(), filestore.Config{NoSync: true})
	h := head("a")
	create(b, s, h)
	for rev := uint64(1); rev < 10; rev++ {
		if err := s.Append(bg, rev, h, 0, [][]byte{make([]byte, 100)}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := s.Load(bg, "a"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkClaim claims one of 100,000 runs that are due.
func BenchmarkClaim(b *testing.B) {
	s := open(b, b.TempDir(), filestore.Config{NoSync: true})
	for i := range 100_000 {
		h := head(strconv.Itoa(i))
		h.Status, h.WakeAt = saga.Waiting, time.Unix(int64(i), 0)
		create(b, s, h)
	}
	req := durable.ClaimRequest{Owner: "bench", TTL: time.Nanosecond, Limit: 1, Sagas: []string{"checkout"}}
	b.ReportAllocs()
	for b.Loop() {
		if heads, _, err := s.Claim(bg, req); err != nil || len(heads) != 1 {
			b.Fatal(heads, err)
		}
	}
}
