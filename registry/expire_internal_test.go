package registry

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Tests of the pure core of leases: no clock, no lock, and no goroutine but where
// a renewal meets an expiry.

// terms are n terms with a deadline each, in one expiry. Their IDs tell the order.
func terms(x *expiry, deadlines ...int64) []*term {
	all := make([]*term, len(deadlines))
	for i, d := range deadlines {
		all[i] = &term{}
		all[i].start(fmt.Sprintf("t%02d", i), time.Duration(d), 0)
		x.add(all[i])
	}
	return all
}

func names(all []*term) []string {
	var ids []string
	for _, t := range all {
		ids = append(ids, t.id)
	}
	return ids
}

// uncapped is the rule under which all that lapses expires.
var uncapped = preserveRule{share: -1, window: 100, hold: 1000}

// G8: a term holds until just before its deadline, and is over at it.
func TestTerm(t *testing.T) {
	for _, c := range []struct {
		name  string
		ttl   time.Duration
		start int64
		at    int64
		want  renewal
		next  int64
	}{
		{"at once", 10, 100, 100, renewed, 110},
		{"just before", 10, 100, 109, renewed, 119},
		{"at the deadline", 10, 100, 110, lapsed, 110},
		{"long after", 10, 100, math.MaxInt64, lapsed, 110},
		{"an earlier reading never shortens it", 10, 100, 50, renewed, 110},
		{"no TTL", 0, 100, 200, renewed, never},
		{"negative TTL", -5, 100, 200, renewed, never},
		{"longest TTL", math.MaxInt64, 100, 200, renewed, never},
		{"longest TTL from the beginning of time", math.MaxInt64, 0, 1, renewed, never},
		{"before the beginning of time", 10, -100, -91, renewed, -81},
		{"renewed to the end of time", math.MaxInt64 - 100, 0, 200, renewed, never},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m term
			m.start("a", c.ttl, c.start)
			assert.Equal(t, c.want, m.renew(c.at))
			assert.Equal(t, c.next, m.deadline.Load())
			assert.True(t, m.alive())
			m.deadline.Store(dead)
			assert.Equal(t, lost, m.renew(c.at))
			assert.False(t, m.alive())
		})
	}
}

