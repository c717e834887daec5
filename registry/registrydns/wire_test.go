package registrydns_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registrydns"
)

// A line is a source that asks a server, as its feed sees it.
type line struct {
	clock *steps
	src   *registrydns.Source
	got   chan registry.Batch
	ended chan error
}

// dial makes a source that asks s about orders.test.
func dial(t *testing.T, s *server, cfg registrydns.Config) *line {
	t.Helper()
	l := &line{clock: newSteps(), got: make(chan registry.Batch, 100), ended: make(chan error, 1)}
	cfg.Name, cfg.Resolver, cfg.Clock = "orders.test.", s.resolver(), l.clock
	l.src = newSource(t, cfg)
	return l
}

// run begins a run. It ends with the test, if not before.
func (l *line) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(bg)
	go func() {
		l.ended <- l.src.Run(ctx, func(b registry.Batch) error {
			l.got <- b
			return nil
		})
	}()
	t.Cleanup(cancel)
}

// lost is the error with which the run ended.
func (l *line) lost(t *testing.T) error {
	t.Helper()
	err := <-l.ended
	require.Error(t, err)
	return err
}

// next lets the time to the next lookup pass.
func (l *line) next(t *testing.T) {
	t.Helper()
	require.Equal(t, 30*time.Second, l.clock.next())
}

func (s *server) setAddrs(a, aaaa entry) {
	s.set("orders.test.", map[uint16]entry{typeA: a, typeAAAA: aaaa})
}

// Addresses from a DNS server: found, changed, lost, not found, and back.
func TestG47_serverAddresses(t *testing.T) {
	s := newServer(t)
	l := dial(t, s, registrydns.Config{Port: 8080, Timeout: -1})
	s.setAddrs(addrs("10.0.0.2", "10.0.0.1"), addrs("2001:db8::1"))
	l.run(t)
	assert.Equal(t, []string{"10.0.0.1:8080", "10.0.0.2:8080", "[2001:db8::1]:8080"}, ids(<-l.got))

	s.setAddrs(addrs("10.0.0.3"), entry{})
	l.next(t)
	assert.Equal(t, []string{"10.0.0.3:8080"}, ids(<-l.got))

	s.setAddrs(entry{rcode: rcodeServFail}, entry{rcode: rcodeServFail})
	l.next(t)
	var dns *net.DNSError
	err := l.lost(t)
	require.ErrorAs(t, err, &dns)
	assert.True(t, dns.IsTemporary && !dns.IsNotFound, err)

	s.forget("orders.test.")
	l.run(t)
	err = l.lost(t)
	require.ErrorAs(t, err, &dns)
	assert.True(t, dns.IsNotFound, err)
	assert.ErrorContains(t, err, "registrydns: lookup orders.test.")

	l.run(t)
	b := <-l.got
	assert.True(t, b.Reset)
	assert.Empty(t, b.Put)

	l.next(t) // still not found: nothing new
	s.setAddrs(addrs("10.0.0.1"), entry{})
	l.next(t)
	assert.Equal(t, []string{"10.0.0.1:8080"}, ids(<-l.got))
	assert.Empty(t, l.got)
}

// SRV records from a DNS server, among them that of a service that is decidedly
// not available.
func TestG47_serverRecords(t *testing.T) {
	s := newServer(t)
	l := dial(t, s, registrydns.Config{Timeout: -1})
	s.set("orders.test.", map[uint16]entry{typeSRV: services(
		srv("B.Test.", 81, 10, 0), srv("a.test.", 80, 10, 60), srv("c.test.", 80, 20, 100))})
	l.run(t)
	b := <-l.got
	assert.Equal(t, []string{"a.test:80", "b.test:81"}, ids(b))
	assert.Equal(t, 60, b.Put[0].Instance.Weight)
	assert.Equal(t, 1, b.Put[1].Instance.Weight)
	assert.Equal(t, "b.test", b.Put[1].Instance.ServerName)
	assert.Equal(t, "udp SRV orders.test.", <-s.asked)

	s.set("orders.test.", map[uint16]entry{typeSRV: services(srv(".", 0, 0, 0))})
	l.next(t)
	assert.Empty(t, (<-l.got).Put)

	s.set("orders.test.", map[uint16]entry{typeSRV: services(srv("a.test.", 80, 0, 0), srv("bad name.test.", 80, 0, 0))})
	l.next(t)
	assert.Equal(t, []string{"a.test:80"}, ids(<-l.got), "without the target that is no name")

	s.set("orders.test.", map[uint16]entry{typeA: addrs("10.0.0.1")})
	l.next(t)
	var dns *net.DNSError
	require.ErrorAs(t, l.lost(t), &dns)
	assert.True(t, dns.IsNotFound, "a name that exists, without records of this type")
}

