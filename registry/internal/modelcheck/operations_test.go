package modelcheck

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// An action is what a worker does in its turn.
type action uint8

const (
	doRegister action = iota
	doRenew
	doDeregister // by the lease
	doUpdate
	doSetHealth
	doDrain
	doExpel   // Registry.Deregister
	doDeclare // Registry.SetHealth
	doRetire  // Registry.Drain
	doSnapshot
	doGet
	doWait
	doAdvance

	// What the model knows nothing of: expiry does not depend on who looks.
	doSweep
	doRing

	// What no plan has.
	doDrained // the second half of doDrain and doRetire
	doFinal   // the last look
)

var actionNames = [...]string{
	"Register", "Renew", "Deregister", "Update", "SetHealth", "Drain",
	"Registry.Deregister", "Registry.SetHealth", "Registry.Drain",
	"Snapshot", "Get", "Wait", "advance", "Sweep", "ring", "drained", "final",
}

// An op is an operation: an action with its arguments, and what came of it.
type op struct {
	action
	worker, number int
	service, who   int
	entries        []entry // of a registration: one or two
	ifAbsent       bool
	health         registry.Health
	content        // of Update
	d              time.Duration
	lease          *owned
	began          int64 // of a drain with grace: the time then, or earlier

	call, ret int64 // stamps of begin and end
	kind      kind
	gens      []uint64 // of entries
	seen      view
}

// An entry is one instance of a registration.
type entry struct {
	service, who int
	content
}

// The content of an instance, as far as it differs.
type content struct {
	version int
	ttl     time.Duration // -1: none
}

// An owned is a lease that somebody has.
type owned struct {
	lease        *registry.Lease
	service, who int
	gen          uint64
}

// A view is what a read shows. What is not there has generation zero.
type view struct {
	index uint64 // zero: it is not shown
	all   [ids]shown
}

type shown struct {
	gen    uint64
	health registry.Health
	content
}

// A kind is how a verb ended.
type kind uint8

const (
	fine kind = iota
	notFound
	exists
	leaseLost
	cutShort // by the end of its context
	strange  // anything else, or with wrong particulars
)

var kindNames = [...]string{"ok", "not found", "exists", "lease lost", "cut short", "strange"}

// ending is the kind of an error that is about an operation.
func ending(err error, op registry.Op, service, who int) kind {
	if err == nil {
		return fine
	}
	var e *registry.Error
	if !errors.As(err, &e) || e.Op != op || e.Service != services[service] || e.ID != names[who] {
		return strange
	}
	switch {
	case e.Kind == nil && op == registry.OpDrain && e.Err == context.Canceled: //nolint:errorlint // returned as it is
		return cutShort
	case e.Err != nil:
		return strange
	case errors.Is(err, registry.ErrNotFound):
		return notFound
	case errors.Is(err, registry.ErrExists):
		return exists
	case errors.Is(err, registry.ErrLeaseLost):
		return leaseLost
	}
	return strange
}

// show is what an endpoint shows.
func show(e *registry.Endpoint) shown {
	in := e.Instance()
	c := content{int(in.Version[0] - '0'), in.TTL}
	if c.ttl == 0 {
		c.ttl = -1
	}
	return shown{e.Generation(), e.Health(), c}
}

// look is what a snapshot shows. One that is out of order shows what cannot be.
func look(s *registry.Snapshot) view {
	v := view{index: s.Index()}
	last := ""
	for e := range s.All() {
		who := strings.Index(strings.Join(names[:], ""), e.ID())
		got, ok := s.Get(e.ID())
		if e.ID() <= last || !ok || got != e {
			return view{}
		}
		last = e.ID()
		v.all[who] = show(e)
	}
	return v
}

func (o *op) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%4d-%-4d worker %d %-19s", o.call, o.ret, o.worker, actionNames[o.action])
	switch o.action {
	case doRegister:
		for i, e := range o.entries {
			fmt.Fprintf(&b, " %s/%s %v", services[e.service], names[e.who], e.content)
			if len(o.gens) > 0 {
				fmt.Fprintf(&b, " #%d", o.gens[i])
			}
		}
		fmt.Fprintf(&b, " %v, if absent: %v", o.health, o.ifAbsent)
	case doAdvance:
		fmt.Fprintf(&b, " %v", o.d)
	case doSweep, doRing:
	default:
		fmt.Fprintf(&b, " %s/%s", services[o.service], names[o.who])
		if o.lease != nil {
			fmt.Fprintf(&b, " #%d", o.lease.gen)
		}
	}
	switch o.action {
	case doUpdate:
		fmt.Fprintf(&b, " %v", o.content)
	case doSetHealth, doDeclare:
		fmt.Fprintf(&b, " %v", o.health)
	case doSnapshot, doGet, doWait, doFinal:
		fmt.Fprintf(&b, ": index %d", o.seen.index)
		for who, s := range o.seen.all {
			if s.gen > 0 {
				fmt.Fprintf(&b, ", %s #%d %v %v", names[who], s.gen, s.health, s.content)
			}
		}
	default:
		fmt.Fprintf(&b, ": %s", kindNames[o.kind])
	}
	return b.String()
}
