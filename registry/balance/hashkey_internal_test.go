package balance

import (
	"math"
	"math/bits"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The same in every process, on every platform and in every release (G30).
// These answers must never change.
func TestG30_HashKeyIsTheSameForEver(t *testing.T) {
	for s, want := range map[string]uint64{
		"":    0xef46db3751d8e999,
		"a":   0xd24ec4f1a98c6e5b,
		"abc": 0x44bc2cf5ad770999,
		"Nobody inspects the spammish repetition": 0xfbcea83c8a378bf1,
		"user-42":                0x397e9d3a76af7c81,
		"10.0.0.7:8080":          0xbedb561328e57b29,
		"\x00":                   0xe934a84adb052768,
		"\xff\xfe\xfd":           0x622529177845a110,
		"0123":                   0x4c33072b45647dcb,
		"01234567":               0xe4ba22a49ad89d3f,
		"0123456789abcdef":       0x5c5b90c34e376d0b,
		strings.Repeat("x", 31):  0x60dd0d01083b99f0,
		strings.Repeat("x", 32):  0xe2df261fc2ec30eb,
		strings.Repeat("x", 63):  0xb8467bf77f6c2c48,
		strings.Repeat("x", 64):  0xa97161d5402f516e,
		strings.Repeat("x", 1e6): 0x16c7c43f6b9adc14,
		"a string with \u00fcml\u00e4uts, of which the bytes count": 0xa82c9d3cd07aea66,
	} {
		assert.Equal(t, want, HashKey(s), "%.40q", s)
	}
}

// plainXXH64 is the algorithm as its specification puts it, byte by byte.
func plainXXH64(s []byte, seed uint64) uint64 {
	read := func(p, n int) (v uint64) {
		for i := range n {
			v |= uint64(s[p+i]) << (8 * i)
		}
		return v
	}
	round := func(acc, in uint64) uint64 { return bits.RotateLeft64(acc+in*prime2, 31) * prime1 }
	acc, p := seed+prime5, 0
	if len(s) >= 32 {
		accs := [4]uint64{seed + prime1 + prime2, seed + prime2, seed, seed - prime1}
		for ; p+32 <= len(s); p += 32 {
			for i := range accs {
				accs[i] = round(accs[i], read(p+8*i, 8))
			}
		}
		acc = 0
		for i, by := range []int{1, 7, 12, 18} {
			acc += bits.RotateLeft64(accs[i], by)
		}
		for _, a := range accs {
			acc = (acc^round(0, a))*prime1 + prime4
		}
	}
	acc += uint64(len(s))
	for ; p+8 <= len(s); p += 8 {
		acc = bits.RotateLeft64(acc^round(0, read(p, 8)), 27)*prime1 + prime4
	}
	if p+4 <= len(s) {
		acc = bits.RotateLeft64(acc^read(p, 4)*prime1, 23)*prime2 + prime3
		p += 4
	}
	for ; p < len(s); p++ {
		acc = bits.RotateLeft64(acc^read(p, 1)*prime5, 11) * prime1
	}
	acc = (acc ^ acc>>33) * prime2
	acc = (acc ^ acc>>29) * prime3
	return acc ^ acc>>32
}

func FuzzHashKey(f *testing.F) {
	f.Add("", uint64(0))
	f.Add("a", uint64(1))
	f.Add("user-42", uint64(math.MaxUint64))
	f.Add(strings.Repeat("0123456789", 15), uint64(2654435761))
	f.Fuzz(func(t *testing.T, s string, seed uint64) {
		if got, want := xxh64(s, seed), plainXXH64([]byte(s), seed); got != want {
			t.Fatalf("xxh64(%q, %d) is %#x, not %#x", s, seed, got, want)
		}
		if HashKey(s) == 0 {
			t.Fatalf("HashKey(%q) is 0", s)
		}
	})
}

func TestHashKeyOfEveryLength(t *testing.T) {
	rng := seeded(5)
	for n := range 300 {
		s := make([]byte, n)
		for i := range s {
			s[i] = byte(rng.Uint32())
		}
		require.Equal(t, plainXXH64(s, 0), HashKey(string(s)), "%d bytes", n)
		require.NotEqual(t, HashKey(string(s)), idHash(string(s)), "%d bytes", n)
	}
}

// A string of which XXH64 is 0 was found by going backward from 0, which 8 bytes
// allow. It has a key all the same.
func TestHashKeyIsNeverZero(t *testing.T) {
	const zero = "\x73\x85\x80\x7d\x8f\x0b\x53\x39"
	require.Zero(t, xxh64(zero, 0))
	assert.Equal(t, uint64(1), HashKey(zero))
}

// Ids are hashed apart from keys, and the same for ever too.
func TestG30_IDHashIsTheSameForEver(t *testing.T) {
	for id, want := range map[string]uint64{
		"": 0x46b4f9574083fcf9, "a": 0x198bbf2921aac8ba, "10.0.0.7:8080": 0xf2ef703d06e97f3a, "orders-0": 0x5fd9a8083971012c,
	} {
		assert.Equal(t, want, idHash(id), "%q", id)
	}
}

func TestG30_MixIsTheSameForEver(t *testing.T) {
	// The first numbers of SplitMix64 with seed 0, which are published.
	for i, want := range []uint64{0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4, 0x06c45d188009454f} {
		x := uint64(i)
		assert.Equal(t, want, mix(x*increment), "%d", i)
	}
}

// unmix goes backward, so mix is one to one.
func unmix(x uint64) uint64 {
	x ^= x>>31 ^ x>>62
	x *= 0x319642b2d24d8ec3
	x ^= x>>27 ^ x>>54
	x *= 0x96de1b173f119089
	x ^= x>>30 ^ x>>60
	return x - increment
}

func TestMixIsOneToOne(t *testing.T) {
	rng := seeded(6)
	for range 10_000 {
		x := rng.Uint64() >> rng.IntN(64)
		require.Equal(t, x, unmix(mix(x)))
	}
}

// Any bit that changes in the input changes every bit of the output in half of
// the cases.
func TestMixAndHashKeyAvalanche(t *testing.T) {
	const rounds = 4000
	for _, c := range []struct {
		name string
		fn   func(uint64) uint64
	}{
		{"mix", mix},
		{"HashKey", func(x uint64) uint64 {
			var s [8]byte
			for i := range s {
				s[i] = byte(x >> (8 * i))
			}
			return HashKey(string(s[:]))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rng := seeded(7)
			for in := range 64 {
				var flips [64]int
				for range rounds {
					x := rng.Uint64()
					for d := c.fn(x) ^ c.fn(x^1<<in); d != 0; d &= d - 1 {
						flips[bits.TrailingZeros64(d)]++
					}
				}
				for out, n := range flips { // six times the standard deviation
					require.InDelta(t, rounds/2, n, 190, "bit %d for bit %d", out, in)
				}
			}
		})
	}
}

// Keys of a series are spread as by chance, by their high and their low bits.
func TestHashKeyOfASeries(t *testing.T) {
	high, low := make([]int, 32), make([]int, 32)
	for _, s := range addresses(50_000) {
		high[HashKey(s)>>59]++
		low[HashKey(s)&31]++
	}
	requireProportion(t, repeated(1, 32), high)
	requireProportion(t, repeated(1, 32), low)
}

func TestHashKeyAllocates(t *testing.T) {
	s := strings.Repeat("user-", 20)
	assert.Zero(t, testing.AllocsPerRun(1000, func() { _ = HashKey(s) + idHash(s) }))
}
