package registrytest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// checkReset wants the first batch of a process to be a Reset with all that is
// there, and to come even if nothing is.
func checkReset(tb testing.TB, open func() registry.Backend) {
	tb.Helper()
	o := newOrigin(tb, open)
	defer o.end()
	o.expect(nil)
	a, b := o.join(), o.join()
	a.put(a.record("x", "1"))
	a.put(a.record("y", "1"))
	b.put(b.record("z", "1"))
	b.put(b.record("y", "2"))
	want := map[string]string{"x": "1", "y": "2", "z": "1"}
	o.expect(want)
	a.follow()
	a.expectFirst(want)
}

// checkAgain wants a process that did not follow for a while to learn what it
// missed.
func checkAgain(tb testing.TB, open func() registry.Backend) {
	tb.Helper()
	o := newOrigin(tb, open)
	defer o.end()
	a, b := o.join(), o.join()
	for _, id := range []string{"stays", "changes", "leaves"} {
		b.put(b.record(id, "1"))
	}
	a.follow()
	a.awaitVersion(o.ref("leaves"), "1")
	a.stop()
	b.put(b.record("changes", "2"))
	b.put(b.record("comes", "1"))
	b.remove(o.ref("leaves"))
	a.follow()
	a.awaitAll("Run tells what changed while there was none", o.named(map[string]string{"stays": "1", "changes": "2", "comes": "1"}))
}

// checkFields wants every field that can reach another process to get there, as
// it was when Put was called.
func checkFields(tb testing.TB, open func() registry.Backend) {
	tb.Helper()
	o := newOrigin(tb, open)
	defer o.end()
	a, b := o.join(), o.join()
	a.follow()
	b.follow()
	sent := variety(a)
	for _, rec := range sent {
		given := clone(rec)
		a.put(given)
		b.awaitVersion(refOf(rec), rec.Instance.Version)
		for i := range given.Instance.Tags {
			given.Instance.Tags[i] = "changed after Put"
		}
		for k := range given.Instance.Meta {
			given.Instance.Meta[k] = "changed after Put"
		}
	}
	late := o.join()
	late.follow()
	all := func(known map[registry.Ref]registry.Record) bool { return len(known) == len(sent) }
	for _, p := range []*process{a, b, late} {
		p.await("all records arrive", all)
		p.mu.Lock()
		for _, rec := range sent {
			p.compare(p.known[refOf(rec)], rec)
		}
		p.mu.Unlock()
	}
}

// variety is records with all kinds of content.
func variety(p *process) []registry.Record {
	full := p.record("full", "v1.2.3+build")
	full.Instance.Addr, full.Instance.Scheme, full.Instance.ServerName = "host-7.example.com:65535", "https", "orders.example.com"
	full.Instance.Zone, full.Instance.Weight, full.Instance.TTL = "eu-west-1b \u00fc", 1_000_000, 90*time.Second+time.Nanosecond
	full.Instance.Tags = []string{"", "a b", "canary", "x=\"y\",z"}
	full.Instance.Meta = map[string]string{"": "no key", "empty": "", "text": "<&> \u4e16 \U0001f600 \"\\"}
	v6 := p.record("v6", "")
	v6.Instance.Addr, v6.Instance.Weight = "[2001:db8::1]:8080", -1
	bare := p.record("bare", "")
	bare.Instance.Weight, bare.Health = 1, 0
	large := p.record("large", "")
	large.Instance.Meta = map[string]string{"text": strings.Repeat("0123456789abcdef", 1<<9)}
	all := []registry.Record{full, v6, bare, large}
	for h := registry.Passing; h <= registry.Down; h++ {
		if h != registry.Stale {
			rec := p.record(h.String(), "")
			rec.Health = h
			all = append(all, rec)
		}
	}
	return all
}

