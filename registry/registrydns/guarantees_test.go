package registrydns_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registrydns"
)

// The IDs of what an address source delivers.
func TestG47_addresses(t *testing.T) {
	cases := []struct {
		name  string
		reply reply
		want  []string
	}{
		{"sorted", ips("10.0.0.2", "10.0.0.1"), []string{"10.0.0.1:80", "10.0.0.2:80"}},
		{"without duplicates", ips("10.0.0.1", "10.0.0.2", "10.0.0.1"), []string{"10.0.0.1:80", "10.0.0.2:80"}},
		{"both families", ips("2001:db8::1", "10.0.0.1"), []string{"10.0.0.1:80", "[2001:db8::1]:80"}},
		{"mapped IPv4", ips("::ffff:10.0.0.1", "10.0.0.1"), []string{"10.0.0.1:80"}},
		{"with a zone", ips("fe80::1%eth0"), []string{"[fe80::1%eth0]:80"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := &script{replies: []reply{c.reply}}
			b := one(t, registrydns.Config{Resolver: s})
			assert.True(t, b.Reset)
			assert.Equal(t, c.want, ids(b))
			assert.Equal(t, []string{"ip orders.test."}, s.asked)
			for _, rec := range b.Put {
				assert.Equal(t, rec.Instance.ID, rec.Instance.Addr)
				assert.Equal(t, "orders", rec.Instance.Service)
				assert.Zero(t, rec.Instance.Weight, "the default of the registry")
			}
		})
	}
}

// What a source of SRV records delivers.
func TestG47_records(t *testing.T) {
	type got struct {
		id, server string
		weight     int
	}
	cases := []struct {
		name    string
		records []*net.SRV
		want    []got
	}{
		{
			"sorted, by name and port",
			[]*net.SRV{srv("b.test.", 80, 0, 7), srv("a.test.", 81, 0, 8), srv("a.test.", 80, 0, 9)},
			[]got{{"a.test:80", "a.test", 9}, {"a.test:81", "a.test", 8}, {"b.test:80", "b.test", 7}},
		},
		{
			"the best priority only, first or last",
			[]*net.SRV{srv("c.test.", 80, 20, 1), srv("a.test.", 80, 10, 1), srv("d.test.", 80, 30, 1), srv("b.test.", 80, 10, 1)},
			[]got{{"a.test:80", "a.test", 1}, {"b.test:80", "b.test", 1}},
		},
		{
			"a priority of 0 is the best",
			[]*net.SRV{srv("a.test.", 80, 1, 1), srv("b.test.", 80, 0, 1), srv("c.test.", 80, 65535, 1)},
			[]got{{"b.test:80", "b.test", 1}},
		},
		{
			"weight 0 is 1, others are as they are",
			[]*net.SRV{srv("a.test.", 80, 0, 0), srv("b.test.", 80, 0, 65535)},
			[]got{{"a.test:80", "a.test", 1}, {"b.test:80", "b.test", 65535}},
		},
		{
			"of duplicates the heaviest",
			[]*net.SRV{srv("a.test.", 80, 0, 1), srv("a.test.", 80, 0, 5), srv("a.test.", 80, 0, 2)},
			[]got{{"a.test:80", "a.test", 5}},
		},
		{
			"upper case is lower case",
			[]*net.SRV{srv("A.Test.", 80, 0, 1), srv("a.test.", 80, 0, 1)},
			[]got{{"a.test:80", "a.test", 1}},
		},
		{
			"a target without the dot",
			[]*net.SRV{srv("a.test", 65535, 0, 1)},
			[]got{{"a.test:65535", "a.test", 1}},
		},
		{
			"a root target beside others, though its priority is the best",
			[]*net.SRV{srv(".", 0, 0, 0), srv("a.test.", 80, 5, 1)},
			[]got{{"a.test:80", "a.test", 1}},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := &script{replies: []reply{{records: c.records}}}
			b := one(t, registrydns.Config{Name: "_orders._tcp.test.", Resolver: s, Instance: registry.Instance{Weight: 50}})
			var all []got
			for _, rec := range b.Put {
				in := rec.Instance
				all = append(all, got{in.ID, in.ServerName, in.Weight})
				assert.Equal(t, in.ID, in.Addr)
				assert.Zero(t, rec.Health)
			}
			assert.Equal(t, c.want, all)
			assert.Equal(t, []string{"srv ,,_orders._tcp.test."}, s.asked)
		})
	}
}

