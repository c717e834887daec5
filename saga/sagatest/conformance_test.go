package sagatest_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

// persistent are the checks of stores that are not volatile.
func persistent() []string { return []string{"killed", "reopen"} }

// bubbled are the checks that can be run in a bubble, where time passes by itself:
// one of them needs another process.
func bubbled() map[string]func(testing.TB, sagatest.Harness) {
	checks := sagatest.Checks()
	delete(checks, "killed")
	return checks
}

// K1: the store in memory conforms, on a clock that the test moves.
func TestConformance(t *testing.T) {
	mock := clock.NewMock()
	sagatest.TestStore(t, sagatest.Harness{
		Open:     func(string) (durable.Store, error) { return &durable.MemoryStore{Clock: mock}, nil },
		Volatile: true,
		Advance:  mock.Add,
	})
}

// K1: what is written to files conforms, also when the process is killed.
func TestConformanceOfFiles(t *testing.T) {
	for _, name := range persistent() {
		t.Run(name, func(t *testing.T) { sagatest.Checks()[name](t, sagatest.Harness{Open: openDisk(diskFault{})}) })
	}
}

// K1: what conforms does so in a bubble too, where a check can be run on its own.
func TestConformanceInBubbles(t *testing.T) {
	volatile := opened(fault{})
	for name, h := range map[string]sagatest.Harness{
		"memory": volatile,
		"disk":   {Open: openDisk(diskFault{})},
		"no Watcher, and some more hints": {Open: func(string) (durable.Store, error) {
			return &sagatest.FaultStore{Store: new(durable.MemoryStore)}, nil
		}, Volatile: true},
	} {
		t.Run(name, func(t *testing.T) {
			for check, run := range bubbled() {
				if h.Volatile && slices.Contains(persistent(), check) {
					continue
				}
				t.Run(check, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { run(t, h) })
				})
			}
		})
	}
}

// faults are what a store may do wrong.
func faults() map[string]map[string]finding {
	return map[string]map[string]finding{
		"create":   faultsOfCreate(),
		"heads":    faultsOfHeads(),
		"append":   faultsOfAppend(),
		"events":   faultsOfEvents(),
		"memory":   faultsOfMemory(),
		"contexts": faultsOfContexts(),
		"names":    faultsOfNames(),
		"leases":   faultsOfLeases(),
		"secret":   faultsInSecret(),
		"claim":    faultsOfClaim(),
		"next":     faultsOfNext(),
		"list":     faultsOfList(),
		"delete":   faultsOfDelete(),
		"watch":    faultsOfWatch(),
	}
}

// K1: each fault is found by the right checks.
func TestConformanceFindsFaults(t *testing.T) {
	found := make(map[string]bool)
	for group, some := range faults() {
		for name, f := range some {
			t.Run(group+"/"+name, func(t *testing.T) {
				for _, check := range f.must {
					found[check] = true
					t.Run(check, func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							said := try(t, func(tb *trial) { sagatest.Checks()[check](tb, opened(f.fault)) }).said()
							time.Sleep(time.Hour) // what is late ends here
							assert.Contains(t, said, "sagatest: ")
						})
					})
				}
			})
		}
	}
	volatile := slices.DeleteFunc(everyone(), func(check string) bool { return slices.Contains(persistent(), check) })
	assert.Equal(t, volatile, slices.Sorted(maps.Keys(found)), "every check finds something")
}

// K1: and so is each fault of stores that are to outlive their process.
func TestConformanceFindsFaultsOfFiles(t *testing.T) {
	for name, f := range diskFaults() {
		t.Run(name, func(t *testing.T) {
			said := try(t, func(tb *trial) { sagatest.Checks()[f.must](tb, sagatest.Harness{Open: openDisk(f.diskFault)}) }).said()
			assert.Contains(t, said, "sagatest: ")
		})
	}
}

// K1: the suite is all of the checks, and each opens a store for itself.
func TestStoreRunsAllChecks(t *testing.T) {
	var mu sync.Mutex
	dirs := make(map[string]bool)
	h := opened(fault{})
	mock := clock.NewMock()
	h.Open = func(dir string) (durable.Store, error) {
		mu.Lock()
		defer mu.Unlock()
		dirs[dir] = true
		files, err := os.ReadDir(dir)
		assert.NoError(t, err)
		assert.Empty(t, files)
		return &durable.MemoryStore{Clock: mock}, nil
	}
	h.Advance = mock.Add
	sagatest.TestStore(t, h)
	assert.Len(t, dirs, len(everyone())-len(persistent()))
	assert.Equal(t, []string{
		"alias", "append", "claim", "context", "create", "delete", "exclusive", "killed", "lease", "list", "names", "next", "order", "pages", "payload",
		"race", "reopen", "watch", "whole",
	}, everyone())
}

// A closer is a store that is closed.
type closer struct {
	durable.Store
	closed *int
	err    error
}

func (c closer) Close() error {
	*c.closed++
	return c.err
}

