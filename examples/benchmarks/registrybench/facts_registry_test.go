package registrybench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/kit/sd"
	"github.com/go-kit/kit/sd/dnssrv"
	"github.com/go-kit/kit/sd/lb"
	kerrors "github.com/go-kratos/kratos/v2/errors"
	"github.com/go-kratos/kratos/v2/log"
	kratos "github.com/go-kratos/kratos/v2/registry"
	"github.com/go-kratos/kratos/v2/selector"
	"github.com/go-kratos/kratos/v2/selector/node/ewma"
	"github.com/go-kratos/kratos/v2/transport/grpc/resolver/discovery"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/leastrequest"
	"google.golang.org/grpc/resolver"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// What .github/COMPARED.md says of each library in its cells in italics, shown by
// running it. What it says of one slow server is shown by TestSimulationOfASlowServer
// and TestSimulationOfKratos.

// Whom a watcher holds up that is busy while instances come and go.
func TestFactBusyWatcher(t *testing.T) {
	t.Run("mainstay", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r, _ := ours(fleet{n: 1}, 0)
			ctx, cancel := context.WithCancel(t.Context())
			free := make(chan struct{})
			busy, other := 0, 0 // the instances that each has seen
			watch := func(body func(registry.Update)) {
				for u, err := range r.Service(service).Watch(ctx) {
					if err == nil {
						body(u)
					}
				}
			}
			go watch(func(u registry.Update) { busy = u.Snapshot.Len(); <-free })
			go watch(func(u registry.Update) { other = u.Snapshot.Len() })
			synctest.Wait()
			for i := range 5 {
				got(r.Register(ctx, registry.Instance{Service: service, Addr: addr(1 + i)}))
			}
			synctest.Wait()
			assert.Equal(t, [2]int{1, 6}, [2]int{busy, other})
			close(free)
			synctest.Wait()
			assert.Equal(t, 6, busy, "it is told the final state")
			cancel()
		})
	})
	t.Run("go-kit", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var n atomic.Int32
			n.Store(1)
			lookup := func(string, string, string) (string, []*net.SRV, error) {
				var all []*net.SRV
				for i := range n.Load() {
					all = append(all, &net.SRV{Target: "a", Port: uint16(1 + i)})
				}
				return "", all, nil
			}
			in := dnssrv.NewInstancerDetailed("x", time.NewTicker(time.Second), lookup, quiet{})
			defer in.Stop()
			busy := make(chan sd.Event, 1)
			in.Register(busy)
			other := sd.NewEndpointer(in, echoes, quiet{})
			synctest.Wait()
			require.Len(t, got(other.Endpoints()), 1)
			n.Store(2)
			time.Sleep(time.Minute)
			n.Store(3)
			time.Sleep(time.Hour)
			assert.NotEqual(t, 3, len(got(other.Endpoints())), "it waits for the busy one")
			go func() {
				for range busy {
				}
			}()
			time.Sleep(time.Minute)
			assert.Len(t, got(other.Endpoints()), 3)
			other.Close()
			in.Deregister(busy)
			close(busy)
		})
	})
}

// A watcher of kratos that hands on lists.
type lists chan []*kratos.ServiceInstance

func (l lists) Next() ([]*kratos.ServiceInstance, error) {
	list, ok := <-l
	if !ok {
		return nil, context.Canceled
	}
	return list, nil
}

func (l lists) Stop() error { return nil }

func (l lists) GetService(context.Context, string) ([]*kratos.ServiceInstance, error) {
	return nil, nil
}

func (l lists) Watch(context.Context, string) (kratos.Watcher, error) { return l, nil }

// A resolverConn counts the addresses it is told.
type resolverConn struct {
	resolver.ClientConn
	updates []int
}

func (c *resolverConn) UpdateState(s resolver.State) error {
	c.updates = append(c.updates, len(s.Addresses))
	return nil
}

