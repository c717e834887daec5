package registry

import (
	"slices"
	"sync/atomic"
	"time"
)

// An Endpoint is the read-only record of an instance in a [Snapshot]. It does
// not change, except that InFlight and Picks are live. It is safe for concurrent
// use.
type Endpoint struct {
	in         *Instance // shared by all records with this content
	generation uint64
	changed    uint64 // the index at which anything but generation last changed
	origin     string
	word       word
	since      time.Time // when it became usable, or ceased to be
	live       *Live
	fate       *fate
}

// A fate is shared by all records of an ID, from its registration to its
// removal. It is how a watcher learns why the instance left whose last record it
// has, without anybody keeping what happened for it.
type fate struct {
	reason atomic.Pointer[Reason] // nil: it is there
}

func (f *fate) why() Reason {
	if r := f.reason.Load(); r != nil {
		return *r
	}
	return ""
}

// ID is unique within the service.
func (e *Endpoint) ID() string { return e.in.ID }

// Service is the name of the service.
func (e *Endpoint) Service() string { return e.in.Service }

// Addr is "host:port" or "[v6]:port".
func (e *Endpoint) Addr() string { return e.in.Addr }

// Scheme is the URL scheme the instance wants; empty: the caller's.
func (e *Endpoint) Scheme() string { return e.in.Scheme }

// ServerName is the name in its TLS certificate; empty: the host of Addr.
func (e *Endpoint) ServerName() string { return e.in.ServerName }

// Version is free text.
func (e *Endpoint) Version() string { return e.in.Version }

// Zone is free text.
func (e *Endpoint) Zone() string { return e.in.Zone }

// Weight is at least 1, or negative: never picked.
func (e *Endpoint) Weight() int { return e.in.Weight }

// HasTag reports whether the instance has the tag.
func (e *Endpoint) HasTag(tag string) bool {
	_, ok := slices.BinarySearch(e.in.Tags, tag)
	return ok
}

// Meta returns the value of a key, if the instance has it.
func (e *Endpoint) Meta(key string) (string, bool) {
	v, ok := e.in.Meta[key]
	return v, ok
}

// Instance is a deep copy of what was registered, with the defaults filled in.
// Its TTL is zero if the registration never expires.
func (e *Endpoint) Instance() Instance { return e.in.clone() }

// Generation grows with every registration in the registry. A newer one of the
// same ID means that the lease of this one is lost.
func (e *Endpoint) Generation() uint64 { return e.generation }

// Origin is the name of the feed the instance came from; empty: it was
// registered here.
func (e *Endpoint) Origin() string { return e.origin }

// Health is the worst of what its lease, its check, its owner, an operator and
// its feed said, as of this snapshot; see [Live.Health] for what it is now.
func (e *Endpoint) Health() Health { return e.word.health }

// HealthReason is what the source of Health gave as its reason when it came to
// that; "" if it gave none.
func (e *Endpoint) HealthReason() string { return e.word.reason }

// Since is when it became usable, or when it ceased to be, on the clock of the
// registry: its Health may have changed since, but not whether it is usable.
func (e *Endpoint) Since() time.Time { return e.since }

// InFlight is how many tracked calls are under way now.
func (e *Endpoint) InFlight() int { return e.live.InFlight() }

// Picks is how many tracked calls there have been so far.
func (e *Endpoint) Picks() uint64 { return e.live.Picks() }

// Live is what changes without a new record. All records of an instance share
// one as long as it stays registered at one address, so that comparing two
// tells whether they are about the same stay.
func (e *Endpoint) Live() *Live { return e.live }
