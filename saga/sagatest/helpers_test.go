package sagatest_test

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mainstay-go/mainstay/saga/sagatest"
)

// bg is the context of everything that needs no other.
var bg = context.Background()

// everyone is the names of all checks.
func everyone() []string { return slices.Sorted(maps.Keys(sagatest.Checks())) }

// A trial is the test that a check fails, or not: what is done to it is noted, and
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

func (t *trial) Failed() bool { return t.said() != "" }

// said is what the trial was failed with; "" if it passed.
func (t *trial) said() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.log, "\n")
}