// What is there to choose from when the last instance has left.
func TestFactLastInstanceLeaves(t *testing.T) {
	t.Run("mainstay", func(t *testing.T) {
		r, leases := ours(fleet{n: 1}, 0)
		b := balance.MustNew(r.Service(service), balance.Config{})
		must(leases[0].Deregister())
		_, err := b.Next(balance.Query{})
		assert.ErrorIs(t, err, balance.ErrNoInstances)
	})
	t.Run("go-kit", func(t *testing.T) {
		e, tell := gokitEndpointer(echoes, fleet{n: 1}.addrs())
		defer e.Close()
		tell(nil)
		gokitAwait(e, 0)
		_, err := lb.NewRoundRobin(e).Endpoint()
		assert.Equal(t, lb.ErrNoEndpoints, err)
	})
	t.Run("kratos", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			logger := log.GetLogger()
			defer log.SetLogger(logger)
			log.SetLogger(log.NewStdLogger(io.Discard))
			l, cc := make(lists), &resolverConn{}
			b := discovery.NewBuilder(l, discovery.WithInsecure(true), discovery.PrintDebugLog(false))
			res, err := b.Build(resolver.Target{URL: url.URL{Path: "/orders"}}, cc, resolver.BuildOptions{})
			require.NoError(t, err)
			l <- []*kratos.ServiceInstance{{ID: "1", Name: "orders", Endpoints: []string{"grpc://10.0.0.1:80"}}}
			l <- nil
			close(l)
			synctest.Wait()
			res.Close()
			assert.Equal(t, []int{1}, cc.updates, "the last one stays")
		})
	})
	t.Run("gRPC", func(t *testing.T) {
		b, cc, _ := grpcBalancer(fleet{n: 1}, "round_robin", "")
		defer b.Close()
		got(cc.picker.Pick(balancer.PickInfo{}))
		require.ErrorIs(t, b.UpdateClientConnState(balancer.ClientConnState{}), balancer.ErrBadResolverState)
		_, err := cc.picker.Pick(balancer.PickInfo{})
		assert.Error(t, err)
	})
}

// A nodeSpy is a balancer of kratos that keeps what it is to choose from.
type nodeSpy struct{ nodes []selector.WeightedNode }

func (s *nodeSpy) Build() selector.Balancer { return s }

func (s *nodeSpy) Pick(_ context.Context, nodes []selector.WeightedNode) (selector.WeightedNode, selector.DoneFunc, error) {
	s.nodes = nodes
	return nodes[0], nodes[0].Pick(), nil
}

// Whether calls under way count after an update of the list that has the instance
// still.
func TestFactInFlightAcrossUpdates(t *testing.T) {
	const calls = 50
	t.Run("mainstay", func(t *testing.T) {
		r, _ := ours(fleet{n: 1}, 0)
		b := balance.MustNew(r.Service(service), balance.Config{})
		for range calls {
			got(b.Pick(t.Context()))
		}
		got(r.RegisterWith(t.Context(), registry.RegisterConfig{}, instances(fleet{n: 2}, 0)...))
		for range calls {
			assert.Equal(t, addr(1), got(b.Pick(t.Context())).Endpoint().Addr())
		}
	})
	t.Run("kratos", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			spy := &nodeSpy{}
			s := (&selector.DefaultBuilder{Node: &ewma.Builder{}, Balancer: spy}).Build()
			weight := func() float64 {
				_, done, err := s.Select(t.Context())
				must(err)
				done(t.Context(), selector.DoneInfo{})
				time.Sleep(time.Second) // weights are kept for a while
				return spy.nodes[0].Weight()
			}
			s.Apply(kratosNodes(fleet{n: 1}))
			idle := weight()
			for range calls {
				_, _, err := s.Select(t.Context())
				must(err)
			}
			assert.Less(t, weight(), idle/10)
			s.Apply(kratosNodes(fleet{n: 1}))
			assert.GreaterOrEqual(t, weight(), idle, "all is forgotten")
		})
	})
	t.Run("gRPC", func(t *testing.T) {
		b, cc, _ := grpcBalancer(fleet{n: 1}, leastrequest.Name, `{"choiceCount": 10}`)
		defer b.Close()
		for range calls {
			got(cc.picker.Pick(balancer.PickInfo{}))
		}
		must(b.UpdateClientConnState(grpcState(fleet{n: 2}, leastrequest.Name, `{"choiceCount": 10}`)))
		cc.settle()
		second := 0
		for range calls {
			if got(cc.picker.Pick(balancer.PickInfo{})).SubConn.(*subConn).addr == addr(1) {
				second++
			}
		}
		assert.Greater(t, second, calls*8/10)
	})
}

