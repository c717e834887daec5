package registry

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzExpiry: whatever happens to the terms of a service, an expiry decides the
// same as a plain list that is looked through at every instant.
func FuzzExpiry(f *testing.F) {
	f.Add([]byte("\x02\x03\x05\x10aaaaaaaaaabbbbbbbbbbcccccccccccczzzzzzzzzz"))
	f.Add([]byte("\x01\x00\x0a\x14" + strings.Repeat("\x00\x05", 20) + strings.Repeat("\x05\x0f\x01\x03", 20)))
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		b := make([]byte, 400)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 4 || len(b) > 2000 {
			return
		}
		rule := preserveRule{
			share: []float64{-1, 0, 0.15, 0.25, 0.5, 1}[b[0]%6], least: int(b[1] % 8),
			window: time.Duration(b[2]%20 + 1), hold: time.Duration(b[3]%40 + 1),
		}
		p := pair{t: t, x: expiry{rule: rule}, n: naive{rule: rule}, terms: make(map[string]*term)}
		for b = b[4:]; len(b) >= 2; b = b[2:] {
			p.do(b[0], b[1])
		}
		p.now += 10_000 // by now whatever is left has lapsed
		p.step()
		for id, m := range p.terms {
			require.EqualValues(t, never, m.deadline.Load(), id)
		}
	})
}

// pair is an expiry and its model.
type pair struct {
	t     *testing.T
	x     expiry
	n     naive
	terms map[string]*term
	now   int64
	born  int
}

// do is one operation. As in a roster, all but renewals begin with a step.
func (p *pair) do(op, arg byte) {
	id := ""
	if ids := slices.Sorted(maps.Keys(p.terms)); len(ids) > 0 {
		id = ids[int(arg)%len(ids)]
	}
	m, e := p.terms[id], p.n.find(id)
	switch op % 8 {
	case 0, 1: // another one
		p.step()
		p.born++
		ttl := int64(arg % 32)
		m, e := &term{}, &entry{id: fmt.Sprint("t", p.born), deadline: never, ttl: ttl}
		if ttl > 0 {
			e.deadline = p.now + ttl
		}
		m.start(e.id, time.Duration(ttl), p.now)
		p.x.add(m)
		p.n.list = append(p.n.list, e)
		p.terms[e.id] = m
	case 2: // time passes, and nobody looks
		p.now += int64(arg % 64)
	case 3:
		p.now += int64(arg % 16)
		p.step()
	case 4, 5:
		p.renew(m, e)
	case 6:
		p.step()
		if m = p.terms[id]; m != nil {
			e = p.n.find(id)
			held := p.n.heldNow()
			p.n.drop(e)
			delete(p.terms, id)
			require.Equal(p.t, held > 0 && p.n.heldNow() == 0, p.x.remove(m))
		}
	case 7:
		p.step()
		if m = p.terms[id]; m != nil {
			p.retime(m, p.n.find(id), int64(op/8))
		}
	}
}

func (p *pair) renew(m *term, e *entry) {
	if m == nil {
		return
	}
	switch got := m.renew(p.now); {
	case e.deadline == never:
		require.Equal(p.t, renewed, got)
	case !e.held && p.now < e.deadline:
		require.Equal(p.t, renewed, got)
		e.deadline = max(e.deadline, p.now+e.ttl)
	default:
		require.Equal(p.t, lapsed, got)
		p.step()
		if p.terms[e.id] == nil {
			require.Equal(p.t, lost, m.renew(p.now))
			return
		}
		require.True(p.t, e.held)
		e.held, e.deadline = false, p.now+e.ttl
		m.deadline.Store(e.deadline)
		require.Equal(p.t, p.n.heldNow() == 0, p.x.restore(m))
	}
}

// retime gives a term another TTL. If it is over with that already it lapses now,
// not in the past.
func (p *pair) retime(m *term, e *entry, ttl int64) {
	held := p.n.heldNow()
	switch {
	case e.held && ttl > 0:
	case ttl == 0:
		e.held, e.deadline = false, never
	case e.deadline == never:
		e.deadline = p.now + ttl
	default:
		e.deadline = max(p.now, e.deadline+ttl-e.ttl)
	}
	e.ttl = ttl
	require.Equal(p.t, held > 0 && p.n.heldNow() == 0, p.x.retime(m, time.Duration(ttl), p.now))
	require.GreaterOrEqual(p.t, p.x.due(), p.now, "nothing is ever due in the past: that would look like a stall")
}

