package registry_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// errSick is what failing checks say.
var errSick = errors.New("sick")

// A checkFunc is what Check.Func is.
type checkFunc = func(context.Context, registry.Instance) error

// checked is an instance with a check that runs every ten seconds, exactly,
// unless c says otherwise.
func checked(id string, c registry.Check) registry.Instance {
	in := instance(id)
	if c.Jitter == 0 {
		c.Jitter = -1
	}
	in.Check = c
	return in
}

// outcome is what a check does that came to a letter of a script: P passes, W
// warns, F fails, X panics, G calls runtime.Goexit.
func outcome(letter byte) error {
	switch letter {
	case 'P':
		return nil
	case 'W':
		return registry.Warn(errSick)
	case 'F':
		return errSick
	case 'X':
		panic("sick")
	default:
		runtime.Goexit()
		return nil
	}
}

// A script is a check that does what its letters say, one after another, and
// keeps to the last one.
type script struct {
	mu   sync.Mutex
	left string
	n    int
}

func (s *script) check(context.Context, registry.Instance) error {
	s.mu.Lock()
	letter := s.left[0]
	if len(s.left) > 1 {
		s.left = s.left[1:]
	}
	s.n++
	s.mu.Unlock()
	return outcome(letter)
}

// runs is how many there have been.
func (s *script) runs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// A timeLog is when something happened, since the log was made.
type timeLog struct {
	now   func() time.Duration
	mu    sync.Mutex
	times []time.Duration
}

// newLog makes a log by a clock; nil is that of the bubble.
func newLog(c registry.Clock) *timeLog {
	begin := time.Now()
	now := func() time.Duration { return time.Since(begin) }
	if c != nil {
		begin = c.Now()
		now = func() time.Duration { return c.Since(begin) }
	}
	return &timeLog{now: now}
}

func (l *timeLog) add() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times = append(l.times, l.now())
}

// take returns the times so far, and forgets them.
func (l *timeLog) take() []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.times
	l.times = nil
	return all
}

// seconds are some durations.
func seconds(all ...float64) []time.Duration {
	ds := make([]time.Duration, len(all))
	for i, s := range all {
		ds[i] = time.Duration(s * float64(time.Second))
	}
	return ds
}

// bothClocks runs a test with the system clock and with a Mock, in a bubble
// each. pass lets time pass, and waits until all that is due has been done.
func bothClocks(t *testing.T, f func(t *testing.T, c registry.Clock, pass func(time.Duration))) {
	t.Helper()
	t.Run("system", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f(t, nil, func(d time.Duration) {
				time.Sleep(d)
				synctest.Wait()
			})
		})
	})
	t.Run("Mock", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := clock.NewMock()
			f(t, m, func(d time.Duration) {
				synctest.Wait()
				m.Add(d)
				synctest.Wait()
			})
		})
	})
}

// healthOf is the health of an instance of "orders" in the snapshot now, with
// that of its live side, which has to be the same; 0 if there is none.
func healthOf(tb testing.TB, r *registry.Registry, id string) registry.Health {
	tb.Helper()
	e, ok := r.Service("orders").Get(id)
	if !ok {
		return 0
	}
	assert.Equal(tb, e.Health(), e.Live().Health(), "live")
	return e.Health()
}

// async calls f on another goroutine and hands its error on.
func async(f func() error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- f() }()
	return result
}

// unclosed makes a registry that the test closes itself.
func unclosed(tb testing.TB, cfg registry.Config) *registry.Registry {
	tb.Helper()
	r, err := registry.New(cfg)
	require.NoError(tb, err)
	return r
}

// lost expects that a lease has ended, with this error.
func lost(tb testing.TB, l *registry.Lease, want error) {
	tb.Helper()
	select {
	case <-l.Done():
	default:
		assert.Fail(tb, "the lease has not ended")
	}
	if want == nil {
		require.NoError(tb, l.Err())
		return
	}
	require.ErrorIs(tb, l.Err(), want)
}

// begin counts n calls of an instance that are under way.
func begin(tb testing.TB, e *registry.Endpoint, n int) *registry.Live {
	tb.Helper()
	for range n {
		require.True(tb, e.Live().Acquire(registry.Warning))
	}
	return e.Live()
}

// A pipe is a source that delivers what it is sent. When it is sent an error it
// ends with that, also with nil.
type pipe struct {
	batches chan registry.Batch
	ends    chan error
}

func newPipe() *pipe {
	return &pipe{batches: make(chan registry.Batch), ends: make(chan error)}
}

func (p *pipe) Run(ctx context.Context, deliver func(registry.Batch) error) error {
	for {
		select {
		case b := <-p.batches:
			_ = deliver(b) // what is refused is reported by the feed
		case err := <-p.ends:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// put delivers instances that the feed says to be of a health.
func (p *pipe) put(h registry.Health, ins ...registry.Instance) {
	var b registry.Batch
	for _, in := range ins {
		b.Put = append(b.Put, registry.Record{Instance: in, Health: h})
	}
	p.batches <- b
	synctest.Wait()
}

// feed runs a feed until the test is over, or stop is called.
func feed(tb testing.TB, r *registry.Registry, name string) (p *pipe, stop func()) {
	tb.Helper()
	p = newPipe()
	ctx, cancel := context.WithCancel(bg)
	done := async(func() error { return r.Feed(ctx, name, p) })
	stop = func() {
		cancel()
		synctest.Wait()
	}
	tb.Cleanup(func() {
		cancel()
		assert.Error(tb, <-done)
	})
	synctest.Wait()
	return p, stop
}

// goroutines is how many there are in the bubble. runtime.NumGoroutine would also
// count what the runtime and the test before have still to do.
func goroutines() int {
	synctest.Wait()
	buf := make([]byte, 1<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), "synctest bubble")
}

// An eagerClock remembers what its timers do, so that a test can run it although
// the timer was stopped, as a Mock does now and then.
type eagerClock struct {
	*handClock
	mu     sync.Mutex
	timers []func()
}

func (c *eagerClock) AfterFunc(d time.Duration, f func()) *clock.Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timers = append(c.timers, f)
	return c.handClock.AfterFunc(d, f)
}

// made returns what the timers made since the last call do.
func (c *eagerClock) made() []func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.timers
	c.timers = nil
	return all
}
