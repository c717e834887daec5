package eventbus

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A call begins or it does not: whoever stops a hand knows of exactly those calls
// that were made, whenever that is.
func TestG34_AHandThatIsStopped(t *testing.T) {
	for round := range 2000 {
		h := &hand{step: oneCall}
		const n = 60
		h.took(n)
		began, failed := 0, 0
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range n {
				if !h.begin() {
					return
				}
				began++
				if i%3 == 0 {
					h.failed()
					failed++
				}
			}
		})
		for range round % 40 {
			_ = h.halted()
		}
		h.stop()
		h.stop()
		word := h.stopAt
		wg.Wait()
		assert.Equal(t, began, calls(word), "round %d", round)
		var a account
		h.settle(&a)
		assert.Equal(t, began, int(a.handled+a.failed)) //nolint:gosec // small
		assert.Equal(t, failed, int(a.failed))          //nolint:gosec // small
		assert.Equal(t, n-began, int(a.discarded))      //nolint:gosec // small
		assert.Zero(t, h.n)
		assert.False(t, h.begin())
	}
}

// The number of a batch runs over without harm to its neighbours.
func TestHand_numberOfABatch(t *testing.T) {
	h := &hand{step: oneCall}
	h.word.Store(overflow - oneBatch) // the last number
	h.took(2)
	assert.Zero(t, h.word.Load())
	assert.True(t, h.begin())
	h.word.Or(sharedBit)
	var a account
	h.settle(&a)
	assert.Equal(t, 1, h.n)
	assert.Equal(t, account{handled: 1}, a)
	assert.Equal(t, oneBatch, h.word.Load(), "shared no more")
	assert.False(t, h.halted())
}

// An event that a channel holds out stays in the account when a batch follows.
func TestG25_CarriedOver(t *testing.T) {
	h := &hand{step: oneCall}
	h.took(3)
	h.begin()
	h.begin() // the third is held out
	var a account
	h.settle(&a)
	assert.Equal(t, 1, h.n)
	h.took(5)
	assert.Equal(t, 6, h.n)
	h.begin() // received
	for range 5 {
		h.begin()
	}
	h.settle(&a)
	assert.Zero(t, h.n)
	assert.EqualValues(t, 8, a.handled)
}
