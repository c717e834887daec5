package registrytest_test

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registrytest"
)

// bg is the context of everything that needs no other.
var bg = context.Background()

// everyone is the names of all checks.
func everyone() []string { return slices.Sorted(maps.Keys(registrytest.Checks())) }

// record is one of service "orders".
func record(id, version string) registry.Record {
	return registry.Record{Instance: registry.Instance{Service: "orders", ID: id, Addr: "10.0.0.1:80", Version: version}}
}

// expiring is a record with a TTL.
func expiring(id string, ttl time.Duration) registry.Record {
	rec := record(id, "")
	rec.Instance.TTL = ttl
	return rec
}

func ref(id string) registry.Ref { return registry.Ref{Service: "orders", ID: id} }

// put puts records, all of which must be taken.
func put(tb testing.TB, b registry.Backend, recs ...registry.Record) {
	tb.Helper()
	for _, rec := range recs {
		require.NoError(tb, b.Put(bg, rec))
	}
}

// A follower calls Run once, and keeps what it delivers.
type follower struct {
	batches chan registry.Batch
	end     chan error
	stop    context.CancelCauseFunc
}

func follow(b registry.Backend) *follower {
	ctx, stop := context.WithCancelCause(bg)
	f := &follower{batches: make(chan registry.Batch, 1000), end: make(chan error, 1), stop: stop}
	go func() {
		f.end <- b.Run(ctx, func(batch registry.Batch) error {
			f.batches <- batch
			return nil
		})
	}()
	return f
}

// told are the batches since the last call as text: "= id version" for what a
// Reset puts, "+ id version" for what another does, "- id" for what is removed. It
// is for bubbles.
func (f *follower) told() []string {
	synctest.Wait()
	var all []string
	for len(f.batches) > 0 {
		b := <-f.batches
		sign := "+"
		if b.Reset {
			sign = "="
		}
		if b.Reset && len(b.Put) == 0 {
			all = append(all, "=")
		}
		for _, r := range b.Remove {
			all = append(all, "- "+r.ID)
		}
		for _, rec := range b.Put {
			all = append(all, strings.TrimSpace(sign+" "+rec.Instance.ID+" "+rec.Instance.Version))
		}
	}
	return all
}

// ended is the error of Run, which must have returned. It is for bubbles.
func (f *follower) ended(tb testing.TB) error {
	tb.Helper()
	synctest.Wait()
	require.Len(tb, f.end, 1)
	return <-f.end
}

// A trial is the test that a kit fails, or not: what is done to it is noted, and
// the test that it stands in for goes on.
type trial struct {
	testing.TB

	mu      sync.Mutex
	stopped bool // by FailNow
	log     []string
}

// try runs f as a test would be run: on a goroutine of its own, which FailNow
// ends.
func try(tb testing.TB, f func(*trial)) *trial {
	tb.Helper()
	t := &trial{TB: tb}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(t)
	}()
	<-done
	return t
}

func (t *trial) Errorf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.log = append(t.log, fmt.Sprintf(format, args...))
}

func (t *trial) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	t.mu.Lock()
	t.stopped = true
	t.mu.Unlock()
	runtime.Goexit()
}

// said is what the trial was failed with; "" if it passed.
func (t *trial) said() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.log, "\n")
}
