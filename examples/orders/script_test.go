package main

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The same seed, key and number: the same fault, whatever was asked before.
func TestScript_isAFunction(t *testing.T) {
	s := script{3}
	first := make(map[string]fault)
	for round := range 2 {
		for k := range 50 {
			for n := range 4 {
				key := fmt.Sprintf("key %d", (k*(round*6+1))%50)
				got := s.action(fate{}, charges, key, n)
				name := fmt.Sprint(key, n)
				if round > 0 {
					assert.Equal(t, first[name], got, name)
				}
				first[name] = got
			}
		}
	}
	other := 0
	for k := range 50 {
		key := fmt.Sprintf("key %d", k)
		if (script{4}).action(fate{}, charges, key, 0) != s.action(fate{}, charges, key, 0) {
			other++
		}
	}
	assert.Positive(t, other, "another seed has other faults")
}

// Whatever has no fate gets through with the fourth request, and all faults are met.
func TestScript_getsThrough(t *testing.T) {
	s := script{1}
	acts, undos, questions := map[fault]int{}, map[fault]int{}, map[fault]int{}
	for k := range 400 {
		key := fmt.Sprintf("key %d", k)
		for n := range 3 {
			acts[s.action(fate{}, charges, key, n)]++
			undos[s.undoing(key, n)]++
			questions[s.asking(key, n)]++
		}
		for n := 3; n < 8; n++ {
			assert.Equal(t, fine, s.action(fate{}, charges, key, n))
			assert.Equal(t, fine, s.action(fate{charges, "no", fine}, charges, key, n), "it is refused, but answered")
			assert.Equal(t, fine, s.action(fate{labels, "", mute}, charges, key, n), "another one is never answered")
			assert.Equal(t, fine, s.undoing(key, n))
			assert.Equal(t, fine, s.asking(key, n))
		}
	}
	for _, f := range []fault{fine, unavailable, busy, reset, cut, mute, late, straggling} {
		assert.Positive(t, acts[f], "%s", f)
		assert.Equal(t, f != busy && f != straggling, undos[f] > 0, "%s: an undo that straggles would end nothing", f)
		assert.Equal(t, f == fine || f == unavailable || f == reset, questions[f] > 0, "%s", f)
	}
}

func TestScript_never(t *testing.T) {
	s := script{1}
	met := make(map[fault]int)
	for n := range 30 {
		met[s.action(fate{charges, "", mute}, charges, "key", n)]++
	}
	assert.Equal(t, 30, met[mute]+met[straggling], "%v", met)
	assert.Positive(t, met[mute])
	assert.Positive(t, met[straggling])
	assert.Equal(t, late, s.action(fate{reservations, "", busy}, reservations, "key", 0))
	for n := range 30 {
		assert.Equal(t, busy, s.action(fate{reservations, "", busy}, reservations, "key", n+1))
	}
}

// Most orders get over everything, and every fate is some order's.
func TestScript_fate(t *testing.T) {
	met := make(map[fate]int)
	for i := range 1000 {
		met[script{1}.fate(fmt.Sprint("order ", i))]++
	}
	assert.InDelta(t, 500, met[fate{}], 60)
	for _, f := range fates {
		assert.InDelta(t, 10*f.percent, met[f.fate], 40, "%v", f.fate)
	}
}
