package registrydns

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// Config says what to look up. It is passed by value, copied, and never changed
// later. Service and Name are required.
type Config struct {
	// Service is the name of the service in the registry.
	Service string

	// Name is the DNS name. Without a dot at its end the search domains of the
	// system may come into play. With a Port it may be an IP address too.
	Name string

	// Port is where the instances listen, 1 to 65535: every address of Name is
	// one. Zero: the SRV records of Name say where; for a service that follows
	// RFC 2782 that is a name like "_orders._tcp.shop.internal".
	Port int

	// Instance is what every instance is like: its Scheme, ServerName, Version,
	// Zone, Weight, Tags, Meta and Check. The other fields are refused. An empty
	// ServerName is Name, with SRV records the target of each, so that TLS
	// checks what was asked for; it is empty if Name is an IP address. SRV
	// records bring their own Weight, and that of Instance is not used.
	Instance registry.Instance

	// Interval is the time from an answer to the next lookup, 10 % more or less.
	// Zero: 30s. Negative is refused.
	Interval time.Duration

	// Timeout is how long one lookup may take. Zero: 5s. Negative: none.
	Timeout time.Duration

	// Resolver looks up. Nil: net.DefaultResolver.
	Resolver Resolver

	// Clock tells the time of Interval and Timeout. Nil: system time.
	Clock registry.Clock

	// Rand draws the 10 %. It must be safe for concurrent use if sources share
	// it. Nil: math/rand/v2.
	Rand func() uint64
}

const (
	defaultInterval = 30 * time.Second
	defaultTimeout  = 5 * time.Second
	maxPort         = 65535
	maxName         = 253 // without the dot at the end
	maxLabel        = 63
)

func (c *Config) validate() error {
	var p problems
	names := "a DNS name"
	_, err := netip.ParseAddr(c.Name)
	isIP := err == nil && c.Port != 0 // which has no SRV records
	if c.Port != 0 {
		names += " or an IP address"
	}
	p.check(isIP || validName(c.Name), "Name", c.Name, names)
	p.check(0 <= c.Port && c.Port <= maxPort, "Port", c.Port, "1 to 65535, or 0 for SRV records")
	p.check(c.Interval >= 0, "Interval", c.Interval, "0 or more")

	in := &c.Instance
	p.check(in.ID == "", "Instance.ID", in.ID, "none, because DNS tells it")
	p.check(in.Service == "", "Instance.Service", in.Service, "none, because Service tells it")
	p.check(in.Addr == "", "Instance.Addr", in.Addr, "none, because DNS tells it")
	p.check(in.TTL == 0, "Instance.TTL", in.TTL, "0, because what is fed does not expire")
	p.check(len(in.Attrs) == 0, "Instance.Attrs", words("set"), "none")
	p.checkInstance(c.Service, *in)
	if len(p) == 0 {
		return nil
	}
	return fmt.Errorf("registrydns: New: %w", errors.Join(p...))
}

// validName takes what package net takes for a name. It would say of any other
// that there is no such name, and a slip of the pen would look like an outage.
func validName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	digits := true
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range label {
			switch {
			case '0' <= c && c <= '9':
			case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '-', c == '_':
				digits = false
			default:
				return false
			}
		}
	}
	return len(s) <= maxName && !digits
}

// checkInstance lets a registry check what every instance will have. RegisterWith is all
// or none and tells all that is wrong, so two instances of one ID keep it from
// taking any.
func (p *problems) checkInstance(service string, in registry.Instance) {
	const addr = "target:1"
	twin := registry.Instance{Service: "twins", Addr: addr}
	in.Service, in.Addr, in.ID, in.TTL, in.Attrs = service, addr, addr, 0, nil
	reg := registry.MustNew(registry.Config{Limits: registry.Limits{MetaBytes: -1}})
	_, err := reg.RegisterWith(context.Background(), registry.RegisterConfig{}, in, twin, twin)
	each(err, func(e *registry.Error) {
		switch e.Field {
		case "ID": // the twins
		case "Service":
			*p = append(*p, e.Err)
		default:
			*p = append(*p, fmt.Errorf("Instance.%w", e.Err))
		}
	})
}

// each calls do with every error of a registry that is joined in err.
func each(err error, do func(*registry.Error)) {
	switch err := err.(type) { //nolint:errorlint // one level at a time, so that none is left out
	case *registry.Error:
		do(err)
	case interface{ Unwrap() []error }:
		for _, e := range err.Unwrap() {
			each(e, do)
		}
	}
}

// cloned is a deep copy of what a template has.
func cloned(in registry.Instance) registry.Instance {
	in.Tags = slices.Clone(in.Tags)
	in.Meta = maps.Clone(in.Meta)
	return in
}
