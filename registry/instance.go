package registry

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// An Instance is one process at one address, as it is registered. It is copied
// deeply, in and out.
type Instance struct {
	// ID is unique within the service. Empty: Addr. Otherwise up to 1024 bytes
	// of valid UTF-8 without control characters.
	ID string

	// Service is the name of the service: 1 to 255 ASCII letters, digits, '-',
	// '_' and '.'.
	Service string

	// Addr is "host:port" or "[v6]:port", with a port from 1 to 65535.
	Addr string

	// Scheme is the URL scheme the instance wants. Empty: the caller's.
	Scheme string

	// ServerName is the name in its TLS certificate. Empty: the host of Addr.
	ServerName string

	// Version and Zone are free text.
	Version, Zone string

	// Weight is the share of calls it gets, compared with others, up to
	// 1,000,000. Zero: 100. Negative: it is visible but never picked.
	Weight int

	// TTL is how long the registration holds unless it is renewed. Zero:
	// Config.TTL; never, if it comes from a feed. Negative: it never expires.
	TTL time.Duration

	// Tags are kept sorted, without duplicates.
	Tags []string

	// Meta is free text by key.
	Meta map[string]string

	// Attrs are typed values, see [NewKey]. They stay in this process.
	Attrs []Attr

	// Check is how the registry finds out whether the instance works. The zero
	// Check is none. It is no part of an instance's identity, and stays in this
	// process.
	Check Check
}

// A Check is an active health check. It runs on a goroutine of its own, one run
// at a time, while its instance is registered.
type Check struct {
	// Func checks the instance: nil passes, [Warn] passes with a remark, any
	// other error fails, and so do a panic and runtime.Goexit. It has to return
	// when ctx ends: after Timeout, when the instance leaves, and at Close.
	Func func(ctx context.Context, in Instance) error

	// Interval is the time from the start of one run to that of the next.
	// Zero: 10s. Negative is refused.
	Interval time.Duration

	// Timeout is how long a run may take. At that instant it has failed; as
	// long as Func does not return, every run that is due fails without
	// starting. Zero: the lesser of 2s and Interval. Negative: none. More than
	// Interval is refused.
	Timeout time.Duration

	// InitialDelay is the time to the first run. Zero or negative: none.
	InitialDelay time.Duration

	// RemoveAfter removes an instance that has been Critical this long. Zero or
	// negative: never.
	RemoveAfter time.Duration

	// Jitter is the share of Interval by which each may be longer or shorter.
	// Zero: 0.1. Negative: none. 1 and more are refused.
	Jitter float64

	// FailuresBeforeCritical is how many runs in a row have to fail. Zero: 3.
	// Negative is refused.
	FailuresBeforeCritical int

	// SuccessesBeforePassing is how many runs in a row have to pass for an
	// instance to recover. The first pass of all is enough. Zero: 2. Negative
	// is refused.
	SuccessesBeforePassing int
}

// Warn makes a check pass with a remark: the instance is Warning, and usable.
// Warn(nil) is nil.
func Warn(err error) error {
	if err == nil {
		return nil
	}
	return &warning{err}
}

type warning struct{ err error }

func (w *warning) Error() string { return w.err.Error() }
func (w *warning) Unwrap() error { return w.err }

const (
	defaultWeight    = 100
	maxWeight        = 1_000_000
	defaultInterval  = 10 * time.Second
	defaultTimeout   = 2 * time.Second
	defaultJitter    = 0.1
	defaultFailures  = 3
	defaultSuccesses = 2
	maxID            = 1024
	maxName          = 255
)

// normal is a deep copy of in with the defaults filled in, or what is wrong with
// it. ttl is what zero stands for.
func (in Instance) normal(ttl time.Duration, lim Limits) (Instance, problems) {
	in.ID = or(in.ID, in.Addr)
	in.Weight = max(or(in.Weight, defaultWeight), -1)
	in.TTL = max(or(in.TTL, ttl), 0)
	var p problems
	in.check(&p, lim)
	if len(p) > 0 {
		return Instance{}, p
	}
	in = in.clone()
	slices.Sort(in.Tags)
	in.Tags = slices.Compact(in.Tags)
	in.Check = in.Check.withDefaults()
	return in, nil
}