// G13: who expires when, and what is told.
func TestExpiry(t *testing.T) {
	type tick struct {
		at      int64
		expired []string
		held    []string // all that are held after it
		turns   []turn
	}
	capped := preserveRule{share: 0.25, least: 4, window: 100, hold: 250}
	for name, c := range map[string]struct {
		rule      preserveRule
		deadlines []int64
		ticks     []tick
	}{
		"nothing": {uncapped, nil, []tick{{at: math.MaxInt64 - 1}}},
		"one, at its deadline": {uncapped, []int64{10}, []tick{
			{at: 9}, {at: 10, expired: []string{"t00"}}, {at: 11},
		}},
		"by deadline, ties by ID": {uncapped, []int64{20, 10, 20, 10}, []tick{
			{at: 30, expired: []string{"t01", "t03", "t00", "t02"}},
		}},
		"fewer than the minimum expire exactly": {capped, []int64{10, 10, 10}, []tick{
			{at: 10, expired: []string{"t00", "t01", "t02"}},
		}},
		"the share expires, the others are held": {capped, []int64{10, 10, 10, 10, 500, 500, 500, 500}, []tick{
			{at: 10, expired: []string{"t00", "t01"}, held: []string{"t02", "t03"}, turns: []turn{{true, 2, 10}}},
			{at: 109, held: []string{"t02", "t03"}},
			// Six were left when the next window opened.
			{at: 110, expired: []string{"t02", "t03"}, turns: []turn{{false, 0, 110}}},
		}},
		"a share is rounded up": {capped, []int64{10, 10, 10, 10, 500}, []tick{
			{at: 10, expired: []string{"t00", "t01"}, held: []string{"t02", "t03"}, turns: []turn{{true, 2, 10}}},
		}},
		"a whole share is not": {capped, []int64{10, 10, 500, 500}, []tick{
			{at: 10, expired: []string{"t00"}, held: []string{"t01"}, turns: []turn{{true, 1, 10}}},
		}},
		"a window counts from the first lapse, not from when it is noticed": {capped, []int64{10, 60, 110, 900}, []tick{
			{at: 109, expired: []string{"t00"}, held: []string{"t01"}, turns: []turn{{true, 1, 60}}},
			// Three are fewer than the minimum, so this window has room for all.
			{at: 110, expired: []string{"t01", "t02"}, turns: []turn{{false, 0, 110}}},
		}},
		"a later window takes the oldest": {preserveRule{share: 0.25, window: 100, hold: 1000}, []int64{10, 20, 30, 115}, []tick{
			{at: 30, expired: []string{"t00"}, held: []string{"t01", "t02"}, turns: []turn{{true, 2, 20}}},
			{at: 110, expired: []string{"t01"}, held: []string{"t02"}},
			{at: 115, held: []string{"t02", "t03"}},
			{at: 210, expired: []string{"t02"}, held: []string{"t03"}},
			{at: 310, expired: []string{"t03"}, turns: []turn{{false, 0, 310}}},
		}},
		"a quiet time closes the window": {capped, []int64{10, 500, 500, 500}, []tick{
			{at: 400, expired: []string{"t00"}},
			{at: 500, expired: []string{"t01", "t02", "t03"}},
		}},
		"all go at the longest hold": {preserveRule{share: 0, window: 100, hold: 150}, []int64{10, 10, 40, 155, 170}, []tick{
			{at: 40, expired: []string{"t00"}, held: []string{"t01", "t02"}, turns: []turn{{true, 2, 10}}},
			{at: 110, expired: []string{"t01"}, held: []string{"t02"}},
			{at: 159, held: []string{"t02", "t03"}},
			{at: 160, expired: []string{"t02", "t03"}, turns: []turn{{false, 0, 160}}},
			// The window of 110 has had its one, so holding begins anew.
			{at: 170, held: []string{"t04"}, turns: []turn{{true, 1, 170}}},
			{at: 210, expired: []string{"t04"}, turns: []turn{{false, 0, 210}}},
		}},
		"the longest hold comes before the window": {preserveRule{share: 0, window: 1000, hold: 50}, []int64{10, 20, 30}, []tick{
			{at: 30, expired: []string{"t00"}, held: []string{"t01", "t02"}, turns: []turn{{true, 2, 20}}},
			{at: 70, expired: []string{"t01", "t02"}, turns: []turn{{false, 0, 70}}},
		}},
		"one late step does what timely ones would have": {capped, []int64{10, 10, 10, 10}, []tick{
			{
				at: math.MaxInt64 - 1, expired: []string{"t00", "t01", "t02", "t03"},
				turns: []turn{{true, 3, 10}, {false, 0, 110}},
			},
		}},
		"no cap holds nothing": {preserveRule{share: -1, window: 100, hold: 150}, []int64{10, 10, 10, 10, 10}, []tick{
			{at: 10, expired: []string{"t00", "t01", "t02", "t03", "t04"}},
		}},
		"the whole share holds nothing": {preserveRule{share: 1, window: 100, hold: 150}, []int64{10, 10, 10}, []tick{
			{at: 10, expired: []string{"t00", "t01", "t02"}},
		}},
		"no term, no lapse": {capped, []int64{0, -1, math.MaxInt64, 10}, []tick{
			{at: math.MaxInt64 - 1, expired: []string{"t03"}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			x := expiry{rule: c.rule}
			terms(&x, c.deadlines...)
			for _, k := range c.ticks {
				out := x.step(k.at)
				assert.Equal(t, k.expired, names(out.expired), "expired at %d", k.at)
				assert.Equal(t, k.held, names(x.held), "held at %d", k.at)
				assert.Equal(t, k.turns, out.turns, "turns at %d", k.at)
				assert.Greater(t, x.due(), k.at)
				assert.Empty(t, x.step(k.at), "there is nothing left to decide")
			}
		})
	}
}

// The share is exact, whatever its last bit.
func TestExpiryShare(t *testing.T) {
	for _, c := range []struct {
		share     float64
		n, expire int
	}{
		{0.15, 20, 3},
		{0.15, 21, 4},
		{0.15, 100, 15},
		{0.15, 10, 2},
		{0.15, 1, 1},
		{0.1, 30, 3},
		{0.07, 100, 7},
		{0.29, 100, 29},
		{1, 50, 50},
		{1e-300, 50, 1},
		{0, 50, 1},
		{0.999, 1000, 999},
		{0.9999, 1000, 1000},
	} {
		x := expiry{rule: preserveRule{share: c.share, window: 100, hold: 1000}}
		terms(&x, slices.Repeat([]int64{10}, c.n)...)
		assert.Len(t, x.step(10).expired, c.expire, "%v of %d", c.share, c.n)
		assert.Len(t, x.held, c.n-c.expire, "%v of %d", c.share, c.n)
	}
}

// What is taken out, restored or given another TTL.
func TestExpiryChanges(t *testing.T) {
	x := expiry{rule: preserveRule{share: 0, window: 100, hold: 1000}}
	all := terms(&x, 10, 10, 10, 50, 60)
	require.Len(t, x.step(10).held, 2)
	assert.Equal(t, []string{"t01", "t02"}, names(x.held))
	assert.Equal(t, lapsed, all[1].renew(20), "only under the lock")

	all[1].deadline.Store(70)
	assert.False(t, x.restore(all[1]), "one is still held")
	assert.True(t, x.remove(all[2]), "that was the last one")
	assert.False(t, x.remove(all[2]), "it is not there any more")
	assert.EqualValues(t, 50, x.due())

	assert.False(t, x.retime(all[3], 200, 20))
	assert.EqualValues(t, 200, all[3].deadline.Load(), "from the last renewal")
	assert.False(t, x.retime(all[3], 0, 20))
	assert.EqualValues(t, never, all[3].deadline.Load())
	assert.False(t, x.retime(all[3], 30, 20))
	assert.EqualValues(t, 50, all[3].deadline.Load(), "from now, since there was none")
	assert.False(t, x.retime(all[4], 5, 20))
	assert.EqualValues(t, 20, x.due(), "a TTL that is over by now lapses now, not in the past")
	assert.Equal(t, []string{"t04"}, names(x.step(20).held), "in a window without room")
	assert.False(t, x.retime(all[4], 500, 20), "it stays held, with another TTL")
	assert.EqualValues(t, held, all[4].deadline.Load())
	assert.EqualValues(t, 500, all[4].ttl.Load())
	assert.True(t, x.retime(all[4], -1, 20), "what needs no renewal is not held")
	assert.EqualValues(t, never, all[4].deadline.Load())
	assert.Equal(t, []string{"t03", "t01"}, names(x.step(10_000).expired))
	assert.EqualValues(t, never, x.due())
	all[0].deadline.Store(dead)
	assert.False(t, x.retime(all[0], 10, 20))
	assert.Equal(t, lost, all[0].renew(20), "the dead stay dead")
}

// Of a renewal and an expiry one wins, and both know which.
func TestExpiryMeetsRenewal(t *testing.T) {
	for range 2000 {
		x := expiry{rule: uncapped}
		m := terms(&x, 10)[0]
		var got renewal
		var wg sync.WaitGroup
		wg.Go(func() { got = m.renew(9) })
		out := x.step(10)
		wg.Wait()
		if got == renewed {
			require.Empty(t, out.expired)
			require.EqualValues(t, 19, m.deadline.Load())
			require.Equal(t, []string{"t00"}, names(x.step(19).expired))
		} else {
			require.Equal(t, lost, got)
			require.Equal(t, []string{"t00"}, names(out.expired))
		}
	}
}

// A renewal that meets another TTL grants one of both, from its own reading on,
// and never brings the old one back.
func TestRetimeMeetsRenewal(t *testing.T) {
	for range 2000 {
		x := expiry{rule: uncapped}
		m := terms(&x, 100)[0]
		var got renewal
		var wg sync.WaitGroup
		wg.Go(func() { got = m.renew(50) })
		x.retime(m, 70, 50)
		wg.Wait()
		d := m.deadline.Load()
		switch got {
		case renewed: // before, or after
			require.EqualValues(t, 120, d)
		case lapsed: // during: the shell takes the lock and tries again
			require.EqualValues(t, 70, d)
		case lost:
			require.Fail(t, "lost")
		}
		require.LessOrEqual(t, x.due(), d)
	}
}

// naive is what an expiry has to be equal to: a plain list, looked through at
// every instant. It has no heap, no lazy keys and no step that skips instants.
type naive struct {
	rule  preserveRule
	list  []*entry
	now   int64 // decided up to here
	open  bool
	until int64
	room  int
	began int64
}

type entry struct {
	id       string
	deadline int64 // never: it has no TTL
	ttl      int64
	held     bool
}

func (n *naive) step(now int64) (expired []string, turns []turn) {
	n.tick(&expired, &turns) // once more, for a TTL that has become too short since
	for n.now < now {
		n.now++
		n.tick(&expired, &turns)
	}
	return expired, turns
}

func (n *naive) tick(expired *[]string, turns *[]turn) {
	if n.heldNow() > 0 && n.now >= n.began+int64(n.rule.hold) {
		n.evict(n.heldNow(), expired, turns)
	}
	if n.heldNow() > 0 && n.now >= n.until {
		n.window()
		most := min(n.room, n.heldNow())
		n.room -= most
		n.evict(most, expired, turns)
	}
	for _, e := range n.sorted(func(e *entry) bool { return !e.held && e.deadline <= n.now }) {
		if !n.open || n.now >= n.until {
			n.window()
		}
		if n.room > 0 {
			n.room--
			n.drop(e)
			*expired = append(*expired, e.id)
			continue
		}
		if n.heldNow() == 0 {
			n.began = n.now
			*turns = append(*turns, turn{active: true, at: n.now})
		}
		e.held = true
		if len(*turns) > 0 {
			last := &(*turns)[len(*turns)-1]
			last.held = max(last.held, n.heldNow())
		}
	}
}

func (n *naive) evict(most int, expired *[]string, turns *[]turn) {
	for _, e := range n.sorted(func(e *entry) bool { return e.held })[:most] {
		n.drop(e)
		*expired = append(*expired, e.id)
	}
	if n.heldNow() == 0 {
		*turns = append(*turns, turn{at: n.now})
	}
}

func (n *naive) window() {
	leased := len(n.sorted(func(e *entry) bool { return e.deadline != never }))
	n.open, n.until, n.room = true, n.now+int64(n.rule.window), math.MaxInt
	if n.rule.share >= 0 && leased >= n.rule.least {
		n.room = max(1, int(math.Ceil(n.rule.share*float64(leased)-1e-9)))
	}
}

func (n *naive) sorted(want func(*entry) bool) []*entry {
	var all []*entry
	for _, e := range n.list {
		if want(e) {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.deadline, b.deadline), cmp.Compare(a.id, b.id))
	})
	return all
}

func (n *naive) heldNow() int { return len(n.sorted(func(e *entry) bool { return e.held })) }

func (n *naive) find(id string) *entry {
	for _, e := range n.list {
		if e.id == id {
			return e
		}
	}
	return nil
}

func (n *naive) drop(gone *entry) {
	n.list = slices.DeleteFunc(n.list, func(e *entry) bool { return e == gone })
}
