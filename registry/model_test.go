package registry_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// A model is a registry as a map: what random sequences of verbs have to be equal
// to, in what reads, hooks and watches show. Nothing is preserved in it.
type model struct {
	t        *testing.T
	rnd      *rand.Rand
	r        *registry.Registry
	j        journal
	now      time.Duration
	have     map[registry.Ref]*record
	leases   []*registry.Lease
	of       map[*registry.Lease]*record
	handles  map[string]*registry.Service // from before the services
	index    map[string]uint64            // last seen
	replays  map[string]*replay
	updates  map[string]<-chan registry.Update
	expected []string // changes, as they have to be told
	moved    map[string]bool
}

type record struct {
	in       registry.Instance
	deadline time.Duration // 0: none
	word     registry.Health
}

var modelServices = []string{"a", "b", "c"}

func newModel(t *testing.T, seed uint64) *model {
	t.Helper()
	m := &model{
		t: t, rnd: rand.New(rand.NewPCG(seed, 0)), have: make(map[registry.Ref]*record), of: make(map[*registry.Lease]*record),
		handles: make(map[string]*registry.Service), index: make(map[string]uint64), replays: make(map[string]*replay),
		updates: make(map[string]<-chan registry.Update),
	}
	m.r = newRegistry(t, registry.Config{Hooks: m.j.hooks(), Preserve: registry.Preserve{MaxEvict: -1}})
	for i, name := range modelServices {
		m.handles[name] = m.r.Service(name)
		if i > 0 { // one has no watcher, so that it is released when it is empty
			m.replays[name] = newReplay(t)
			m.updates[name], _ = watch(t.Context(), m.handles[name])
		}
	}
	return m
}

// G1-G4, G6, G8-G10, G15, G17: random sequences against the model.
func TestModel(t *testing.T) {
	seeds, steps := 300, 150
	if raceEnabled {
		seeds = 20
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			m := newModel(t, uint64(seed))
			for i := range steps {
				m.moved = make(map[string]bool)
				what := m.step()
				m.check()
				if t.Failed() {
					require.FailNow(t, "the model differs", "seed %d, step %d: %s", seed, i, what)
				}
			}
		})
	}
}

// step does something at random, to both.
func (m *model) step() string {
	l := (*registry.Lease)(nil)
	if len(m.leases) > 0 {
		l = m.leases[max(0, len(m.leases)-1-m.rnd.IntN(12))]
	}
	switch n := m.rnd.IntN(20); {
	case n < 6 || l == nil:
		return m.register()
	case n < 9:
		d := time.Duration(m.rnd.IntN(4000)) * time.Millisecond
		time.Sleep(d)
		m.now += d
		m.lapse()
		return fmt.Sprint("sleep ", d)
	case n < 13:
		m.verb(l.Renew(), l, func(rec *record) { rec.deadline = m.deadline(rec.in.TTL) })
		return "renew " + l.Endpoint().ID()
	case n < 15:
		in := m.instance()
		in.Service, in.ID = l.Endpoint().Service(), l.Endpoint().ID()
		m.verb(l.Update(in), l, func(rec *record) { m.update(rec, in) })
		return fmt.Sprint("update ", in)
	case n < 16:
		h := []registry.Health{0, registry.Passing, registry.Warning, registry.Down}[m.rnd.IntN(4)]
		m.verb(l.SetHealth(h, fmt.Sprint(m.rnd.IntN(3))), l, func(rec *record) {
			m.health(rec, h)
		})
		return fmt.Sprint("health ", l.Endpoint().ID(), h)
	case n < 18:
		m.verb(l.Deregister(), l, func(rec *record) { m.remove(rec, registry.ReasonDeregistered) })
		return "deregister " + l.Endpoint().ID()
	default:
		ref := registry.Ref{Service: modelServices[m.rnd.IntN(3)], ID: fmt.Sprint(m.rnd.IntN(4))}
		err := m.r.Deregister(bg, ref.Service, ref.ID)
		if rec := m.have[ref]; rec != nil {
			assert.NoError(m.t, err)
			m.remove(rec, registry.ReasonDeregistered)
		} else {
			assert.ErrorIs(m.t, err, registry.ErrNotFound)
		}
		return fmt.Sprint("by hand ", ref)
	}
}

