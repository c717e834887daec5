package balance

import (
	"math"
	"sync/atomic"
)

// A budget limits retries to a share of the calls: when everything fails, trying
// again is what keeps it failing. Tokens are counted in thousandths of a
// millionth, so that additions of a share stay exact enough for ever.
type budget struct {
	tokens    atomic.Int64
	burst     int64
	earned    int64 // per call
	unlimited bool

	retries, denied atomic.Uint64
}

const token = 1_000_000_000

func (b *budget) init(r Retry) {
	b.unlimited = r.Budget < 0
	b.burst = int64(min(float64(r.Burst)*token, math.MaxInt64/4))
	b.earned = int64(min(max(r.Budget, 0)*token, math.MaxInt64/4))
	b.tokens.Store(b.burst)
}

// earn adds what a call earns.
func (b *budget) earn() { b.add(b.earned) }

// add adds tokens, up to burst.
func (b *budget) add(tokens int64) {
	for {
		n := b.tokens.Load()
		if n >= b.burst || b.tokens.CompareAndSwap(n, min(b.burst, n+tokens)) {
			return
		}
	}
}

// spend takes the token for a retry, if there is one.
func (b *budget) spend() bool {
	for !b.unlimited {
		n := b.tokens.Load()
		if n < token {
			b.denied.Add(1)
			return false
		}
		if b.tokens.CompareAndSwap(n, n-token) {
			break
		}
	}
	b.retries.Add(1)
	return true
}

// refund gives back the token of a retry that was not made after all.
func (b *budget) refund() {
	b.retries.Add(^uint64(0))
	b.add(token)
}