// A failed lookup keeps the last answer; two not-found answers in a row empty
// it. That is what these sequences come down to.
func TestG47_failures(t *testing.T) {
	const both, first, lost, none = "10.0.0.1:80 10.0.0.2:80", "10.0.0.1:80", "lost", ""
	two, single, nf := ips("10.0.0.1", "10.0.0.2"), ips("10.0.0.1"), notFound()
	cases := []struct {
		name    string
		replies []reply
		want    []string
	}{
		{"an error", []reply{two, broken()}, []string{both, lost}},
		{"errors only", []reply{two, broken(), broken(), broken()}, []string{both, lost, lost, lost}},
		{"recovered, also by the same answer", []reply{two, broken(), two}, []string{both, lost, both}},
		{"recovered by another answer", []reply{two, broken(), single}, []string{both, lost, first}},
		{"not found once", []reply{two, nf, two}, []string{both, lost, both}},
		{"not found twice", []reply{two, nf, nf}, []string{both, lost, none}},
		{"not found ever more", []reply{two, nf, nf, nf, nf}, []string{both, lost, none}},
		{"not found and back", []reply{two, nf, nf, nf, single}, []string{both, lost, none, first}},
		{"not found, not in a row", []reply{two, nf, two, nf, two}, []string{both, lost, both, lost, both}},
		{"an error in between", []reply{two, nf, broken(), nf, nf}, []string{both, lost, lost, lost, none}},
		{"after being empty it takes two again", []reply{nf, nf, two, nf, two}, []string{lost, none, both, lost, both}},
		{"empty, an error, empty", []reply{nf, nf, broken(), nf, nf}, []string{lost, none, lost, lost, none}},
		{"not found from the start", []reply{nf, nf}, []string{lost, none}},
		{"an error from the start", []reply{broken(), two}, []string{lost, both}},
		{"no records without an error", []reply{two, {}, {}}, []string{both, lost, none}},
		{"both kinds of not found", []reply{two, {}, nf}, []string{both, lost, none}},
		{"a DNS error of another kind", []reply{
			two,
			{err: &net.DNSError{Err: "server misbehaving", IsTemporary: true}},
			{err: &net.DNSError{Err: "i/o timeout", IsTimeout: true}},
		}, []string{both, lost, lost}},
		{"addresses beside an error", []reply{two, {addrs: single.addrs, err: errBroken}}, []string{both, lost}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				events, _ := play(t, registrydns.Config{}, c.replies...)
				assert.Equal(t, c.want, events)
			})
		})
	}
}

// The same of SRV records, where there is a way to say that a service is gone.
func TestG47_failuresOfRecords(t *testing.T) {
	a := srv("a.test.", 80, 0, 1)
	cases := []struct {
		name    string
		replies []reply
		want    []string
	}{
		{"not found twice", []reply{{records: []*net.SRV{a}}, notFound(), notFound()}, []string{"a.test:80", "lost", ""}},
		{"no records", []reply{{records: []*net.SRV{a}}, {}, {}}, []string{"a.test:80", "lost", ""}},
		{"decidedly not available", []reply{{records: []*net.SRV{a}}, {records: []*net.SRV{srv(".", 0, 0, 0)}}}, []string{"a.test:80", ""}},
		{"records beside an error", []reply{{records: []*net.SRV{a}, err: errBroken}}, []string{"a.test:80"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				events, _ := play(t, registrydns.Config{Name: "_orders._tcp.test."}, c.replies...)
				assert.Equal(t, c.want, events)
			})
		})
	}
}

