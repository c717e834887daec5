package durable_test

import (
	"testing"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

// S30: the store in memory conforms, on system time and on a clock that is moved.
func TestS30_memoryStoreConforms(t *testing.T) {
	mock := clock.NewMock()
	moved := newMemoryClock(memoryEpoch)
	for name, h := range map[string]sagatest.Harness{
		"mock": {
			Open:    func(string) (durable.Store, error) { return &durable.MemoryStore{Clock: mock}, nil },
			Advance: mock.Add,
		},
		"own clock": {
			Open:    func(string) (durable.Store, error) { return &durable.MemoryStore{Clock: moved}, nil },
			Advance: moved.pass,
		},
	} {
		t.Run(name, func(t *testing.T) {
			h.Volatile = true
			sagatest.TestStore(t, h)
		})
	}
}