// instance has some content of a few.
func (m *model) instance() registry.Instance {
	return registry.Instance{
		Service: modelServices[m.rnd.IntN(3)], ID: fmt.Sprint(m.rnd.IntN(4)), Addr: fmt.Sprint("h", m.rnd.IntN(2), ":80"),
		Version: fmt.Sprint(m.rnd.IntN(2)), TTL: time.Duration([]int{-1, 1, 3, 5}[m.rnd.IntN(4)]) * time.Second,
	}
}

func (m *model) register() string {
	ins := make([]registry.Instance, 1+m.rnd.IntN(3))
	seen := make(map[registry.Ref]bool)
	twice, exists := false, false
	for i := range ins {
		ins[i] = m.instance()
		ref := registry.Ref{Service: ins[i].Service, ID: ins[i].ID}
		twice, exists = twice || seen[ref], exists || m.have[ref] != nil
		seen[ref] = true
	}
	cfg := registry.RegisterConfig{IfAbsent: m.rnd.IntN(4) == 0, Health: registry.Health(m.rnd.IntN(3))}
	leases, err := m.r.RegisterWith(bg, cfg, ins...)
	what := fmt.Sprint("register ", cfg, ins)
	switch {
	case twice:
		assert.Equal(m.t, []string{"ID"}, slices.Compact(fields(err)))
		return what
	case cfg.IfAbsent && exists:
		assert.ErrorIs(m.t, err, registry.ErrExists)
		return what
	case !assert.NoError(m.t, err):
		return what
	}
	m.leases = append(m.leases, leases...)
	for _, name := range modelServices { // told service by service
		for i, in := range ins {
			if in.Service == name {
				m.registered(leases[i], in, cfg.Health)
			}
		}
	}
	return what
}

func (m *model) registered(l *registry.Lease, in registry.Instance, h registry.Health) {
	ref := registry.Ref{Service: in.Service, ID: in.ID}
	old := m.have[ref]
	rec := &record{in: in, deadline: m.deadline(in.TTL), word: h}
	switch {
	case old == nil:
		m.change(in, registry.ReasonRegistered)
	case !same(old.in, in):
		m.change(in, registry.ReasonUpdated)
	case effective(old.word) != effective(h):
		m.change(in, registry.ReasonHealth)
	}
	m.have[ref], m.of[l] = rec, rec
}

func (m *model) update(rec *record, in registry.Instance) {
	if !same(rec.in, in) {
		m.change(in, registry.ReasonUpdated)
	}
	switch {
	case in.TTL == rec.in.TTL:
	case in.TTL < 0:
		rec.deadline = 0
	case rec.in.TTL < 0:
		rec.deadline = m.now + in.TTL
	default:
		rec.deadline += in.TTL - rec.in.TTL
	}
	rec.in = in
	m.lapse() // the new TTL may be over already
}

func (m *model) health(rec *record, h registry.Health) {
	if effective(rec.word) != effective(h) {
		m.change(rec.in, registry.ReasonHealth)
	}
	rec.word = h
}

func (m *model) remove(rec *record, why registry.Reason) {
	m.change(rec.in, why)
	delete(m.have, registry.Ref{Service: rec.in.Service, ID: rec.in.ID})
}

// lapse lets expire what is due, by service, deadline and ID.
func (m *model) lapse() {
	var due []*record
	for _, rec := range m.have {
		if rec.deadline != 0 && rec.deadline <= m.now {
			due = append(due, rec)
		}
	}
	slices.SortFunc(due, func(a, b *record) int {
		return cmp.Or(cmp.Compare(a.in.Service, b.in.Service), cmp.Compare(a.deadline, b.deadline), cmp.Compare(a.in.ID, b.in.ID))
	})
	for _, rec := range due {
		m.remove(rec, registry.ReasonExpired)
	}
}