// step makes both decide, and compares them.
func (p *pair) step() {
	out := p.x.step(p.now)
	expired, turns := p.n.step(p.now)
	require.Equal(p.t, expired, names(out.expired), "at %d", p.now)
	require.Equal(p.t, turns, out.turns, "at %d", p.now)
	var held []string
	for _, e := range p.n.sorted(func(e *entry) bool { return e.held }) {
		held = append(held, e.id)
	}
	require.Equal(p.t, held, names(p.x.held), "at %d", p.now)
	for _, m := range out.held {
		require.Contains(p.t, held, m.id)
	}
	for _, id := range expired {
		require.False(p.t, p.terms[id].alive())
		delete(p.terms, id)
	}
	next := never
	for _, e := range p.n.list {
		if !e.held {
			next = min(next, e.deadline)
		} else {
			next = min(next, p.n.until, p.n.began+int64(p.n.rule.hold))
		}
	}
	require.LessOrEqual(p.t, p.x.due(), next, "due may come too early, and never too late")
	require.Greater(p.t, p.x.due(), p.now)
}

// FuzzAddr: an address is what net.SplitHostPort takes apart into a port and a
// name or an IP address, and nothing that would surprise whoever dials it.
func FuzzAddr(f *testing.F) {
	for _, s := range []string{
		"", ":", "a", "a:", ":80", "a:80", "a:0", "a:00080", "a:65535", "a:65536", "a:-1", "a:+1", "a: 80", " a:80", "a:http", "a:8_0",
		"10.0.0.1:80", "::1:80", "[::1]:80", "[::1]", "[::1]80", "[::1:80", "::1]:80", "[]:80", "[a]:80", "[10.0.0.1]:80", "[[::1]]:80",
		"[::ffff:1.2.3.4]:80", "[fe80::1%eth0]:80", "[fe80::1%]:80", "[fe80::1%]]:80", "[fe80::1%a\nb]:80", "[fe80::1%a b]:80", "[fe80::1%\xff]:80",
		"a_b-c.d:80", "a..b:80", "a b:80", "a\n:80", "a\x00b:80", "\u00fc:80", "a/b:80", "u@a:80", "a%20:80", strings.Repeat("a", 255) + ":80", strings.Repeat("a", 256) + ":80",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		valid := validAddr(s)
		host, port, err := net.SplitHostPort(s)
		if err != nil {
			require.False(t, valid, "%q: %v", s, err)
			return
		}
		n, err := strconv.ParseUint(port, 10, 16)
		ip, notIP := netip.ParseAddr(host)
		want := err == nil && n > 0 && strconv.FormatUint(n, 10) == port
		if strings.HasPrefix(s, "[") {
			want = want && notIP == nil && ip.Is6() && only(ip.Zone(), "-_.")
		} else {
			want = want && validName(host)
		}
		require.Equal(t, want, valid, "%q", s)
		if valid {
			require.True(t, printable(s), "%q", s)
			require.Equal(t, s, net.JoinHostPort(host, port))
		}
	})
}

// FuzzPages: a list of pages is equal to a plain sorted list, whatever was put
// in and taken out.
func FuzzPages(f *testing.F) {
	f.Add(uint16(0), []byte{0, 1, 2, 3})
	f.Add(uint16(flatMax-2), []byte("abcdefgh"))
	f.Add(uint16(flatMax+1), []byte{255, 254, 1, 0, 9, 9, 9, 128})
	f.Add(uint16(2*flatMax), []byte("0987654321"))
	f.Fuzz(func(t *testing.T, n uint16, b []byte) {
		if n > 4*flatMax || len(b) > 200 {
			return
		}
		l := newPlain(t)
		l.grow(int(n))
		for ; len(b) >= 2; b = b[2:] {
			l.edit(rand.New(rand.NewPCG(uint64(b[0]), uint64(b[1]))), 1<<(b[0]%13), float64(b[1])/255)
		}
	})
}
