package eventbus_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// A model is a bus with one topic, and the bus that it is compared with.
type model struct {
	t     *testing.T
	next  func(n int) int // a choice below n
	cfg   eventbus.TopicConfig
	bus   *eventbus.Bus
	topic *eventbus.Topic[int]

	seq      int64
	history  []modelEvent
	unrouted uint64
	closed   bool
	subs     []*modelSub
	queues   []*eventbus.Queue[int]
	log      []string
}

func newModel(t *testing.T, next func(int) int) *model {
	m := &model{t: t, next: next}
	m.cfg = eventbus.TopicConfig{Capacity: []int{1, 2, 5, 40, -1}[next(5)], History: []int{0, 0, 1, 7}[next(4)]}
	m.bus, m.topic = newTopic[int](t, eventbus.Config{}, m.cfg)
	return m
}

func (m *model) note(format string, args ...any) { m.log = append(m.log, fmt.Sprintf(format, args...)) }

var endedCtx = func() context.Context {
	ctx, cancel := context.WithCancelCause(bg)
	cancel(assert.AnError)
	return ctx
}()

// live are the subscriptions that take new events.
func (m *model) live() (n int) {
	for _, s := range m.subs {
		if !s.over {
			n++
		}
	}
	return n
}

// accept is a publish that must not wait: it has room, or is refused.
func (m *model) accept(data []int, try bool) error {
	if m.closed {
		return eventbus.ErrClosed
	}
	var refused error
	for _, s := range m.subs {
		switch {
		case s.fits(data):
		case s.policy == eventbus.Fail || try:
			return eventbus.ErrFull
		default:
			refused = assert.AnError
		}
	}
	if refused != nil {
		return refused
	}
	for _, d := range data {
		m.seq++
		e := modelEvent{seq: m.seq, data: d}
		reached := false
		for _, s := range m.subs {
			reached = s.put(e) || reached
		}
		if !reached && m.cfg.History == 0 {
			m.unrouted++
		}
		m.history = append(m.history, e)
		m.history = m.history[max(0, len(m.history)-m.cfg.History):]
	}
	return nil
}

func (m *model) publish() {
	data, try := m.next(100), m.next(2) == 0
	m.note("publish %d, try %v", data, try)
	want := m.accept([]int{data}, try)
	got := m.topic.Publish
	if try {
		got = m.topic.TryPublish
	}
	m.same(want, got(endedCtx, data))
}

// piece is how long a batch may be to be accepted as a whole.
func (m *model) piece() int {
	piece := math.MaxInt
	if m.cfg.Capacity > 0 {
		piece = m.cfg.Capacity
	}
	for _, s := range m.subs {
		if !s.over && s.gating() && s.capacity > 0 {
			piece = min(piece, s.capacity)
		}
	}
	return piece
}

func (m *model) batch() {
	data := ints(1, 1+m.next(12))
	m.note("batch of %d", len(data))
	wantN, want := 0, error(nil)
	for wantN < len(data) && want == nil {
		k := min(m.piece(), len(data)-wantN)
		if want = m.accept(data[wantN:wantN+k], false); want == nil {
			wantN += k
		}
	}
	n, err := m.topic.PublishBatch(endedCtx, data)
	m.same(want, err)
	require.Equal(m.t, wantN, n, m.log)
}

func (m *model) subscribe() {
	cfg := eventbus.SubscribeConfig[int]{
		OnFull:   eventbus.Overflow(m.next(6)), //nolint:gosec // below 6
		Capacity: []int{0, 1, 2, 3, 20, 32, -1}[m.next(7)],
		Once:     m.next(10) == 0,
		From:     []int64{0, 0, 0, eventbus.Oldest, 1, 5, -1, -3}[m.next(8)],
		Name:     fmt.Sprint("s", len(m.subs)),
	}
	s := &modelSub{name: cfg.Name, policy: cfg.OnFull, capacity: cfg.Capacity, once: cfg.Once}
	if m.next(3) == 0 {
		s.odd, cfg.Filter = true, func(i int) bool { return i%2 != 0 }
	}
	m.note("subscribe %s: %+v, odd %v", s.name, cfg, s.odd)
	if cfg.Capacity == 0 {
		s.capacity = m.cfg.Capacity
		if cfg.OnFull == eventbus.Unbounded {
			s.capacity = 1_000_000
		}
	}
	q, err := m.topic.Queue(bg, cfg)
	if m.closed {
		m.same(eventbus.ErrClosed, err)
		return
	}
	require.NoError(m.t, err)
	first := m.seq + 1 - int64(len(m.history))
	from := m.seq + 1
	switch {
	case cfg.From == eventbus.Oldest:
		from = first
	case cfg.From < 0:
		from = max(first, m.seq+1+cfg.From)
	case cfg.From > 0:
		from = max(first, cfg.From)
		s.lag = uint64(max(0, first-cfg.From)) //nolint:gosec // not negative
		s.lagged = s.lag
	}
	for _, e := range m.history {
		switch {
		case e.seq < from || s.over:
		case s.wants(e.data):
			s.past = append(s.past, e)
			s.over = s.once
		default:
			s.filtered++
		}
	}
	if from > m.seq+1 { // it begins later: until then it is as if it were not there
		q.Cancel()
		s.over, s.end, s.lag = true, eventbus.ErrClosed, 0
	}
	m.subs, m.queues = append(m.subs, s), append(m.queues, q)
}

