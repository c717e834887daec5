package registrydns_test

import (
	"context"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/registry/registrydns"
)

// Elsewhere an empty listing is ignored, so that the last instance never leaves.
func TestTrap_lastInstanceLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events, _ := play(t, registrydns.Config{}, ips("10.0.0.1"), notFound(), notFound())
		assert.Equal(t, []string{"10.0.0.1:80", "lost", ""}, events)
	})
}

// Elsewhere a lookup that failed empties the service, and calls fail although
// every instance is well.
func TestTrap_outageOfDNS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		replies := []reply{ips("10.0.0.1")}
		for range 1000 {
			replies = append(replies, broken())
		}
		events, _ := play(t, registrydns.Config{}, replies...)
		assert.Len(t, events, 1001)
		assert.Equal(t, []string{"lost"}, slices.Compact(events[1:]))
	})
}

// Elsewhere a shared slice is sorted in place. The resolver keeps what it gave.
func TestTrap_answersAreNotChanged(t *testing.T) {
	ip := ips("10.0.0.2", "10.0.0.1", "10.0.0.2")
	before := slices.Clone(ip.addrs)
	one(t, registrydns.Config{Resolver: &script{replies: []reply{ip}}})
	assert.Equal(t, before, ip.addrs)

	records := []*net.SRV{srv("B.test.", 80, 2, 0), srv("A.test.", 80, 1, 0)}
	kept := slices.Clone(records)
	one(t, registrydns.Config{Name: "orders.test", Resolver: &script{replies: []reply{{records: records}}}})
	assert.Equal(t, kept, records)
	assert.Equal(t, srv("B.test.", 80, 2, 0), records[0])
}

// A net.Resolver shuffles SRV records by weight, and servers rotate addresses.
// Neither is a change.
func TestTrap_orderIsNoChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}
		var replies []reply
		for range 3 {
			replies = append(replies, ips(s...))
			s = append(s[1:], s[0])
		}
		events, _ := play(t, registrydns.Config{}, replies...)
		assert.Len(t, events, 1)
	})
}

// Timers of lookups and waits that are over are stopped: a source that runs for
// a year leaves none behind.
func TestTrap_timersAreStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := newSteps()
		s := &script{replies: []reply{ips("10.0.0.1"), ips("10.0.0.1"), ips("10.0.0.1")}}
		ctx, cancel := context.WithCancel(bg)
		ended := make(chan error, 1)
		src := newSource(t, registrydns.Config{Resolver: s, Clock: clk, Timeout: time.Hour})
		go func() { ended <- src.Run(ctx, ignore) }()
		for range 2 {
			assert.Equal(t, time.Hour, <-clk.armed)
			assert.Equal(t, 30*time.Second, clk.next())
		}
		assert.Equal(t, time.Hour, <-clk.armed)
		assert.Equal(t, 30*time.Second, <-clk.armed)
		cancel()
		assert.Equal(t, context.Canceled, <-ended)
		assert.Equal(t, clk.Now(), clk.WaitForAllTimers(), "there is none")
	})
}