func (in *Instance) check(p *problems, lim Limits) {
	const text = "valid UTF-8 without control characters"
	p.text(validName(in.Service), "Service", in.Service, nameRule)
	p.text(len(in.ID) <= maxID && printable(in.ID), "ID", in.ID, "up to 1024 bytes of "+text)
	p.text(validAddr(in.Addr), "Addr", in.Addr, "host:port or [v6]:port with a port from 1 to 65535")
	p.text(in.Scheme == "" || validScheme(in.Scheme), "Scheme", in.Scheme, "a URL scheme")
	p.text(in.ServerName == "" || validHost(in.ServerName), "ServerName", in.ServerName, "a host name or an IP address")
	p.text(printable(in.Version), "Version", in.Version, text)
	p.text(printable(in.Zone), "Zone", in.Zone, text)
	p.check(in.Weight <= maxWeight, "Weight", in.Weight, "at most 1000000")
	size := len(in.ID) + len(in.Service) + len(in.Addr) + len(in.Scheme) + len(in.ServerName) + len(in.Version) + len(in.Zone)
	for _, tag := range in.Tags {
		size += len(tag)
		p.text(printable(tag), "Tags", tag, text)
	}
	for k, v := range in.Meta {
		size += len(k) + len(v)
		p.text(printable(k), "Meta", k, "keys of "+text)
		if !printable(v) {
			p.check(false, "Meta["+quoted(k)+"]", v, text)
		}
	}
	if size > lim.MetaBytes {
		p.check(false, "Limits.MetaBytes", size, fmt.Sprintf("at most %d bytes of strings", lim.MetaBytes))
	}
	for i, a := range in.Attrs {
		p.check(a.key != nil, "Attrs", words("zero"), "what Key.Value returns")
		before := func(o Attr) bool { return a.key != nil && o.key == a.key }
		p.check(!slices.ContainsFunc(in.Attrs[:i], before), "Attrs", a.name, "every key once")
	}
	in.Check.check(p)
}

func (c *Check) check(p *problems) {
	if c.Func == nil {
		set := c.Interval != 0 || c.Timeout != 0 || c.InitialDelay != 0 || c.RemoveAfter != 0 ||
			c.Jitter != 0 || c.FailuresBeforeCritical != 0 || c.SuccessesBeforePassing != 0
		p.check(!set, "Check.Func", words("nil"), "a function, because other fields of Check are set")
		return
	}
	p.check(c.Interval >= 0, "Check.Interval", c.Interval, "0 or more")
	p.check(c.Timeout <= or(c.Interval, defaultInterval), "Check.Timeout", c.Timeout, "at most Check.Interval")
	p.check(c.Jitter < 1 && !math.IsInf(c.Jitter, 0), "Check.Jitter", c.Jitter, "a share below 1, or a negative number for none")
	p.check(c.FailuresBeforeCritical >= 0, "Check.FailuresBeforeCritical", c.FailuresBeforeCritical, "0 or more")
	p.check(c.SuccessesBeforePassing >= 0, "Check.SuccessesBeforePassing", c.SuccessesBeforePassing, "0 or more")
}

func (c Check) withDefaults() Check {
	if c.Func == nil {
		return c
	}
	c.Interval = or(c.Interval, defaultInterval)
	c.Timeout = max(or(c.Timeout, min(defaultTimeout, c.Interval)), 0)
	c.RemoveAfter = max(c.RemoveAfter, 0)
	c.Jitter = max(or(c.Jitter, defaultJitter), 0)
	c.FailuresBeforeCritical = or(c.FailuresBeforeCritical, defaultFailures)
	c.SuccessesBeforePassing = or(c.SuccessesBeforePassing, defaultSuccesses)
	return c
}

// clone is a deep copy.
func (in Instance) clone() Instance {
	in.Tags = slices.Clone(in.Tags)
	in.Meta = maps.Clone(in.Meta)
	in.Attrs = slices.Clone(in.Attrs)
	return in
}

// same reports whether two normal instances are equal but for their Check.
func (in *Instance) same(o *Instance) bool {
	return in.ID == o.ID && in.Service == o.Service && in.Addr == o.Addr && in.Scheme == o.Scheme &&
		in.ServerName == o.ServerName && in.Version == o.Version && in.Zone == o.Zone &&
		in.Weight == o.Weight && in.TTL == o.TTL && slices.Equal(in.Tags, o.Tags) &&
		maps.Equal(in.Meta, o.Meta) && sameAttrs(in.Attrs, o.Attrs)
}