// Where a call is tried again whose first attempt failed, while others call too.
func TestFactRetryElsewhere(t *testing.T) {
	t.Run("mainstay", func(t *testing.T) {
		r, _ := ours(fleet{n: 2}, 0)
		b := balance.MustNew(r.Service(service), balance.Config{Policy: balance.RoundRobin{}})
		var tried []string
		_, err := balance.Do(t.Context(), b, func(_ context.Context, e *registry.Endpoint) (int, error) {
			tried = append(tried, e.Addr())
			got(b.Pick(t.Context())).Done(nil) // by somebody else
			return 0, errDown
		})
		assert.Equal(t, errDown, err)
		assert.ElementsMatch(t, fleet{n: 2}.addrs(), tried)
	})
	t.Run("go-kit", func(t *testing.T) {
		var tried []string
		var b lb.Balancer
		var all sd.FixedEndpointer
		for _, a := range (fleet{n: 2}).addrs() {
			all = append(all, func(context.Context, any) (any, error) {
				tried = append(tried, a)
				got(b.Endpoint()) // by somebody else
				return nil, errDown
			})
		}
		b = lb.NewRoundRobin(all)
		_, err := lb.Retry(2, time.Minute, b)(t.Context(), nil)
		require.Error(t, err)
		require.Len(t, tried, 2)
		assert.Equal(t, tried[0], tried[1])
	})
}

// What it means for an instance that a caller gives up.
func TestFactCallerCancels(t *testing.T) {
	wrapped := fmt.Errorf("get: %w", context.Canceled)
	t.Run("mainstay", func(t *testing.T) {
		r, _ := ours(fleet{n: 2}, 0)
		b := balance.MustNew(r.Service(service), balance.Config{Outlier: &balance.Outlier{Consecutive: 1}})
		for _, err := range []error{context.Canceled, wrapped} {
			for range 100 {
				got(b.Pick(t.Context())).Done(err)
			}
		}
		for m := range b.Members() {
			assert.False(t, m.Ejected)
			assert.Zero(t, m.Failures)
		}
	})
	t.Run("kratos", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			weight := func(err error) float64 {
				n := (&ewma.Builder{}).Build(kratosNodes(fleet{n: 1})[0])
				for range 10 {
					done := n.Pick()
					time.Sleep(10 * time.Millisecond)
					done(t.Context(), selector.DoneInfo{Err: err})
					time.Sleep(time.Second)
				}
				return n.Weight()
			}
			good := weight(nil)
			assert.Less(t, weight(context.Canceled), good/10, "a failure")
			assert.InEpsilon(t, good, weight(wrapped), 0.01, "a success")
			assert.Less(t, weight(kerrors.ServiceUnavailable("", "")), good/10)
			assert.InEpsilon(t, good, weight(errors.New("connection refused")), 0.01, "and so is this")
		})
	})
}

// How many percent of all calls an instance gets, one of ten, that fails them all
// at once. Of two it is always the less loaded one.
func TestFactFailsAtOnce(t *testing.T) {
	percent := func(c chooser, fails error) int {
		const requests = 50_000
		_, first := simulation{slow: 0.001, fails: fails, requests: requests}.run(c)
		return (100*first + requests/2) / requests
	}
	assert.Zero(t, percent(oursSimulated(balance.Config{Outlier: &balance.Outlier{}}), errDown))
	assert.InDelta(t, 20, percent(oursSimulated(balance.Config{}), errDown), 1)
	assert.Equal(t, 10, percent(gokitSimulated(), errDown))
	assert.InDelta(t, 20, percent(grpcSimulated(), errDown), 1)
	synctest.Test(t, func(t *testing.T) {
		assert.InDelta(t, 20, percent(kratosSimulated(), errDown), 1)
		assert.Zero(t, percent(kratosSimulated(), kerrors.ServiceUnavailable("", "")))
	})
}
