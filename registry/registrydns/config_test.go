package registrydns_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registrydns"
)

var color = registry.NewKey[string]("color")

// Each field on its own: the error names it, with its value.
func TestConfig_invalid(t *testing.T) {
	type config = registrydns.Config
	cases := []struct {
		change func(*config)
		want   string
	}{
		{func(c *config) { c.Service = "" }, `Service is "", want 1 to 255 letters, digits, '-', '_' and '.'`},
		{func(c *config) { c.Service = "a b" }, `Service is "a b", want 1 to 255 letters, digits, '-', '_' and '.'`},
		{func(c *config) { c.Name = "" }, `Name is "", want a DNS name or an IP address`},
		{func(c *config) { c.Name, c.Port = "", 0 }, `Name is "", want a DNS name`},
		{func(c *config) { c.Name, c.Port = "10.0.0.1", 0 }, `Name is "10.0.0.1", want a DNS name`},
		{func(c *config) { c.Name, c.Port = "2001:db8::1", 0 }, `Name is "2001:db8::1", want a DNS name`},
		{func(c *config) { c.Name = "orders.test\n" }, `Name is "orders.test\n", want a DNS name or an IP address`},
		{func(c *config) { c.Name = strings.Repeat("a", 1000) }, `Name is "` + strings.Repeat("a", 64) + `"... (1000 bytes), want a DNS name or an IP address`},
		{func(c *config) { c.Port = -1 }, "Port is -1, want 1 to 65535, or 0 for SRV records"},
		{func(c *config) { c.Port = 65536 }, "Port is 65536, want 1 to 65535, or 0 for SRV records"},
		{func(c *config) { c.Interval = -1 }, "Interval is -1ns, want 0 or more"},
		{func(c *config) { c.Interval = math.MinInt64 }, "Interval is -2562047h47m16.854775808s, want 0 or more"},
		{func(c *config) { c.Instance.ID = "x" }, `Instance.ID is "x", want none, because DNS tells it`},
		{func(c *config) { c.Instance.Service = "x" }, `Instance.Service is "x", want none, because Service tells it`},
		{func(c *config) { c.Instance.Addr = "x:1" }, `Instance.Addr is "x:1", want none, because DNS tells it`},
		{func(c *config) { c.Instance.TTL = time.Second }, "Instance.TTL is 1s, want 0, because what is fed does not expire"},
		{func(c *config) { c.Instance.TTL = -1 }, "Instance.TTL is -1ns, want 0, because what is fed does not expire"},
		{func(c *config) { c.Instance.Attrs = []registry.Attr{color.Value("red")} }, "Instance.Attrs is set, want none"},
		{func(c *config) { c.Instance.Weight = 1_000_001 }, "Instance.Weight is 1000001, want at most 1000000"},
		{func(c *config) { c.Instance.Scheme = "9" }, `Instance.Scheme is "9", want a URL scheme`},
		{func(c *config) { c.Instance.ServerName = "a b" }, `Instance.ServerName is "a b", want a host name or an IP address`},
		{func(c *config) { c.Instance.Zone = "\x00" }, `Instance.Zone is "\x00", want valid UTF-8 without control characters`},
		{func(c *config) { c.Instance.Check.Interval = 1 }, "Instance.Check.Func is nil, want a function, because other fields of Check are set"},
	}
	for _, c := range cases {
		cfg := config{Service: "orders", Name: "orders.test", Port: 80}
		c.change(&cfg)
		src, err := registrydns.New(cfg)
		assert.Nil(t, src, c.want)
		assert.EqualError(t, err, "registrydns: New: "+c.want)
	}
}

// All that is wrong is told at once.
func TestConfig_joined(t *testing.T) {
	_, err := registrydns.New(registrydns.Config{
		Port: -1, Interval: -1, Instance: registry.Instance{ID: "x", Weight: 2_000_000, Zone: "\n"},
	})
	for _, field := range []string{"Service", "Name", "Port", "Interval", "Instance.ID", "Instance.Weight", "Instance.Zone"} {
		assert.ErrorContains(t, err, field+" is ")
	}
	assert.Equal(t, 6, strings.Count(err.Error(), "\n"))
}

// The names of package net are accepted, and none that it reports as not found
// without a question.
func TestConfig_names(t *testing.T) {
	label := strings.Repeat("a", 63)
	long := strings.Join([]string{label, label, label, strings.Repeat("a", 61)}, ".")
	require.Len(t, long, 253)
	for _, name := range []string{
		"orders", "orders.test", "orders.test.", "_orders._tcp.test", "ORDERS-1.test", "1.a", "1-1", "xn--bcher-kva.test", long, long + ".",
	} {
		_, err := registrydns.New(registrydns.Config{Service: "orders", Name: name})
		assert.NoError(t, err, name)
	}
	for _, name := range []string{
		".", "..", "orders..test", ".test", "orders.test..", "-a.test", "a-.test", "a.-", "a b", "a:b", "a/b", "b\u00fccher.test", "\xff", "10.0.0.256", "1",
		label + "a.test", long + "a",
	} {
		for _, port := range []int{0, 80} {
			_, err := registrydns.New(registrydns.Config{Service: "orders", Name: name, Port: port})
			assert.ErrorContains(t, err, "Name is ", name)
		}
	}
	for _, ip := range []string{"10.0.0.1", "::1", "fe80::1%eth0"} {
		_, err := registrydns.New(registrydns.Config{Service: "orders", Name: ip, Port: 80})
		assert.NoError(t, err, ip)
	}
}

// What is meaningful at the edges is accepted.
func TestConfig_valid(t *testing.T) {
	cases := []registrydns.Config{
		{Port: 1},
		{Port: 65535},
		{Interval: 1},
		{Interval: math.MaxInt64},
		{Timeout: math.MinInt64},
		{Timeout: math.MaxInt64},
		{Instance: registry.Instance{Weight: -1}},
		{Instance: registry.Instance{Meta: map[string]string{"k": strings.Repeat("v", 1<<20)}}}, // the Limits of a registry are its own
		{Service: "twins"},
	}
	for _, c := range cases {
		if c.Service == "" {
			c.Service = "orders"
		}
		c.Name = "orders.test"
		_, err := registrydns.New(c)
		assert.NoError(t, err)
	}
}

// New looks at a check and does not run it.
func TestConfig_checkIsNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		check := registry.Check{Func: func(context.Context, registry.Instance) error {
			assert.Fail(t, "run")
			return nil
		}}
		newSource(t, registrydns.Config{Instance: registry.Instance{Check: check}})
		synctest.Wait()
	})
}

// Without a Resolver it is that of package net, which knows an IP address
// without asking anybody.
func TestConfig_defaultResolver(t *testing.T) {
	b := one(t, registrydns.Config{Name: "127.0.0.1", Port: 80})
	assert.Equal(t, []string{"127.0.0.1:80"}, ids(b))
	assert.Empty(t, b.Put[0].Instance.ServerName)
}
