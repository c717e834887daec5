package balance

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
)

// What keys come to is the same on every platform (G30): on 386 all is done in
// 32-bit registers, on arm64 and s390x the compiler fuses and reorders, and
// bytes are in the other order on s390x. A change of these tables is a change of
// where keys go between two releases, and breaks the promise.

var (
	goldenIDs     = []string{"orders-0", "orders-1", "orders-2", "10.0.0.7:8080", "[2001:db8::1]:443", "", "z"}
	goldenWeights = []int{100, 100, 250, 1, 1_000, 999, 7}
)

// goldenKeys are 0, 1, 2 and other counted ones, and some that are hashed.
func goldenKeys() []uint64 {
	keys := []uint64{0, 1, 2, 3, 1 << 32, 1 << 63, ^uint64(0)}
	for _, s := range []string{"", "a", "user-42", "10.0.0.7:8080", "orders-0"} {
		keys = append(keys, HashKey(s))
	}
	x := uint64(0)
	for range 20 {
		x += 0x0123456789abcdef
		keys = append(keys, mix(x))
	}
	return keys
}

func TestG30_MaglevIsTheSameForEver(t *testing.T) {
	for _, c := range []struct {
		name    string
		weights []int
		size    int
		want    string // an index for each key
		sum     uint64
	}{
		{"equal", repeated(100, 7), usualTable, "53123366044111403404064616262422", 0x42e37c8c08c95a08},
		{"weighted", goldenWeights, usualTable, "55524554544511404454544544552425", 0x3e0ba428d586872e},
		{"small", []int{1, 2, 3, 4, 5, 6, 7}, 101, "65454642046364524363456656525436", 0xb8040393bd692dea},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMaglev(goldenIDs, c.weights, c.size)
			got, sum := "", uint64(0)
			for _, key := range goldenKeys() {
				got += strconv.Itoa(m.at(key))
			}
			for _, i := range m.slots {
				sum = mix(sum ^ uint64(i))
			}
			assert.Equal(t, c.want, got)
			assert.Equal(t, c.sum, sum, "%#x", sum)
		})
	}
}

func TestG30_RendezvousIsTheSameForEver(t *testing.T) {
	for _, c := range []struct {
		name    string
		weights []int
		want    string // an index for each key
		sum     uint64
	}{
		{"equal", repeated(100, 7), "53255601133555140000516652550300", 0xb7607fdacf6f3cdb},
		{"weighted", goldenWeights, "55555454145555140405555552550545", 0x0f9bcf03045af856},
		{"small", []int{1, 2, 3, 4, 5, 6, 7}, "53655651143555143406516652550345", 0x8c7e9897366260c2},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRendezvous(goldenIDs, c.weights)
			got, sum := "", uint64(0)
			for _, key := range goldenKeys() {
				got += strconv.Itoa(r.best(key, nil))
			}
			for key := range uint64(100_000) {
				sum = mix(sum ^ uint64(r.best(key, nil)))
			}
			assert.Equal(t, c.want, got)
			assert.Equal(t, c.sum, sum, "%#x", sum)
		})
	}
}

// The logarithm to the last bit.
func TestG30_ExponentialIsTheSameForEver(t *testing.T) {
	for u, want := range map[uint64]uint64{
		1: 0xb17217f7d1cf7980, 3: 0xad0d1d59268eb6db, 1 << 40: 0x428ac8fceeadcd90,
		rootHalf - 1: 0x0162e42fefa39ef3, rootHalf: 0x0162e42fefa39ef3,
		1<<63 - 1: ln2, 1 << 63: ln2,
		0xdeadbeefcafef00d: 0x008ecb563109b468, 0x0123456789abcdef: 0x15aa16394d481f00,
		0xfffffffffff00001: 0x3fff, 0xfffffffffffffffe: 0,
	} {
		got := exponential(u)
		assert.Equal(t, want, got, "%#x: %#x", u, got)
	}
	sum := uint64(0)
	for x := range uint64(100_000) {
		sum = mix(sum ^ exponential(mix(x)|1))
	}
	assert.Equal(t, uint64(0xa442c905f8964b9d), sum, "%#x", sum)
}

// A rotation is not promised for ever, but it is the same everywhere.
func TestG28_RotationOnEveryPlatform(t *testing.T) {
	sum := uint64(0)
	for _, i := range newRotation(somePrimes).slots {
		sum = mix(sum ^ uint64(i))
	}
	assert.Equal(t, uint64(0xf10fcb4519fb53a0), sum, "%#x", sum)
}
