package eventbustest_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// bg is the context of everything that needs no other.
var bg = context.Background()

// topicOf is a topic of b, made if need be.
func topicOf[T any](tb testing.TB, b *eventbus.Bus, name string, cfg eventbus.TopicConfig) *eventbus.Topic[T] {
	tb.Helper()
	topic, err := eventbus.NewTopic[T](b, name, cfg)
	require.NoError(tb, err)
	return topic
}

// publish publishes all of data, each of which must be accepted.
func publish[T any](tb testing.TB, topic *eventbus.Topic[T], data ...T) {
	tb.Helper()
	for _, d := range data {
		require.NoError(tb, topic.Publish(bg, d))
	}
}

// A trial is the test that a kit fails, or not: what is done to it is noted, and
// the test that it stands in for goes on.
type trial struct {
	testing.TB

	mu       sync.Mutex
	failed   bool
	stopped  bool // by FailNow
	log      []string
	before   string // the log before the cleanups
	cleanups []func()
}

// try runs f as a test would be run: on a goroutine of its own, which FailNow
// ends, and with its cleanups after it.
func try(tb testing.TB, f func(*trial)) *trial {
	tb.Helper()
	t := &trial{TB: tb}
	t.alone(func() { f(t) })
	t.before = t.said()
	for {
		t.mu.Lock()
		n := len(t.cleanups)
		if n == 0 {
			t.mu.Unlock()
			return t
		}
		last := t.cleanups[n-1]
		t.cleanups = t.cleanups[:n-1]
		t.mu.Unlock()
		t.alone(last)
	}
}

func (t *trial) alone(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

func (t *trial) Cleanup(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cleanups = append(t.cleanups, f)
}

func (t *trial) Errorf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = true
	t.log = append(t.log, fmt.Sprintf(format, args...))
}

func (t *trial) FailNow() {
	t.mu.Lock()
	t.failed, t.stopped = true, true
	t.mu.Unlock()
	runtime.Goexit()
}

func (t *trial) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	t.FailNow()
}

// said is what the trial was failed with; "" if it passed.
func (t *trial) said() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(slices.Clone(t.log), "\n")
}