// verb checks the outcome of a verb of a lease, and does the same to the model.
func (m *model) verb(err error, l *registry.Lease, do func(rec *record)) {
	rec := m.of[l]
	if m.have[registry.Ref{Service: rec.in.Service, ID: rec.in.ID}] != rec {
		assert.ErrorIs(m.t, err, registry.ErrLeaseLost)
		return
	}
	assert.NoError(m.t, err)
	do(rec)
}

func (m *model) deadline(ttl time.Duration) time.Duration {
	if ttl < 0 {
		return 0
	}
	return m.now + ttl
}

func (m *model) change(in registry.Instance, why registry.Reason) {
	m.expected = append(m.expected, fmt.Sprint(in.Service, " ", why, " ", in.ID))
	m.moved[in.Service] = true
}

func same(a, b registry.Instance) bool {
	return a.Addr == b.Addr && a.Version == b.Version && a.TTL == b.TTL
}

func effective(h registry.Health) registry.Health { return max(h, registry.Passing) }

// check compares all that can be seen.
func (m *model) check() {
	m.t.Helper()
	if m.rnd.IntN(2) == 0 {
		m.r.Sweep()
	}
	live := make(map[string]int)
	for _, name := range modelServices {
		want := make(map[string]*record)
		for ref, rec := range m.have {
			if ref.Service == name {
				want[ref.ID] = rec
			}
		}
		for _, s := range []*registry.Service{m.handles[name], m.r.Service(name)} {
			snap := s.Snapshot()
			assert.Equal(m.t, slices.Sorted(maps.Keys(want)), slices.Sorted(slices.Values(ids(slices.Collect(snap.All())))))
			for id, rec := range want {
				e, ok := s.Get(id)
				if assert.True(m.t, ok) {
					assert.True(m.t, same(rec.in, m.ttl(e.Instance())), "%v %v", rec.in, e.Instance())
					assert.Equal(m.t, effective(rec.word), e.Health())
				}
			}
		}
		if len(want) > 0 {
			live[name] = len(want)
		}
		index := m.handles[name].Snapshot().Index()
		assert.GreaterOrEqual(m.t, index, m.index[name])
		if m.moved[name] || len(want) > 0 {
			assert.Equal(m.t, m.moved[name], index > m.index[name], "index of %s", name)
		}
		m.index[name] = index
	}
	assert.Equal(m.t, slices.Sorted(maps.Keys(live)), slices.Collect(m.r.Services()))
	st := m.r.Stats()
	assert.Equal(m.t, [2]int{len(live), len(m.have)}, [2]int{st.Services, st.Instances})
	for l, rec := range m.of {
		current := m.have[registry.Ref{Service: rec.in.Service, ID: rec.in.ID}] == rec
		assert.Equal(m.t, current, !isClosed(l.Done()))
	}
	synctest.Wait()
	var told []string
	for _, c := range m.j.take() {
		told = append(told, fmt.Sprint(c.Service, " ", c.Reason, " ", c.ID))
	}
	slices.SortStableFunc(told, byService) // they are in order for each service
	slices.SortStableFunc(m.expected, byService)
	assert.Equal(m.t, m.expected, told)
	m.expected = nil
	for name, updates := range m.updates {
		for len(updates) > 0 {
			m.replays[name].apply(<-updates)
		}
		assert.Equal(m.t, m.index[name], m.replays[name].index, "the last update of %s", name)
	}
}

func byService(a, b string) int { return cmp.Compare(a[:1], b[:1]) }

// ttl is an instance as it was registered: none reads as zero.
func (m *model) ttl(in registry.Instance) registry.Instance {
	if in.TTL == 0 {
		in.TTL = -time.Second
	}
	return in
}
