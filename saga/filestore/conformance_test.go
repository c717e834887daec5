package filestore_test

import (
	"testing"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

// TestS30_conformance: the store obeys the rules of durable.Store and
// durable.Watcher (G46, G47, G49), also with segments that are rewritten all the
// time.
func TestS30_conformance(t *testing.T) {
	for name, cfg := range map[string]filestore.Config{
		"default": {},
		"small":   {SegmentSize: 8 << 10, Garbage: 0.1, MaxBatch: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			mock := clock.NewMock()
			mock.Set(time.Now())
			cfg.Clock = mock
			sagatest.TestStore(t, sagatest.Harness{
				Open:    func(dir string) (durable.Store, error) { return filestore.Open(dir, cfg) },
				Advance: mock.Add,
			})
		})
	}
}
