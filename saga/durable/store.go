package durable

import (
	"context"
	"time"

	"github.com/mainstay-go/mainstay/saga"
)

// A Store keeps runs: of each a [Head], which says how it is, and a journal, which
// says how it came to be. It must be safe for concurrent use. [sagatest.TestStore]
// checks an implementation.
//
//   - Create and Append are all or nothing, and what they wrote survives a crash when
//     they return nil. If ctx has ended before, nothing is written and the error is
//     its cause.
//   - Rev is 1 after Create, and one more with every Append and every claim. Epoch is
//     1 after Create, and one more with every claim. The store sets both; what the
//     head that is passed says of them does not count.
//   - Journals keep their order and have no gaps. Payloads are any bytes. What is
//     returned is the caller's, and what was passed is not kept.
//   - The lease of a head is LeaseUntil, on the clock of the store: of a database its
//     own, never that of a worker. A head with Owner "" has none. With an Owner a
//     positive ttl renews it from now, a negative one makes it endless (LeaseUntil is
//     zero), and zero leaves it as it is.
//   - An error that is neither ErrConflict nor ErrNotFound leaves open whether
//     something was written.
type Store interface {
	// Create makes a run with its first events. ErrConflict: there is one with
	// that ID.
	Create(ctx context.Context, h Head, ttl time.Duration, events [][]byte) error

	// Append replaces the head and adds events, of which there may be none.
	// ErrConflict: the Rev that is stored is not at. ErrNotFound: there is no such
	// run.
	Append(ctx context.Context, at uint64, h Head, ttl time.Duration, events [][]byte) error

	// Load returns a run. ErrNotFound: there is none.
	Load(ctx context.Context, id string) (Head, [][]byte, error)

	// Claim gives runs to an owner that may execute: of the sagas asked for,
	// running, waiting or compensating, WakeAt reached (a zero one never is), and
	// without a lease that holds; earliest WakeAt first. No run is given to two at
	// once. next is the time until something may be due if nothing is written;
	// negative: never.
	Claim(ctx context.Context, req ClaimRequest) (heads []Head, next time.Duration, err error)

	// List returns heads, in pages: cursor goes into the next Query, "" after the
	// last one. A run that does not change meanwhile is in exactly one of them.
	List(ctx context.Context, q Query) (heads []Head, cursor string, err error)

	// Delete deletes a run that has ended. ErrConflict: the Rev that is stored is
	// not at, or it has not ended. ErrNotFound: there is no such run.
	Delete(ctx context.Context, id string, at uint64) error
}

// A Watcher is a Store that tells when there may be work, so that an engine need
// not ask again and again. What it says is a hint: the channel may be sent to for
// nothing, and is closed or left alone when ctx ends.
type Watcher interface {
	Watch(ctx context.Context) (<-chan struct{}, error)
}

// A Head is the summary of a run.
type Head struct {
	ID          string
	Saga        string
	Fingerprint string // of the definition it last ran with
	Step        string // the path where it stands
	Status      saga.Status
	Reason      saga.Reason // why it is stuck
	Attempt     int         // of Step, the latest one
	InFlight    bool        // it was under way when this was written

	Rev   uint64 // number of the latest change
	Epoch uint64 // how often it was claimed

	Owner      string    // who has the lease; "": nobody
	LeaseUntil time.Time // zero with an Owner: for ever

	WakeAt    time.Time // when it is to go on; zero: it waits for a signal or an operator
	CreatedAt time.Time
	UpdatedAt time.Time
	Labels    map[string]string
}

// A ClaimRequest says who wants how many runs of which sagas.
type ClaimRequest struct {
	Owner string        // required
	TTL   time.Duration // of the leases; negative: endless
	Limit int           // how many at most
	Sagas []string      // their names; empty: none
}

// A Query says which heads to list. Zero fields are any.
type Query struct {
	Saga          string
	Status        []saga.Status
	Labels        map[string]string // all of them
	UpdatedBefore time.Time
	Limit         int    // of a page. Zero: 100
	Cursor        string // from the page before
}
