package registry_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/registry"
)

// Every change as a log line.
func ExampleHooks() {
	reg := registry.MustNew(registry.Config{Hooks: registry.Hooks{
		Change: func(c registry.Change) {
			switch {
			case c.Before == nil:
				fmt.Println(c.Service, c.ID, "came at", c.After.Addr())
			case c.After == nil:
				fmt.Println(c.Service, c.ID, "left:", c.Reason)
			default:
				fmt.Println(c.Service, c.ID, c.Before.Health(), "->", c.After.Health(), "by", c.Reason)
			}
		},
		Fault: func(p *registry.PanicError) { fmt.Println("bug:", p) },
	}})
	lease := must(reg.Register(context.Background(), registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}))
	fmt.Println(lease.SetHealth(registry.Warning, "replica is 3s behind"))
	fmt.Println(lease.Deregister())
	// Output:
	// orders a came at 10.0.0.7:8080
	// orders a passing -> warning by health
	// <nil>
	// orders a left: deregistered
	// <nil>
}

// Some reasons are worth a count of their own.
func ExampleReason() {
	left := make(map[registry.Reason]int)
	reg := registry.MustNew(registry.Config{Hooks: registry.Hooks{
		Change: func(c registry.Change) {
			if c.After == nil {
				left[c.Reason]++ // of several services it would need a lock
			}
		},
	}})
	ctx := context.Background()
	for range 2 {
		must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}))
		fmt.Println(reg.Deregister(ctx, "orders", "a"))
	}
	fmt.Println(left)
	// Output:
	// <nil>
	// <nil>
	// map[deregistered:2]
}

// A change tells which fields are other ones by its two records.
func ExampleChange() {
	moved := func(c registry.Change) {
		if c.Before != nil && c.After != nil && c.Before.Addr() != c.After.Addr() {
			fmt.Println(c.ID, "moved from", c.Before.Addr(), "to", c.After.Addr())
		}
	}
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{Hooks: registry.Hooks{Change: moved}})
	must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}))
	must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.9:8080"}))
	// Output: a moved from 10.0.0.7:8080 to 10.0.0.9:8080
}

// A feed that loses its origin is worth an alarm, a bad record a mail to who
// wrote it.
func ExampleFeedState() {
	ctx, stop := context.WithCancelCause(context.Background())
	reg := registry.MustNew(registry.Config{Hooks: registry.Hooks{
		FeedState: func(s registry.FeedState) {
			switch {
			case !s.Connected:
				fmt.Println(s.Name, "is away:", s.Err)
			case s.Err != nil:
				fmt.Println(s.Name, "has bad records:", s.Err)
				stop(errors.New("shutting down"))
			}
		},
	}})
	fmt.Println(reg.Feed(ctx, "config", registry.Static(
		registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"},
		registry.Instance{Service: "orders", ID: "b", Addr: "nowhere:0"},
	)))
	// Output:
	// config has bad records: registry: feed "orders" "b": Addr is "nowhere:0", want host:port or [v6]:port with a port from 1 to 65535
	// config is away: shutting down
	// shutting down
}

// A bug in a function that was handed to the registry does not end the program;
// Fault is where it is heard of.
func ExamplePanicError() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{Hooks: registry.Hooks{
		Fault: func(p *registry.PanicError) { fmt.Println("bug:", p, len(p.Stack) > 0) },
	}})
	must(reg.Register(ctx, registry.Instance{
		Service: "orders", Addr: "10.0.0.7:8080",
		Check: registry.Check{
			Func: func(context.Context, registry.Instance) error {
				panic("cannot be")
			},
			FailuresBeforeCritical: 1,
		},
	}))
	fmt.Println(until(ctx, reg.Service("orders"), registry.Critical).HealthReason())
	fmt.Println(reg.Close(ctx), reg.Stats().Panics)
	// Output:
	// bug: registry: panic: cannot be true
	// registry: panic: cannot be
	// <nil> 1
}

// When the leases of many lapse at once it is more likely that the network is
// away than that they all died. Then most are kept for a while.
func ExamplePreservation() {
	ctx := context.Background()
	mock := clock.NewMock() // nil in a program: system time
	reg := registry.MustNew(registry.Config{
		Clock: mock,
		Hooks: registry.Hooks{Preservation: func(p registry.Preservation) {
			if p.Active {
				fmt.Println(p.Service, "lost many: kept", p.Held)
			} else {
				fmt.Println(p.Service, "is back to normal")
			}
		}},
	})
	var leases []*registry.Lease
	for port := 8080; port < 8100; port++ {
		leases = append(leases, must(reg.Register(ctx, registry.Instance{
			Service: "orders", Addr: fmt.Sprint("10.0.0.7:", port), TTL: 10 * time.Second,
		})))
	}
	mock.Add(10 * time.Second) // the network is away
	expired := len(leases) - reg.Service("orders").Snapshot().Len()
	for _, lease := range leases {
		_ = lease.Renew() // it is there again: those that were kept are restored
	}
	fmt.Println(reg.Close(ctx), "expired:", expired)
	// Output:
	// orders lost many: kept 17
	// orders is back to normal
	// <nil> expired: 3
}

// Changes as events: whoever subscribes to the topic hears of them, and the
// registry never waits for any of them.
func Example_hooksToTopics() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	changes := eventbus.MustNewTopic[registry.Change](bus, "registry.changes", eventbus.TopicConfig{})
	reg := registry.MustNew(registry.Config{Hooks: registry.Hooks{
		Change: func(c registry.Change) {
			if err := changes.TryPublish(ctx, c); err != nil { // a subscriber is too slow
				fmt.Println(err)
			}
		},
	}})
	_, err := changes.Subscribe(ctx, func(_ context.Context, c registry.Change) error {
		fmt.Println(c.Service, c.ID, c.Reason)
		return nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	lease, err := reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = lease.Drain(ctx)
	fmt.Println(errors.Join(err, reg.Close(ctx), bus.Close(ctx))) // in this order
	// Output:
	// orders a registered
	// orders a health
	// orders a drained
	// <nil>
}
