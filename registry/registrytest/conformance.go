package registrytest

import (
	"context"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// patience bounds every wait of the suite.
const patience = 30 * time.Second

// bounded is the context of every wait. It does not end with the test, because
// what is left of it has to be waited for too.
func bounded() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// TestBackend is the conformance suite for those who implement registry.Backend.
// Each call of open stands for another process: it returns a Backend with a
// connection of its own, to the same origin every time. The origin need not be
// empty, since each subtest uses names of services of its own; all begin with
// "conformance-". What open needs to be undone belongs into t.Cleanup.
//
// A backend conforms if what open returns obeys the rules that registry.Source
// and registry.Backend list. The suite also wants a Put or Remove whose context
// has ended to change nothing and to return its cause, what it delivers to be what
// was put, whatever characters the names hold, and a Put to return while deliver
// is at work. What was put before Run was called has to be in its first batch:
// instances that are missing from a Reset, even for a moment, vanish everywhere.
//
// The subtests are: reset, again, fields, names, replace, order, concurrent, busy,
// refused, remove, owner, ended and expiry; see guarantee K5. The backend has to go
// by system time. Most take no longer than the backend does, expiry less than two
// seconds if TTLs of less than one are exact. No wait takes longer than 30 seconds.
func TestBackend(t *testing.T, open func(t *testing.T) registry.Backend) {
	t.Helper()
	for _, c := range conformance() {
		t.Run(c.name, func(t *testing.T) {
			if open == nil {
				t.Fatal("registrytest: open is nil")
			}
			c.run(t, func() registry.Backend { return open(t) })
		})
	}
}

// A check is one property of a backend.
type check struct {
	name string
	run  func(testing.TB, func() registry.Backend)
}

func conformance() []check {
	return []check{
		{"reset", checkReset},
		{"again", checkAgain},
		{"fields", checkFields},
		{"names", checkNames},
		{"replace", checkReplace},
		{"order", checkOrder},
		{"concurrent", checkConcurrent},
		{"busy", checkBusy},
		{"refused", checkRefused},
		{"remove", checkRemove},
		{"owner", checkOwner},
		{"ended", checkEnded},
		{"expiry", checkExpiry},
	}
}

// An origin is what the processes of one check have in common.
type origin struct {
	tb      testing.TB
	open    func() registry.Backend
	service string // its name and those that begin with it are those of this check
	members []*process
}

func newOrigin(tb testing.TB, open func() registry.Backend) *origin {
	tb.Helper()
	return &origin{tb: tb, open: open, service: "conformance-" + strconv.FormatUint(rand.Uint64(), 36)}
}

// join connects another process.
func (o *origin) join() *process {
	o.tb.Helper()
	b := o.open()
	if b == nil {
		o.tb.Fatalf("registrytest: open returned a nil Backend")
	}
	p := &process{
		origin: o, backend: b, owner: "process-" + strconv.Itoa(len(o.members)+1),
		known: make(map[registry.Ref]registry.Record), news: make(chan struct{}), turn: make(chan struct{}, 1),
	}
	o.members = append(o.members, p)
	return p
}

// end is deferred by every check.
func (o *origin) end() {
	o.tb.Helper()
	for _, p := range o.members {
		p.stop()
		p.mu.Lock()
		for _, breach := range p.breaches {
			o.tb.Errorf("registrytest: %s: %s", p.owner, breach)
		}
		p.mu.Unlock()
	}
}

// named are versions by ID, with the IDs of the service of this check.
func (o *origin) named(versions map[string]string) map[registry.Ref]string {
	all := make(map[registry.Ref]string, len(versions))
	for id, version := range versions {
		all[o.ref(id)] = version
	}
	return all
}

// ref names an instance of the service of this check.
func (o *origin) ref(id string) registry.Ref { return registry.Ref{Service: o.service, ID: id} }

// expect expects exactly these versions in the first batch of a new process.
func (o *origin) expect(versions map[string]string) {
	o.tb.Helper()
	p := o.join()
	p.follow()
	p.expectFirst(versions)
}
