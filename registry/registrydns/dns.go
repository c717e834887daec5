package registrydns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// A Resolver looks names up. A *net.Resolver is one. Implementations follow
// these rules:
//
//   - They return soon once ctx has ended: Run waits for them.
//   - A name without records is a *net.DNSError with IsNotFound, or an empty
//     answer without error.
//   - LookupSRV is called with an empty service and proto, and looks up name as
//     it is. Records that it returns beside an error are used, because a
//     net.Resolver so reports that it left out others whose target is no name.
//   - LookupNetIP is called with the network "ip".
type Resolver interface {
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, records []*net.SRV, err error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// A Source is a registry.Source that looks a name up. It serves one feed at a
// time. The zero Source is none; use [New].
type Source struct {
	time     timing
	resolver Resolver
	name     string
	port     uint16 // 0: SRV records
	template registry.Instance
	interval time.Duration
	timeout  time.Duration // negative: none

	running atomic.Bool
	missing int // not-found answers in a row, also of earlier runs; written by the one that runs
}

// New makes a source. Its error joins all problems of cfg; each names the field
// and the value. It starts nothing.
func New(cfg Config) (*Source, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Source{
		time:     newTiming(cfg.Clock, cfg.Rand),
		resolver: cfg.Resolver,
		name:     cfg.Name,
		port:     uint16(cfg.Port),
		template: cloned(cfg.Instance),
		interval: cmp.Or(cfg.Interval, defaultInterval),
		timeout:  cmp.Or(cfg.Timeout, defaultTimeout),
	}
	s.template.Service = cfg.Service
	if s.resolver == nil {
		s.resolver = net.DefaultResolver
	}
	return s, nil
}

// Run looks up and delivers until ctx ends, whose cause it returns, or until a
// lookup fails. The registry calls it, see Registry.Feed. After an error it can
// be called again; a call while another one runs is refused.
func (s *Source) Run(ctx context.Context, deliver func(registry.Batch) error) error {
	switch {
	case s == nil || s.resolver == nil:
		return errZeroSource
	case ctx == nil:
		return errNilContext
	case deliver == nil:
		return errNilDeliver
	case !s.running.CompareAndSwap(false, true):
		return errRunning
	}
	defer s.running.Store(false)

	var last []answer
	taken := false // last, and all of it: what was refused may be welcome later
	for ctx.Err() == nil {
		found, err := s.ask(ctx)
		if err != nil {
			return err
		}
		if !taken || !slices.Equal(found, last) {
			err := deliver(s.batch(found))
			if errors.Is(err, registry.ErrClosed) {
				return err
			}
			last, taken = found, err == nil
		}
		s.time.wait(ctx, s.time.jitter(s.interval, 0.1))
	}
	return context.Cause(ctx)
}

// ask is one lookup. Without an error its result is what is to be delivered.
func (s *Source) ask(ctx context.Context) ([]answer, error) {
	missing := s.missing
	s.missing = 0 // unless the lookup ends as a not-found answer; it may also panic
	timed, free := s.time.withTimeout(ctx, s.timeout)
	defer free()
	found, err := s.lookup(timed)
	var dns *net.DNSError
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err == nil:
		return found, nil
	case errors.As(err, &dns) && dns.IsNotFound:
		s.missing = min(missing+1, 2)
		if s.missing == 2 {
			return nil, nil
		}
	case timed.Err() != nil:
		return nil, fmt.Errorf("registrydns: lookup %s: %w after %v", s.name, context.Cause(timed), s.timeout)
	}
	return nil, fmt.Errorf("registrydns: %w", err)
}

// An answer is one instance as DNS has it.
type answer struct {
	addr   string
	host   string // for TLS
	weight int    // 0: that of the template
}

// lookup asks the resolver.
func (s *Source) lookup(ctx context.Context) ([]answer, error) {
	var found []answer
	var n int
	var err error
	if s.port == 0 {
		var records []*net.SRV
		_, records, err = s.resolver.LookupSRV(ctx, "", "", s.name)
		if n = len(records); n > 0 {
			err = nil
		}
		found = best(records)
	} else {
		var addrs []netip.Addr
		addrs, err = s.resolver.LookupNetIP(ctx, "ip", s.name)
		n = len(addrs)
		found = s.at(addrs)
	}
	switch {
	case err != nil:
		return nil, err
	case n == 0:
		return nil, &net.DNSError{Err: "no records", Name: s.name, IsNotFound: true}
	}
	slices.SortFunc(found, func(a, b answer) int {
		return cmp.Or(strings.Compare(a.addr, b.addr), cmp.Compare(b.weight, a.weight))
	})
	return slices.CompactFunc(found, func(a, b answer) bool { return a.addr == b.addr }), nil
}

// best turns the records of the best priority into answers. Names are the same
// in upper and lower case, and some servers answer in the case of the question.
func best(records []*net.SRV) []answer {
	var found []answer
	var priority uint16
	for _, r := range records {
		host := strings.ToLower(strings.TrimSuffix(r.Target, "."))
		switch {
		case host == "" || len(found) > 0 && r.Priority > priority:
			continue
		case r.Priority < priority:
			found = found[:0]
		}
		priority = r.Priority
		found = append(found, answer{host + ":" + strconv.Itoa(int(r.Port)), host, max(int(r.Weight), 1)})
	}
	return found
}

// at turns addresses into answers.
func (s *Source) at(addrs []netip.Addr) []answer {
	host := strings.TrimSuffix(s.name, ".")
	if _, err := netip.ParseAddr(host); err == nil {
		host = ""
	}
	found := make([]answer, len(addrs))
	for i, a := range addrs {
		found[i] = answer{addr: netip.AddrPortFrom(a.Unmap(), s.port).String(), host: host}
	}
	return found
}

// batch is the complete membership. Nothing in it is shared.
func (s *Source) batch(found []answer) registry.Batch {
	put := make([]registry.Record, len(found))
	for i, a := range found {
		in := cloned(s.template)
		in.ID, in.Addr = a.addr, a.addr
		in.ServerName = cmp.Or(in.ServerName, a.host)
		if a.weight != 0 {
			in.Weight = a.weight
		}
		put[i].Instance = in
	}
	return registry.Batch{Reset: true, Put: put}
}