// Answers that are too long for UDP come by TCP.
func TestG47_serverLongAnswer(t *testing.T) {
	s := newServer(t)
	const n = 100
	all := make([]*net.SRV, n)
	for i := range all {
		all[i] = srv(fmt.Sprintf("instance-%03d.orders.test.", n-1-i), 80, 0, 1)
	}
	s.set("orders.test.", map[uint16]entry{typeSRV: services(all...)})
	l := dial(t, s, registrydns.Config{Timeout: -1})
	l.run(t)
	b := <-l.got
	require.Len(t, b.Put, n)
	assert.Equal(t, "instance-000.orders.test:80", b.Put[0].Instance.ID)
	assert.Equal(t, "udp SRV orders.test.", <-s.asked)
	assert.Equal(t, "tcp SRV orders.test.", <-s.asked)
}

// With StrictErrors an answer that has one family only, because the server
// failed on the other, takes nobody away.
func TestG47_serverHalfBroken(t *testing.T) {
	s := newServer(t)
	l := dial(t, s, registrydns.Config{Port: 80, Timeout: -1})
	s.setAddrs(addrs("10.0.0.1"), addrs("2001:db8::1"))
	l.run(t)
	assert.Len(t, (<-l.got).Put, 2)
	s.setAddrs(addrs("10.0.0.1"), entry{rcode: rcodeServFail})
	l.next(t)
	assert.Error(t, l.lost(t))
	assert.Empty(t, l.got)
}

// A server that does not answer is given up after the Timeout, on the clock of
// the config, whose context has no Deadline that the dialer would find passed.
func TestG47_serverSilent(t *testing.T) {
	s := newServer(t)
	l := dial(t, s, registrydns.Config{Port: 80, Timeout: 7 * time.Second})
	s.setAddrs(entry{silent: true}, entry{silent: true})
	l.run(t)
	<-s.asked
	assert.Equal(t, 7*time.Second, l.clock.next())
	err := l.lost(t)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.NotErrorIs(t, err, context.Canceled)
	assert.EqualError(t, err, "registrydns: lookup orders.test.: context deadline exceeded after 7s")
}

// So it is in real time.
func TestG47_serverSilentRealTime(t *testing.T) {
	s := newServer(t)
	s.setAddrs(entry{silent: true}, entry{silent: true})
	src := newSource(t, registrydns.Config{
		Name: "orders.test.", Port: 80, Resolver: s.resolver(), Timeout: time.Millisecond,
	})
	err := src.Run(bg, func(registry.Batch) error { return errors.New("nothing is to be delivered") })
	assert.ErrorIs(t, err, context.DeadlineExceeded)
}

// A run that waits for a server ends with its context.
func TestG47_serverCancelled(t *testing.T) {
	s := newServer(t)
	s.setAddrs(entry{silent: true}, entry{silent: true})
	src := newSource(t, registrydns.Config{
		Name: "orders.test.", Port: 80, Resolver: s.resolver(), Timeout: -1,
	})
	ctx, cancel := context.WithCancelCause(bg)
	ended := make(chan error, 1)
	go func() { ended <- src.Run(ctx, func(registry.Batch) error { return nil }) }()
	<-s.asked
	cancel(errOver)
	assert.Equal(t, errOver, <-ended)
}