// A contextCloser is one that may take its time for it.
type contextCloser struct {
	durable.Store
	closed *int
	err    error
}

func (c contextCloser) Close(ctx context.Context) error {
	*c.closed++
	if _, ok := ctx.Deadline(); !ok {
		return errors.New("without end")
	}
	return c.err
}

// K1: what is opened is closed once, and must be closed without an error.
func TestStoreIsClosed(t *testing.T) {
	lost := errors.New("connection lost")
	for name, open := range map[string]func(closed *int, err error) durable.Store{
		"Close": func(closed *int, err error) durable.Store { return closer{new(durable.MemoryStore), closed, err} },
		"Close with a context": func(closed *int, err error) durable.Store {
			return contextCloser{new(durable.MemoryStore), closed, err}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, want := range []error{nil, lost} {
				closed := 0
				tried := try(t, func(tb *trial) {
					sagatest.Checks()["create"](tb, sagatest.Harness{Open: func(string) (durable.Store, error) { return open(&closed, want), nil }})
				})
				assert.Equal(t, 1, closed)
				if want == nil {
					assert.Empty(t, tried.said())
				} else {
					assert.Equal(t, "sagatest: Close: connection lost", tried.said())
				}
			}
		})
	}
}

// K1: a suite that is held up, as on a machine that is busy, does not blame the
// store; but it does not wait for ever.
func TestStoreIsPatient(t *testing.T) {
	for _, check := range []string{"lease", "claim", "next"} {
		t.Run(check, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := opened(fault{})
				h.Advance = func(d time.Duration) { time.Sleep(d + 700*time.Millisecond) }
				sagatest.Checks()[check](t, h)
				h.Advance = func(d time.Duration) { time.Sleep(d + time.Hour) }
				said := try(t, func(tb *trial) { sagatest.Checks()[check](tb, h) }).said()
				if check == "next" { // it has all the time
					assert.Empty(t, said)
					return
				}
				assert.Contains(t, said, "Claim has given it away as if it were due by now, however much time there was")
			})
		})
	}
}

// K1: what panics is a store that panics.
func TestStorePanics(t *testing.T) {
	h := opened(claiming(func(context.Context, *faulty, durable.ClaimRequest) ([]durable.Head, time.Duration, error) {
		panic("out of order")
	}))
	assert.PanicsWithValue(t, "out of order", func() { sagatest.Checks()["lease"](t, h) })
}

// K1: a child process says why it cannot go on.
func TestChildFails(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	stdout := os.Stdout
	defer func() { os.Stdout = stdout }()
	os.Stdout = out
	t.Setenv("MAINSTAY_SAGATEST_DIR", t.TempDir())
	t.Setenv("MAINSTAY_SAGATEST_SAGA", "conformance-child")
	child := func(f fault) string {
		return try(t, func(tb *trial) { sagatest.Checks()["killed"](tb, opened(f)) }).said()
	}
	assert.Contains(t, child(fault{}), `sagatest: strconv.Atoi: parsing ""`)
	t.Setenv("MAINSTAY_SAGATEST_ROUND", "1")
	said := child(removing(func(context.Context, *faulty, string, uint64) error { return errFault }))
	assert.Contains(t, said, "sagatest: step 4 of a run in a child process: no space left on device")
	require.NoError(t, out.Close())
	acknowledged, err := os.ReadFile(out.Name())
	require.NoError(t, err)
	assert.Equal(t, 4*9, strings.Count(string(acknowledged), "sagatest: acknowledged "), "all steps until the second run is to be deleted")
}

func TestStoreRefusesMisuse(t *testing.T) {
	for name, c := range map[string]struct {
		h    sagatest.Harness
		says string
	}{
		"Open fails": {
			sagatest.Harness{Open: func(string) (durable.Store, error) { return nil, errors.New("no route to host") }},
			"sagatest: Open: no route to host",
		},
		"no store": {
			sagatest.Harness{Open: func(string) (durable.Store, error) { return nil, nil }},
			"sagatest: Open returned a nil Store",
		},
	} {
		for check, run := range sagatest.Checks() {
			tried := try(t, func(tb *trial) { run(tb, c.h) })
			assert.True(t, tried.stopped, "%s, %s", name, check)
			assert.Equal(t, c.says, tried.said(), "%s, %s", name, check)
		}
	}
	stands := sagatest.Harness{
		Open:     func(string) (durable.Store, error) { return &durable.MemoryStore{Clock: clock.NewMock()}, nil },
		Volatile: true, Advance: func(time.Duration) {},
	}
	tried := try(t, func(tb *trial) { sagatest.Checks()["lease"](tb, stands) })
	require.True(t, tried.stopped)
	assert.Equal(t, "sagatest: Advance lets no time pass for the store", tried.said())
	assert.False(t, passes("TestNothing", func(t *testing.T) { sagatest.TestStore(t, sagatest.Harness{}) }))
}
