package sagatest

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/mainstay-go/mainstay/saga/durable"
)

// A FaultStore is a durable.Store whose calls fail when the test says so, in the two
// ways in which those of a real one do. It must not be copied once it is used, and
// is safe for concurrent use if Store is. It is no durable.Watcher, also if Store
// is one: an engine asks it every Config.Poll.
type FaultStore struct {
	// Store is what the calls go to. Required.
	Store durable.Store

	// Before is asked before each call with the name of the method, such as
	// "Append", and how many calls of it there have been, with this one. If it
	// returns an error the call fails with it, and nothing is written. Nil: none
	// fails.
	Before func(op string, call int) error

	// After is asked after each call that succeeded, with what Before was asked
	// with. If it returns an error the call fails with it, although it was done. Nil:
	// none fails.
	After func(op string, call int) error

	create, append, load, claim, list, remove atomic.Int64 // calls so far
}

// call does one call between Before and After.
func (f *FaultStore) call(op string, calls *atomic.Int64, do func() error) error {
	n := int(calls.Add(1))
	if f.Before != nil {
		if err := f.Before(op, n); err != nil {
			return err
		}
	}
	if err := do(); err != nil {
		return err
	}
	if f.After != nil {
		return f.After(op, n)
	}
	return nil
}

// Create is that of Store, unless it fails.
func (f *FaultStore) Create(ctx context.Context, h durable.Head, ttl time.Duration, events [][]byte) error {
	return f.call("Create", &f.create, func() error { return f.Store.Create(ctx, h, ttl, events) })
}

// Append is that of Store, unless it fails.
func (f *FaultStore) Append(ctx context.Context, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
	return f.call("Append", &f.append, func() error { return f.Store.Append(ctx, at, h, ttl, events) })
}

// Load is that of Store, unless it fails.
func (f *FaultStore) Load(ctx context.Context, id string) (h durable.Head, events [][]byte, err error) {
	err = f.call("Load", &f.load, func() (err error) {
		h, events, err = f.Store.Load(ctx, id)
		return err
	})
	if err != nil {
		return durable.Head{}, nil, err
	}
	return h, events, nil
}

// Claim is that of Store, unless it fails. What it claimed when After makes it fail
// stays claimed until the leases are over.
func (f *FaultStore) Claim(ctx context.Context, req durable.ClaimRequest) (heads []durable.Head, next time.Duration, err error) {
	err = f.call("Claim", &f.claim, func() (err error) {
		heads, next, err = f.Store.Claim(ctx, req)
		return err
	})
	if err != nil {
		return nil, -1, err
	}
	return heads, next, nil
}

// List is that of Store, unless it fails.
func (f *FaultStore) List(ctx context.Context, q durable.Query) (heads []durable.Head, cursor string, err error) {
	err = f.call("List", &f.list, func() (err error) {
		heads, cursor, err = f.Store.List(ctx, q)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return heads, cursor, nil
}

// Delete is that of Store, unless it fails.
func (f *FaultStore) Delete(ctx context.Context, id string, at uint64) error {
	return f.call("Delete", &f.remove, func() error { return f.Store.Delete(ctx, id, at) })
}
