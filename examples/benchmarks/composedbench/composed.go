package composedbench

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// composed is the whole path: registryhttp chooses the instance, its gate is a
// breaker, and what happens to breakers, balancer and registry goes to a bus.
func composed(addrs []string) client { return compose(addrs, breaker.Hooks{}, newNews()) }

// tellingAll publishes every call that has ended, too.
func tellingAll(addrs []string) client {
	n := newNews()
	done := toTopic[breaker.Completion](n, "breakers.done", &n.done)
	c := compose(addrs, breaker.Hooks{Done: done}, n)
	counted := c.counted
	c.counted = func(calls int) error {
		must(n.bus.Flush(background))
		lost := n.lost()
		seen := int(n.done.Load())
		return errors.Join(counted(calls), want(seen+lost == calls, "%d calls were told and %d lost, not %d", seen, lost, calls))
	}
	return c
}

func compose(addrs []string, hooks breaker.Hooks, n *news) client {
	hooks.Transition = toTopic[breaker.Transition](n, "breakers.moved", &n.moved)
	hooks.Rejected = toTopic[*breaker.RejectedError](n, "breakers.rejected", &n.rejected)
	breakers := breaker.MustNewGroup(breaker.GroupConfig[string]{Config: breaker.Config{Hooks: hooks}})

	r := registered(registry.Config{Hooks: registry.Hooks{
		Change:       noContext(toTopic[registry.Change](n, "instances.changed", &n.changed)),
		Preservation: noContext(toTopic[registry.Preservation](n, "instances.preserved", &n.other)),
	}}, addrs)
	c := &http.Client{Transport: registryhttp.MustNewTransport(r, registryhttp.TransportConfig{
		Base: network(),
		Balancer: balance.Config{
			Gate:    gate(breakers),
			Outlier: &balance.Outlier{Consecutive: -1}, // the breakers judge
			Hooks: balance.Hooks{
				PanicMode: noContext(toTopic[balance.PanicMode](n, "balancers.panicked", &n.other)),
				Ejection:  noContext(toTopic[balance.Ejection](n, "balancers.ejected", &n.other)),
			},
		},
	})}
	return client{
		host: byName, call: plain(c),
		counted: func(calls int) error { return picked(r, calls) },
		refuses: func(call func() error) error {
			return errors.Join(refused(call, breaker.ErrOpen), n.check(len(addrs)))
		},
		closing: func() {
			c.CloseIdleConnections()
			must(r.Close(background))
			must(n.bus.Close(background))
		},
	}
}

// gate makes a breaker per address the gate of its instance. The short form
// returns the permit's Done; this one also heeds an instance that asks for time.
func gate(breakers *breaker.Group[string]) func(*registry.Endpoint) balance.Gate {
	return func(e *registry.Endpoint) balance.Gate {
		return balance.GateFunc(func(ctx context.Context) (func(error), error) {
			p, err := breakers.Get(e.Addr()).Allow(ctx)
			if err != nil {
				return nil, err
			}
			return func(err error) {
				if err == nil { // the variable below would be on the heap
					p.Done(nil)
					return
				}
				var status *registryhttp.StatusError
				if errors.As(err, &status) {
					if d := breakerhttp.RetryAfter(status.Header, time.Now()); d > 0 {
						p.Trip(min(d, 5*time.Minute), err)
						return
					}
				}
				p.Done(err)
			}, nil
		})
	}
}

// News is a bus and what its subscribers have seen.
type news struct {
	bus                                   *eventbus.Bus
	moved, rejected, changed, done, other atomic.Int64
}

func newNews() *news { return &news{bus: eventbus.MustNew(eventbus.Config{})} }

// toTopic makes a hook that publishes and never waits, and has somebody
// subscribe who falls behind rather than to hold up anybody.
func toTopic[T any](n *news, name string, seen *atomic.Int64) func(context.Context, T) {
	topic := eventbus.MustNewTopic[T](n.bus, name, eventbus.TopicConfig{})
	got(topic.SubscribeWith(background, eventbus.SubscribeConfig[T]{OnFull: eventbus.DropOldest},
		func(context.Context, T) error {
			seen.Add(1)
			return nil
		}))
	return func(ctx context.Context, event T) { _ = topic.TryPublish(ctx, event) }
}

// lost is how many events the subscribers fell behind.
func (n *news) lost() int {
	lost := 0
	for topic := range n.bus.Topics() {
		for _, s := range topic.Subscriptions {
			lost += int(s.Lagged)
		}
	}
	return lost
}

// noContext is for hooks that have none.
func noContext[T any](publish func(context.Context, T)) func(T) {
	return func(event T) { publish(background, event) }
}

// check tells whether what happened arrived: each instance came, and its breaker
// opened and refused.
func (n *news) check(instances int) error {
	if err := n.bus.Flush(background); err != nil {
		return err
	}
	changed, moved, rejected := n.changed.Load(), n.moved.Load(), n.rejected.Load()
	return errors.Join(
		want(changed == int64(instances), "%d changes were told of %d instances", changed, instances),
		want(moved == int64(instances), "%d transitions were told of %d breakers", moved, instances),
		want(rejected > 0, "no rejection was told"),
	)
}
