package registrybench

import (
	"fmt"
	"sync"

	"github.com/zeromicro/go-zero/core/hash"
)

// rings are kept for all rounds of a row: nothing changes them, and to add a
// thousand nodes sorts the ring a thousand times.
var rings sync.Map // of *hash.ConsistentHash by their size

func ring(f fleet) *hash.ConsistentHash {
	if r, ok := rings.Load(f.n); ok {
		return r.(*hash.ConsistentHash)
	}
	r := hash.NewConsistentHash()
	for _, a := range f.addrs() {
		r.Add(a)
	}
	rings.Store(f.n, r)
	return r
}

func gozeroHash(f fleet) target {
	r := ring(f)
	names := keys()
	key := inTurn(names)
	return target{
		loop: func(n int) (passed, failed int) {
			i := 0
			for range n {
				if node, ok := r.Get(names[i]); !ok || node == nil {
					failed++
				} else {
					passed++
				}
				if i++; i == len(names) {
					i = 0
				}
			}
			return passed, failed
		},
		choose: func() (string, error) {
			k := key()
			node, ok := r.Get(k)
			again, _ := r.Get(k)
			if !ok || node != again {
				return "", fmt.Errorf("the same key went to %v and %v", node, again)
			}
			return node.(string), nil
		},
	}
}
