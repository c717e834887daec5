package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTraffic(t *testing.T) {
	tr := newTraffic()
	share := func(id string, want float64) {
		t.Helper()
		assert.InDelta(t, want, tr.share(id), 1e-9, id)
	}
	share("a-1", 0)
	tr.sample([]count{{"a", "a-1", 0}, {"a", "a-2", 0}, {"b", "b-1", 0}})
	share("a-1", 0)
	tr.sample([]count{{"a", "a-1", 30}, {"a", "a-2", 10}, {"b", "b-1", 7}})
	share("a-1", 0.75)
	share("a-2", 0.25)
	share("b-1", 1)
	share("c-1", 0)

	// One that has died is not there for a while, and then counts anew.
	tr.sample([]count{{"a", "a-2", 20}, {"b", "b-1", 7}})
	share("a-1", 0.6)
	tr.sample([]count{{"a", "a-1", 10}, {"a", "a-2", 40}})
	share("a-1", 0.5)
	tr.sample([]count{{"a", "a-1", 10}, {"a", "a-2", 40}})
	share("a-2", 0.5)

	// What is long ago is forgotten.
	for n := range uint64(keptBuckets - 1) {
		tr.sample([]count{{"a", "a-1", 10}, {"a", "a-2", 40 + n}})
	}
	share("a-1", 0)
	share("a-2", 1)
	share("b-1", 0)
	assert.Len(t, tr.buckets, keptBuckets)
}
