package eventbus

// A fifo is a queue that grows on demand and gives memory back as it empties.
// Pure: the caller holds the lock. The zero value is empty and ready for use.
//
// It doubles when full and halves when only a quarter is in use, so that at
// least a quarter of the slots must come or go before the next time: a call
// costs O(1) on average, and a length that varies within a factor of two
// allocates nothing. An empty fifo holds at most fifoKeep slots, whatever it
// held before.
type fifo[E any] struct {
	slots []E // a ring; its length is zero or a power of two
	head  int // of the oldest
	n     int
}

const (
	fifoFirst = 8  // slots when the first element comes
	fifoKeep  = 64 // so few are not worth giving back
)

func (f *fifo[E]) len() int { return f.n }

func (f *fifo[E]) push(e E) {
	if f.n == len(f.slots) {
		f.resize(max(2*f.n, fifoFirst))
	}
	f.slots[(f.head+f.n)&(len(f.slots)-1)] = e
	f.n++
}

// pop removes the oldest element. Its slot is cleared: the queue may stay as it
// is for long, and must not keep alive what has left it.
func (f *fifo[E]) pop() (e E, ok bool) {
	if f.n == 0 {
		return e, false
	}
	var none E
	e, f.slots[f.head] = f.slots[f.head], none
	f.head = (f.head + 1) & (len(f.slots) - 1)
	f.n--
	if size := len(f.slots); size > fifoKeep && f.n <= size/4 {
		f.resize(size / 2)
	}
	return e, true
}

// clear drops everything, with the memory, and returns how many that were.
func (f *fifo[E]) clear() int {
	n := f.n
	*f = fifo[E]{}
	return n
}

// resize moves the elements to the begin of a ring of that size.
func (f *fifo[E]) resize(size int) {
	slots := make([]E, size)
	k := copy(slots, f.slots[f.head:min(f.head+f.n, len(f.slots))])
	copy(slots[k:], f.slots[:f.n-k])
	f.slots, f.head = slots, 0
}
