package balance

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// slotTable is the alternative to tickets: slots with generations in one table,
// the free ones in a list of their numbers. See ADR 23.
type slotTable struct {
	head  atomic.Uint64 // number of the first free slot, plus 1, below a count of changes
	slots []tableSlot
}

type tableSlot struct {
	gen  atomic.Uint64
	next atomic.Uint64
	e    *entry
}

func newSlotTable(n int) *slotTable {
	t := &slotTable{slots: make([]tableSlot, n)}
	for i := range t.slots {
		t.put(uint64(i))
	}
	return t
}

const numberBits = 20

func (t *slotTable) get() (i, gen uint64) {
	for {
		head := t.head.Load()
		i := head&(1<<numberBits-1) - 1
		next := t.slots[i].next.Load()
		if t.head.CompareAndSwap(head, (head>>numberBits+1)<<numberBits|next) {
			return i, t.slots[i].gen.Load()
		}
	}
}

func (t *slotTable) put(i uint64) {
	for {
		head := t.head.Load()
		t.slots[i].next.Store(head & (1<<numberBits - 1))
		if t.head.CompareAndSwap(head, (head>>numberBits+1)<<numberBits|(i+1)) {
			return
		}
	}
}

// BenchmarkTickets compares tickets with slots in a table, each taken and given
// back, by 1, 2 and 8 goroutines that use eight endpoints in turn; "pool" is
// without the spare ticket of a member.
func BenchmarkTickets(b *testing.B) {
	for _, goroutines := range []int{1, 2, 8} {
		lb := &Balancer{}
		lb.tickets.New = func() any { return &ticket{b: lb} }
		var entries [8]entry
		for i := range entries {
			entries[i].m = &member{}
		}
		b.Run(fmt.Sprintf("ticket/%d", goroutines), func(b *testing.B) {
			together(b, goroutines, func(i int) {
				p := lb.issue(&entries[i%8], nil, 0)
				p.t.end(p.gen)
			})
		})
		b.Run(fmt.Sprintf("pool/%d", goroutines), func(b *testing.B) {
			together(b, goroutines, func(i int) {
				t := lb.tickets.Get().(*ticket)
				t.m = entries[i%8].m
				if t.gen.CompareAndSwap(t.gen.Load(), t.gen.Load()+1) {
					t.m = nil
					lb.tickets.Put(t)
				}
			})
		})
		table := newSlotTable(1 << 10)
		b.Run(fmt.Sprintf("table/%d", goroutines), func(b *testing.B) {
			together(b, goroutines, func(k int) {
				i, gen := table.get()
				table.slots[i].e = &entries[k%8]
				if table.slots[i].gen.CompareAndSwap(gen, gen+1) {
					table.slots[i].e = nil
					table.put(i)
				}
			})
		})
	}
}

// together divides the b.N calls of fn among some goroutines.
func together(b *testing.B, goroutines int, fn func(i int)) {
	b.Helper()
	b.ReportAllocs()
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := g; i < b.N; i += goroutines {
				fn(i)
			}
		})
	}
	wg.Wait()
}
