package sagatest

import (
	"testing"
	"time"

	"github.com/mainstay-go/mainstay/saga/durable"
)

// A Harness is how [TestStore] gets at a store.
type Harness struct {
	// Open opens the store of a directory. Required. What was written to a
	// directory is there when it is opened again, unless Volatile is set; a store
	// that uses none takes it as a name. The directory exists and is empty when it is
	// opened first; the runs of others may be there all the same, since the suite
	// tells its own by their sagas. No directory is opened twice at a time. What is
	// opened is closed by its method Close() error or Close(context.Context) error,
	// if it has one; else by nobody. Open is also called in a child process.
	Open func(dir string) (durable.Store, error)

	// Volatile tells that what was written is gone when the store is opened again.
	Volatile bool

	// Advance lets d pass on the clock of the store. Nil: time.Sleep.
	Advance func(d time.Duration)
}

// TestStore is the conformance suite for those who implement durable.Store, and
// durable.Watcher if they do.
//
// A store conforms if it obeys the rules that those interfaces list. Where they are
// silent the suite is too: which time CreatedAt and UpdatedAt tell is up to the
// caller, instants need not be kept to less than a microsecond, and leases, as well
// as a Claim or Delete that nothing followed, need not outlive the process.
//
// Its subtests are: create, race, append, whole, order, payload, alias, context,
// names, lease, claim, exclusive, next, list, pages, delete and watch; and unless
// the harness is Volatile reopen and killed. See guarantee K1. The last one runs the
// test binary again, with the flag -test.run so that it comes to the same subtest,
// and kills it: whatever the test does before it calls TestStore happens there too.
// With a nil Advance they take about five seconds. No wait takes longer than 30.
func TestStore(t *testing.T, h Harness) {
	t.Helper()
	for _, c := range conformance() {
		if c.reopens && h.Volatile {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			if h.Open == nil {
				t.Fatal("sagatest: Harness.Open is nil")
			}
			c.run(t, h)
		})
	}
}

// A check is one property of a store.
type check struct {
	name    string
	run     func(testing.TB, Harness)
	reopens bool
}

func conformance() []check {
	return []check{
		{name: "create", run: checkCreate},
		{name: "race", run: checkRace},
		{name: "append", run: checkAppend},
		{name: "whole", run: checkWhole},
		{name: "order", run: checkOrder},
		{name: "payload", run: checkPayload},
		{name: "alias", run: checkAlias},
		{name: "context", run: checkContext},
		{name: "names", run: checkNames},
		{name: "lease", run: checkLease},
		{name: "claim", run: checkClaim},
		{name: "exclusive", run: checkExclusive},
		{name: "next", run: checkNext},
		{name: "list", run: checkList},
		{name: "pages", run: checkPages},
		{name: "delete", run: checkDelete},
		{name: "watch", run: checkWatch},
		{name: "reopen", run: checkReopen, reopens: true},
		{name: "killed", run: checkKilled, reopens: true},
	}
}
