package registrydns_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registrydns"
)

var (
	_ registry.Source      = (*registrydns.Source)(nil)
	_ registrydns.Resolver = (*net.Resolver)(nil)
	_ registry.Clock       = (*steps)(nil)
)

var bg = context.Background()

var (
	errBroken = errors.New("broken")
	errOver   = errors.New("the script is over")
)

// half makes every jitter none.
func half() uint64 { return 1 << 63 }

// newSource makes a source of the addresses of orders.test at port 80, unless
// cfg says otherwise.
func newSource(tb testing.TB, cfg registrydns.Config) *registrydns.Source {
	tb.Helper()
	if cfg.Service == "" {
		cfg.Service = "orders"
	}
	if cfg.Name == "" {
		cfg.Name, cfg.Port = "orders.test.", 80
	}
	if cfg.Rand == nil {
		cfg.Rand = half
	}
	s, err := registrydns.New(cfg)
	require.NoError(tb, err)
	return s
}

// A reply is what a fake resolver answers.
type reply struct {
	addrs   []netip.Addr
	records []*net.SRV
	err     error
}

func ips(all ...string) reply {
	var r reply
	for _, one := range all {
		r.addrs = append(r.addrs, netip.MustParseAddr(one))
	}
	return r
}

func srv(target string, port, priority, weight uint16) *net.SRV {
	return &net.SRV{Target: target, Port: port, Priority: priority, Weight: weight}
}

func notFound() reply {
	return reply{err: &net.DNSError{Err: "no such host", Name: "orders.test.", IsNotFound: true}}
}

func broken() reply { return reply{err: errBroken} }

// A script is a resolver that gives one reply after the other. When it has none
// left it ends the context of the test.
type script struct {
	replies []reply
	over    context.CancelCauseFunc

	mu    sync.Mutex
	asked []string
	at    []time.Time
}

func (s *script) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func (s *script) next(question string) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.replies) == 0 {
		s.over(errOver)
		return broken()
	}
	s.asked = append(s.asked, question)
	s.at = append(s.at, time.Now())
	r := s.replies[0]
	s.replies = s.replies[1:]
	return r
}

func (s *script) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	r := s.next("srv " + service + "," + proto + "," + name)
	return "", r.records, r.err
}

func (s *script) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	r := s.next(network + " " + host)
	return r.addrs, r.err
}

// resolver is made of functions.
type resolver struct {
	srv func(ctx context.Context) ([]*net.SRV, error)
	ip  func(ctx context.Context) ([]netip.Addr, error)
}

func (r resolver) LookupSRV(ctx context.Context, _, _, _ string) (string, []*net.SRV, error) {
	records, err := r.srv(ctx)
	return "", records, err
}

func (r resolver) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	return r.ip(ctx)
}

// play runs a source as a feed does, until the script is over, with a second
// between two runs. It tells what came of it: the IDs of each batch, and "lost"
// for each run that failed. It has to be in a bubble.
func play(t *testing.T, cfg registrydns.Config, replies ...reply) (events []string, _ *script) {
	t.Helper()
	ctx, over := context.WithCancelCause(bg)
	s := &script{replies: replies, over: over}
	cfg.Resolver = s
	src := newSource(t, cfg)
	for {
		err := src.Run(ctx, func(b registry.Batch) error {
			require.True(t, b.Reset)
			require.Empty(t, b.Remove)
			events = append(events, strings.Join(ids(b), " "))
			return nil
		})
		if ctx.Err() != nil {
			require.Equal(t, errOver, err)
			return events, s
		}
		require.Error(t, err)
		events = append(events, "lost")
		time.Sleep(time.Second)
	}
}

// one is the first batch of a source.
func one(t *testing.T, cfg registrydns.Config) registry.Batch {
	t.Helper()
	ctx, over := context.WithCancelCause(bg)
	var got registry.Batch
	err := newSource(t, cfg).Run(ctx, func(b registry.Batch) error {
		got = b
		over(errOver)
		return nil
	})
	require.Equal(t, errOver, err)
	return got
}

func ids(b registry.Batch) []string {
	all := make([]string, len(b.Put))
	for i, rec := range b.Put {
		all[i] = rec.Instance.ID
	}
	return all
}

// steps is a clock that a test moves when it knows that it is waited for.
type steps struct {
	*clock.Mock
	armed chan time.Duration
}

func newSteps() *steps { return &steps{clock.NewMock(), make(chan time.Duration, 100)} }

func (s *steps) AfterFunc(d time.Duration, f func()) *clock.Timer {
	timer := s.Mock.AfterFunc(d, f)
	s.armed <- d
	return timer
}

// next moves the clock by what is waited for.
func (s *steps) next() time.Duration {
	d := <-s.armed
	s.Add(d)
	return d
}