// compare reports every field that differs.
func (p *process) compare(got, want registry.Record) {
	p.origin.tb.Helper()
	differs := func(same bool, field string, got, want any) {
		p.origin.tb.Helper()
		if !same {
			p.origin.tb.Errorf("registrytest: %s: %s is %s, and was put as %s", p.owner, field, quoted(got), quoted(want))
		}
	}
	g, w := got.Instance, want.Instance
	differs(got.Owner == want.Owner, "Owner", got.Owner, want.Owner)
	differs(max(got.Health, registry.Passing) == max(want.Health, registry.Passing), "Health", got.Health, want.Health)
	differs(g.Service == w.Service, "Instance.Service", g.Service, w.Service)
	differs(g.ID == w.ID, "Instance.ID", g.ID, w.ID)
	differs(g.Addr == w.Addr, "Instance.Addr", g.Addr, w.Addr)
	differs(g.Scheme == w.Scheme, "Instance.Scheme", g.Scheme, w.Scheme)
	differs(g.ServerName == w.ServerName, "Instance.ServerName", g.ServerName, w.ServerName)
	differs(g.Version == w.Version, "Instance.Version", g.Version, w.Version)
	differs(g.Zone == w.Zone, "Instance.Zone", g.Zone, w.Zone)
	differs(g.Weight == w.Weight, "Instance.Weight", g.Weight, w.Weight)
	differs(g.TTL == w.TTL, "Instance.TTL", g.TTL, w.TTL)
	differs(slices.Equal(g.Tags, w.Tags), "Instance.Tags", g.Tags, w.Tags)
	differs(maps.Equal(g.Meta, w.Meta), "Instance.Meta", g.Meta, w.Meta)
}

// quoted is a value of any length, fit for a message.
func quoted(v any) string {
	const most = 200
	s := fmt.Sprint(v)
	if len(s) > most {
		return fmt.Sprintf("%q... (%d bytes)", s[:most], len(s))
	}
	return strconv.Quote(s)
}

// checkNames wants instances not to be mistaken for each other, whatever
// characters their names hold.
func checkNames(tb testing.TB, open func() registry.Backend) {
	tb.Helper()
	o := newOrigin(tb, open)
	defer o.end()
	a, b := o.join(), o.join()
	a.follow()
	b.follow()
	refs := []registry.Ref{
		{Service: o.service + ".a", ID: "b"},
		{Service: o.service, ID: ".a.b"},
		{Service: o.service + ".a.b", ID: "c"},
		{Service: o.service + ".a", ID: "b.c"},
		{Service: o.service + "-a", ID: "b"},
		{Service: o.service + ".A", ID: "b"},
	}
	for _, id := range []string{
		"a", "A", "a/b", "a%2Fb", "a%252Fb", "/a", "a/", "..", "../a", "a.b", "a:b", "a b", " a", "*", ">", "a*", "$", "#", "?", "a=b", "_",
		"[2001:db8::1]:80", "\u00e9", "e\u0301", "\U0001f600", strings.Repeat("x", 1024),
	} {
		refs = append(refs, o.ref(id))
	}
	for i, ref := range refs {
		rec := a.record(ref.ID, strconv.Itoa(i))
		rec.Instance.Service = ref.Service
		a.put(rec)
	}
	want := make(map[registry.Ref]string)
	for i, ref := range refs {
		want[ref] = strconv.Itoa(i)
	}
	a.awaitAll("each of the names is known, and no other", want)
	b.awaitAll("each of the names is known, and no other", want)
	for i, ref := range refs {
		if i%2 == 0 {
			a.remove(ref)
			delete(want, ref)
		}
	}
	b.awaitAll("what was removed is gone, and nothing else", want)
}

// checkReplace wants a Put with other content to arrive, whoever puts it.
func checkReplace(tb testing.TB, open func() registry.Backend) {
	tb.Helper()
	o := newOrigin(tb, open)
	defer o.end()
	a, b := o.join(), o.join()
	a.follow()
	b.follow()
	rec := a.record("x", "1")
	rec.Instance.Tags, rec.Instance.Meta = []string{"old"}, map[string]string{"old": "yes"}
	changed := a.record("x", "2")
	changed.Instance.Addr, changed.Instance.Weight, changed.Health = "10.0.0.2:80", 7, registry.Draining
	for _, step := range []struct {
		by  *process
		rec registry.Record
	}{{a, rec}, {a, changed}, {b, b.record("x", "3")}, {a, a.record("x", "4")}} {
		step.by.put(step.rec)
		for _, p := range []*process{a, b} {
			p.awaitVersion(o.ref("x"), step.rec.Instance.Version)
			p.mu.Lock()
			p.compare(p.known[o.ref("x")], step.rec)
			p.mu.Unlock()
		}
	}
	o.expect(map[string]string{"x": "4"})
}
