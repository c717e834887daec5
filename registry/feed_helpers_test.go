package registry_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// half is a Config.Rand under which jitter changes nothing.
func half() uint64 { return 1 << 63 }

// at is an instance of service "orders" at an address.
func at(id, addr string) registry.Instance {
	in := instance(id)
	in.Addr = addr
	return in
}

// records are those of instances, without a health.
func records(ins ...registry.Instance) []registry.Record {
	recs := make([]registry.Record, len(ins))
	for i, in := range ins {
		recs[i].Instance = in
	}
	return recs
}

// refs name instances of service "orders".
func refs(ids ...string) []registry.Ref {
	all := make([]registry.Ref, len(ids))
	for i, id := range ids {
		all[i] = registry.Ref{Service: "orders", ID: id}
	}
	return all
}

// A tap is a source that a test drives. What its methods say is done by the Run
// that is under way, or by the next one.
type tap struct {
	steps chan func(deliver func(registry.Batch) error) (over bool, err error)
	calls *times // of Run
}

func newTap() *tap {
	return &tap{make(chan func(func(registry.Batch) error) (bool, error)), newTimes()}
}

func (s *tap) Run(ctx context.Context, deliver func(registry.Batch) error) error {
	s.calls.note("run")
	for {
		select {
		case step := <-s.steps:
			if over, err := step(deliver); over {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// send delivers a batch, and returns the error of that.
func (s *tap) send(b registry.Batch) error {
	result := make(chan error, 1)
	s.steps <- func(deliver func(registry.Batch) error) (bool, error) {
		result <- deliver(b)
		return false, nil
	}
	return <-result
}

func (s *tap) reset(ins ...registry.Instance) error {
	return s.send(registry.Batch{Reset: true, Put: records(ins...)})
}

func (s *tap) put(ins ...registry.Instance) error {
	return s.send(registry.Batch{Put: records(ins...)})
}

func (s *tap) remove(ids ...string) error { return s.send(registry.Batch{Remove: refs(ids...)}) }

// end has Run return.
func (s *tap) end(err error) {
	s.steps <- func(func(registry.Batch) error) (bool, error) { return true, err }
	synctest.Wait()
}

// do has the goroutine of Run do something.
func (s *tap) do(f func()) {
	s.steps <- func(func(registry.Batch) error) (bool, error) {
		f()
		return false, nil
	}
	synctest.Wait()
}

// times is when something happened, since it was made.
type times struct {
	mu    sync.Mutex
	start time.Time
	log   []string
}

func newTimes() *times { return &times{start: time.Now()} }

func (t *times) note(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.log = append(t.log, fmt.Sprint(time.Since(t.start), " ", what))
}

// take returns what was noted so far, and forgets it.
func (t *times) take() []string {
	synctest.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	log := t.log
	t.log = nil
	return log
}

// A following is a Feed or Sync call under way.
type following struct {
	stop context.CancelCauseFunc
	end  <-chan error
}

// followed runs a call until the test is over or it is stopped.
func followed(tb testing.TB, call func(context.Context) error) *following {
	tb.Helper()
	ctx, stop := context.WithCancelCause(bg)
	end := make(chan error, 1)
	go func() {
		defer close(end)
		end <- call(ctx)
	}()
	tb.Cleanup(func() {
		stop(nil)
		for range end { // until it is closed
		}
	})
	synctest.Wait()
	return &following{stop, end}
}

// fed runs a Feed from a tap.
func fed(tb testing.TB, r *registry.Registry, name string) (*tap, *following) {
	tb.Helper()
	s := newTap()
	return s, followed(tb, func(ctx context.Context) error { return r.Feed(ctx, name, s) })
}

// over stops the call, and expects that its error is the cause.
func (f *following) over(tb testing.TB, cause error) {
	tb.Helper()
	f.stop(cause)
	assert.Equal(tb, cause, received(tb, f.end))
}

// A feedLog is what Hooks.FeedState and Hooks.Fault were told.
type feedLog struct {
	mu     sync.Mutex
	states []registry.FeedState
	faults []*registry.PanicError
}

func (l *feedLog) hooks(h registry.Hooks) registry.Hooks {
	h.FeedState = func(s registry.FeedState) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.states = append(l.states, s)
	}
	h.Fault = func(p *registry.PanicError) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.faults = append(l.faults, p)
	}
	return h
}

// take returns the states since the last call.
func (l *feedLog) take() []registry.FeedState {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.states
	l.states = nil
	return all
}

// told are the states since the last call as text.
func (l *feedLog) told() []string {
	var all []string
	for _, s := range l.take() {
		text := s.Name + " disconnected"
		if s.Connected {
			text = s.Name + " connected"
		}
		if s.Err != nil {
			text += ": " + s.Err.Error()
		}
		all = append(all, text)
	}
	return all
}

// panicked returns the faults since the last call.
func (l *feedLog) panicked() []*registry.PanicError {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.faults
	l.faults = nil
	return all
}

// origins are the instances of service "orders" now, "id origin" each.
func origins(r *registry.Registry) []string {
	var all []string
	for e := range r.Service("orders").Snapshot().All() {
		all = append(all, strings.TrimSpace(e.ID()+" "+e.Origin()))
	}
	return all
}

// A counter is a Backend that a test drives; what was put there and removed it
// notes.
type counter struct {
	*tap
	calls *times

	mu     sync.Mutex
	answer func(ctx context.Context, call string) error // nil: it works
	puts   map[registry.Ref]registry.Record             // the latest of each
}

func newCounter() *counter {
	return &counter{tap: newTap(), calls: newTimes(), puts: make(map[registry.Ref]registry.Record)}
}

// answers says what calls do from now on.
func (c *counter) answers(f func(ctx context.Context, call string) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = f
}

func (c *counter) call(ctx context.Context, call string) error {
	c.calls.note(call)
	c.mu.Lock()
	answer := c.answer
	c.mu.Unlock()
	if answer == nil {
		return nil
	}
	return answer(ctx, call)
}

func (c *counter) Put(ctx context.Context, rec registry.Record) error {
	c.mu.Lock()
	c.puts[registry.Ref{Service: rec.Instance.Service, ID: rec.Instance.ID}] = rec
	c.mu.Unlock()
	return c.call(ctx, fmt.Sprintf("put %s %v", rec.Instance.ID, rec.Health))
}

func (c *counter) Remove(ctx context.Context, ref registry.Ref) error {
	c.mu.Lock()
	delete(c.puts, ref)
	c.mu.Unlock()
	return c.call(ctx, "remove "+ref.ID)
}

// record is what was put last for an instance of service "orders".
func (c *counter) record(tb testing.TB, id string) registry.Record {
	tb.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	require.Contains(tb, c.puts, refs(id)[0])
	return c.puts[refs(id)[0]]
}

// has are the IDs that were put and not removed.
func (c *counter) has() []string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for ref := range maps.Keys(c.puts) {
		all = append(all, ref.ID)
	}
	slices.Sort(all)
	return all
}

// synced runs a Sync with a backend.
func synced(tb testing.TB, r *registry.Registry, b registry.Backend, cfg registry.SyncConfig) *following {
	tb.Helper()
	return followed(tb, func(ctx context.Context) error { return r.Sync(ctx, "cluster", b, cfg) })
}

// sortedFields are the fields that an error refuses, sorted.
func sortedFields(err error) []string { return slices.Sorted(slices.Values(fields(err))) }
