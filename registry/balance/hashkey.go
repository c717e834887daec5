package balance

import "math/bits"

// HashKey turns what a call is about, such as the id of a user, into a key for
// consistent hashing. The result is the same in every process, on every
// platform and in every release: it is XXH64 with seed 0 of the bytes of s,
// for which there are implementations in most languages. Only where that is 0,
// which as a key means that there is none, HashKey is 1.
//
// Equal strings have equal keys. Different ones may, by a chance of 1 in 2^64,
// and then they go the same way. Who is free to choose s can find many strings
// that go to one endpoint, since nothing about the hash is secret.
//
// HashKey does not allocate and is safe for concurrent use.
func HashKey(s string) uint64 {
	return max(xxh64(s, 0), 1)
}

// idHash is the hash of an id. The seed keeps it apart from HashKey: a key made
// of the id of an endpoint must not be anything special to that endpoint.
func idHash(id string) uint64 {
	return xxh64(id, 0x6d61696e73746179) // "mainstay"
}

// mix maps 64 bits to 64 bits one to one, and each bit of the result depends on
// all of x. It makes keys that somebody just counted as good as hashed ones.
//
// It is one step of SplitMix64 (Steele, Lea and Flood: Fast Splittable
// Pseudorandom Number Generators, OOPSLA 2014). Its finaliser alone would map 0
// to 0.
func mix(x uint64) uint64 {
	x += increment
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// increment is that of SplitMix64: 2^64 over the golden ratio, made odd.
const increment = 0x9e3779b97f4a7c15

// The primes of XXH64.
const (
	prime1 uint64 = 0x9e3779b185ebca87
	prime2 uint64 = 0xc2b2ae3d27d4eb4f
	prime3 uint64 = 0x165667b19e3779f9
	prime4 uint64 = 0x85ebca77c2b2ae63
	prime5 uint64 = 0x27d4eb2f165667c5
)

// xxh64 is XXH64 as specified by Collet (xxHash fast digest algorithm). FNV-1a
// would be five lines, but takes the bytes one by one, with a multiplication each
// that waits for the one before; this is ahead of it from 8 bytes on.
// hash/maphash differs from process to process.
func xxh64(s string, seed uint64) uint64 {
	n := uint64(len(s))
	h := seed + prime5
	if len(s) >= 32 {
		a, b, c, d := seed+prime1+prime2, seed+prime2, seed, seed-prime1
		for ; len(s) >= 32; s = s[32:] {
			a = lane(a, load64(s))
			b = lane(b, load64(s[8:]))
			c = lane(c, load64(s[16:]))
			d = lane(d, load64(s[24:]))
		}
		h = bits.RotateLeft64(a, 1) + bits.RotateLeft64(b, 7) + bits.RotateLeft64(c, 12) + bits.RotateLeft64(d, 18)
		h = (h^lane(0, a))*prime1 + prime4
		h = (h^lane(0, b))*prime1 + prime4
		h = (h^lane(0, c))*prime1 + prime4
		h = (h^lane(0, d))*prime1 + prime4
	}
	h += n
	for ; len(s) >= 8; s = s[8:] {
		h ^= lane(0, load64(s))
		h = bits.RotateLeft64(h, 27)*prime1 + prime4
	}
	if len(s) >= 4 {
		h ^= uint64(load32(s)) * prime1
		h = bits.RotateLeft64(h, 23)*prime2 + prime3
		s = s[4:]
	}
	for i := range len(s) {
		h ^= uint64(s[i]) * prime5
		h = bits.RotateLeft64(h, 11) * prime1
	}
	h = (h ^ h>>33) * prime2
	h = (h ^ h>>29) * prime3
	return h ^ h>>32
}

// lane takes 8 bytes more into one of the sums.
func lane(sum, in uint64) uint64 {
	return bits.RotateLeft64(sum+in*prime2, 31) * prime1
}

// load64 is the first 8 bytes of s, the lowest first. The compiler makes one
// load of it where the machine can; encoding/binary reads slices only, and
// making one of s copies it.
func load64(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// load32 is the first 4 bytes of s, the lowest first.
func load32(s string) uint32 {
	_ = s[3]
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}