func (m *model) read() {
	for range 1 + m.next(10) {
		i := m.next(len(m.subs))
		want, ok, wantErr := m.subs[i].next()
		if !ok {
			continue
		}
		m.note("read %s: %v %v", m.subs[i].name, want, wantErr)
		e, err := m.queues[i].Next(bg)
		m.same(wantErr, err)
		if err == nil {
			require.Equal(m.t, want, modelEvent{e.Seq, e.Data, e.Lag}, m.log)
		}
	}
}

func (m *model) end() {
	i := m.next(len(m.subs))
	s := m.subs[i]
	if m.next(2) == 0 {
		m.note("cancel %s", s.name)
		s.stop(eventbus.ErrClosed)
		m.queues[i].Cancel()
		return
	}
	m.note("drain %s", s.name)
	left := s.halt(nil)
	m.drained(left, m.queues[i].Drain(endedCtx))
}

// drained checks the error of a drain that had to leave these.
func (m *model) drained(left []eventbus.SubscriptionStats, err error) {
	if len(left) == 0 {
		require.NoError(m.t, err, m.log)
		return
	}
	var drain *eventbus.DrainError
	require.ErrorAs(m.t, err, &drain, m.log)
	require.ErrorIs(m.t, err, assert.AnError)
	require.Equal(m.t, left, drain.Left, m.log)
}

func (m *model) close() {
	m.note("close")
	var left []eventbus.SubscriptionStats
	for _, s := range m.subs {
		left = s.halt(left)
	}
	err := m.bus.Close(endedCtx)
	if !m.closed {
		m.drained(left, err)
	}
	m.closed = true
}

func (m *model) same(want, got error) {
	m.t.Helper()
	if want == nil {
		require.NoError(m.t, got, m.log)
		return
	}
	require.ErrorIs(m.t, got, want, m.log)
}

// step does one thing, and compares all that can be seen.
func (m *model) step() {
	ops := []func(){m.publish, m.publish, m.publish, m.batch, m.subscribe}
	if len(m.subs) > 0 {
		ops = append(ops, m.read, m.read, m.read, m.end)
	}
	if m.next(100) == 0 {
		ops = []func(){m.close}
	}
	ops[m.next(len(ops))]()
	for i, s := range m.subs {
		require.Equal(m.t, s.stats(), m.queues[i].Stats(), m.log)
		if s.end != nil {
			<-m.queues[i].Done()
		}
	}
	st := m.topic.Stats()
	require.Equal(m.t, m.seq, st.Seq, m.log)
	require.Equal(m.t, len(m.history), st.Retained, m.log)
	require.Equal(m.t, m.unrouted, st.Unrouted, m.log)
	require.Equal(m.t, m.live() > 0, m.topic.HasSubscribers(), m.log)
}

// S46, G14: random operations, one after another, against the model.
func TestS46_G14_AgainstTheModel(t *testing.T) {
	seeds := uint64(1500)
	if raceEnabled || testing.Short() {
		seeds = 200
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 46))
		m := newModel(t, rng.IntN)
		for range 80 {
			m.step()
		}
		m.close()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// FuzzOperations is S46 with operations that the fuzzer chooses.
func FuzzOperations(f *testing.F) {
	f.Add([]byte{0, 0})
	f.Add([]byte("a bus, some queues, and what is done with them"))
	f.Fuzz(func(t *testing.T, choices []byte) {
		m := newModel(t, func(n int) int {
			if len(choices) == 0 {
				return 0
			}
			c := int(choices[0]) % n
			choices = choices[1:]
			return c
		})
		for range 300 {
			if len(choices) == 0 {
				break
			}
			m.step()
		}
		m.close()
	})
}
