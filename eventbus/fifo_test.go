package eventbus

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a fifo holds after so many pushes, then so many pops.
func TestFifo(t *testing.T) {
	for _, c := range []struct {
		name         string
		pushes, pops int
		slots        int
	}{
		{"zero value", 0, 0, 0},
		{"one", 1, 0, 8},
		{"full", 8, 0, 8},
		{"one more", 9, 0, 16},
		{"few are kept", 8, 8, 8},
		{"just as many are kept", 64, 64, 64},
		{"more than a quarter used", 65, 32, 128},
		{"a quarter used", 65, 33, 64},
		{"twice a quarter", 129, 97, 64},
		{"many", 1000, 0, 1024},
		{"many, and all gone", 100_000, 100_000, 64},
		{"popped when empty", 3, 5, 8},
		{"popped when new", 0, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var f fifo[int]
			for i := range c.pushes {
				f.push(i)
			}
			for i := range c.pops {
				e, ok := f.pop()
				if want := i < c.pushes; ok != want || want && e != i || !want && e != 0 {
					t.Fatalf("pop %d is %d, %v", i, e, ok)
				}
			}
			left := max(c.pushes-c.pops, 0)
			assert.Equal(t, left, f.len())
			assert.Len(t, f.slots, c.slots)
			assert.Equal(t, left, f.clear())
			assert.Zero(t, f.len())
			assert.Nil(t, f.slots)
			f.push(7)
			e, ok := f.pop()
			assert.True(t, ok)
			assert.Equal(t, 7, e)
		})
	}
}

// Order survives growing and shrinking wherever in the ring the oldest is.
func TestFifoResizedAnywhere(t *testing.T) {
	for head := range 128 {
		for _, n := range []int{1, 63, 64, 200} {
			var f fifo[int]
			for range 65 { // 128 slots
				f.push(-1)
			}
			for range head {
				f.push(-1)
				f.pop()
			}
			for i := range n { // up to 512
				f.push(i)
			}
			for i := range 65 + n { // down to 64
				e, ok := f.pop()
				if want := max(i-65, -1); !ok || e != want {
					t.Fatalf("head %d, %d elements: %d, %v instead of %d", head, n, e, ok, want)
				}
			}
			require.Len(t, f.slots, fifoKeep)
		}
	}
}

// Any calls do what they do with a slice; memory is bounded by what is held, and
// the work of moving by the number of calls.
func TestFifoAgainstModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var f fifo[*int]
	var model []*int
	moved, longest := 0, 0
	const calls = 400_000
	share := 0
	for i := range calls {
		if i%4000 == 0 {
			share = rng.IntN(101) // of pushes, in percent
		}
		size := len(f.slots)
		switch {
		case rng.IntN(20_000) == 0:
			require.Equal(t, len(model), f.clear())
			require.Nil(t, f.slots)
			model, size = nil, 0
		case rng.IntN(100) < share:
			f.push(&i)
			model = append(model, &i)
		default:
			e, ok := f.pop()
			if ok != (len(model) > 0) || ok && e != model[0] || !ok && e != nil {
				t.Fatalf("call %d: pop is %v, %v with %d held", i, e, ok, len(model))
			}
			if ok {
				model = model[1:]
			}
		}
		longest = max(longest, len(model))
		if len(f.slots) != size {
			moved += f.len()
		}
		if f.len() != len(model) {
			t.Fatalf("call %d: %d long, not %d", i, f.len(), len(model))
		}
		if n := len(f.slots); n&(n-1) != 0 || n > fifoKeep && n >= 4*f.len() {
			t.Fatalf("call %d: %d slots for %d elements", i, n, f.len())
		}
		if i%101 == 0 {
			checkFifo(t, &f, model)
		}
	}
	checkFifo(t, &f, model)
	assert.Less(t, moved, 2*calls)
	t.Logf("%d calls, up to %d long, %d moves", calls, longest, moved)
}

// checkFifo looks at every slot: the free ones hold nothing.
func checkFifo(t *testing.T, f *fifo[*int], model []*int) {
	t.Helper()
	want := make([]*int, len(f.slots))
	for i, e := range model {
		want[(f.head+i)%len(want)] = e
	}
	for i := range want {
		if f.slots[i] != want[i] {
			t.Fatalf("slot %d of %d holds the wrong element", i, len(want))
		}
	}
	require.Equal(t, len(f.slots), cap(f.slots))
}

// To and fro across a bound is not resized each time.
func TestFifoDoesNotThrash(t *testing.T) {
	var f fifo[int]
	resized, size := 0, 0
	look := func() {
		if len(f.slots) != size {
			resized, size = resized+1, len(f.slots)
		}
	}
	for range 1025 {
		f.push(0)
	}
	look()
	resized = 0
	for range 5 { // at the bound of growing, and then of shrinking
		for range 100 {
			f.pop()
			look()
			f.push(0)
			look()
		}
		for f.len() > 512 {
			f.pop()
			look()
		}
		for range 100 {
			f.push(0)
			look()
			f.pop()
			look()
		}
		for f.len() < 1025 {
			f.push(0)
			look()
		}
	}
	assert.Equal(t, 10, resized, "down and up, five times")
}

// G41: what was popped or cleared is garbage although the queue lives.
func TestFifoLetsGo(t *testing.T) {
	f := new(fifo[*[64]byte])
	const n = 100
	made := make([]weak.Pointer[[64]byte], n)
	for i := range made {
		e := new([64]byte)
		made[i] = weak.Make(e)
		f.push(e)
	}
	dead := func() (n int) {
		runtime.GC()
		for _, p := range made {
			if p.Value() == nil {
				n++
			}
		}
		return n
	}
	assert.Zero(t, dead())
	for range 10 {
		f.pop()
	}
	assert.Equal(t, 10, dead())
	assert.Nil(t, made[9].Value())
	assert.NotNil(t, made[10].Value())
	f.clear()
	assert.Equal(t, n, dead())
	runtime.KeepAlive(f)
}

// G42: a length that varies within a factor of two allocates nothing, nor does
// any below the bound that is kept.
func TestFifoAllocations(t *testing.T) {
	for name, c := range map[string]struct{ least, most int }{
		"few":  {0, 64},
		"many": {300, 600},
	} {
		t.Run(name, func(t *testing.T) {
			var f fifo[[3]int]
			round := func() {
				for f.len() < c.most {
					f.push([3]int{})
				}
				for f.len() > c.least {
					f.pop()
				}
			}
			round()
			assert.Zero(t, testing.AllocsPerRun(100, round))
		})
	}
}