// An answer is delivered when it differs from the one before.
func TestG47_unchanged(t *testing.T) {
	t.Run("addresses", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			events, s := play(t, registrydns.Config{},
				ips("10.0.0.1", "10.0.0.2"), ips("10.0.0.2", "10.0.0.1"), ips("10.0.0.2", "10.0.0.1", "10.0.0.2"),
				ips("10.0.0.2"), ips("10.0.0.2"), ips("10.0.0.2", "10.0.0.3"))
			assert.Equal(t, []string{"10.0.0.1:80 10.0.0.2:80", "10.0.0.2:80", "10.0.0.2:80 10.0.0.3:80"}, events)
			for i, at := range s.at {
				assert.Equal(t, time.Duration(i)*30*time.Second, at.Sub(s.at[0]))
			}
		})
	})
	t.Run("records", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			events, _ := play(t, registrydns.Config{Name: "orders.test"},
				reply{records: []*net.SRV{srv("a.test.", 80, 5, 1), srv("b.test.", 80, 5, 1)}},
				reply{records: []*net.SRV{srv("B.test.", 80, 5, 1), srv("a.test.", 80, 5, 1)}},
				reply{records: []*net.SRV{srv("b.test.", 80, 1, 0), srv("a.test.", 80, 1, 0)}},
				reply{records: []*net.SRV{srv("b.test.", 80, 1, 2), srv("a.test.", 80, 1, 0)}})
			assert.Equal(t, []string{"a.test:80 b.test:80", "a.test:80 b.test:80"}, events, "the second for the weight")
		})
	})
}

// The instances are like the template, and share nothing with it or with each
// other.
func TestG47_template(t *testing.T) {
	template := registry.Instance{
		Scheme: "https", ServerName: "tls.test", Version: "v2", Zone: "z", Weight: 7,
		Tags: []string{"x"}, Meta: map[string]string{"k": "v"}, Check: registry.Check{Interval: time.Minute},
	}
	template.Check.Func = func(context.Context, registry.Instance) error { panic("not called by this package") }
	cfg := registrydns.Config{Instance: template, Resolver: &script{replies: []reply{ips("10.0.0.1", "10.0.0.2")}}}

	ctx, over := context.WithCancelCause(bg)
	src := newSource(t, cfg)
	template.Tags[0], template.Meta["k"] = "changed", "changed"
	err := src.Run(ctx, func(b registry.Batch) error {
		for _, rec := range b.Put {
			in := rec.Instance
			assert.NotNil(t, in.Check.Func)
			in.Check.Func = nil
			assert.Equal(t, registry.Instance{
				ID: in.Addr, Service: "orders", Addr: in.Addr,
				Scheme: "https", ServerName: "tls.test", Version: "v2", Zone: "z", Weight: 7,
				Tags: []string{"x"}, Meta: map[string]string{"k": "v"}, Check: registry.Check{Interval: time.Minute},
			}, in)
			in.Tags[0], in.Meta["k"] = "spoiled", "spoiled"
		}
		over(errOver)
		return nil
	})
	assert.Equal(t, errOver, err)
}

// The name for TLS is what was asked for, unless the template has one.
func TestG47_serverName(t *testing.T) {
	cases := []struct {
		name, template string
		port           int
		want           string
	}{
		{"orders.test.", "", 80, "orders.test"},
		{"orders", "", 80, "orders"},
		{"10.0.0.1", "", 80, ""},
		{"2001:db8::1", "", 80, ""},
		{"orders.test.", "tls.test", 80, "tls.test"},
		{"orders.test.", "", 0, "a.test"},
		{"orders.test.", "tls.test", 0, "tls.test"},
	}
	for _, c := range cases {
		r := resolver{
			ip:  func(context.Context) ([]netip.Addr, error) { return ips("10.0.0.1").addrs, nil },
			srv: func(context.Context) ([]*net.SRV, error) { return []*net.SRV{srv("a.test.", 80, 0, 0)}, nil },
		}
		b := one(t, registrydns.Config{
			Name: c.name, Port: c.port, Resolver: r, Instance: registry.Instance{ServerName: c.template},
		})
		assert.Equal(t, c.want, b.Put[0].Instance.ServerName, c)
	}
}
