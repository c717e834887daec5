package registry_test

import (
	"context"
	"fmt"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/registry"
)

// Everything that an instance can say about itself.
func ExampleInstance() {
	reg := registry.MustNew(registry.Config{})
	lease, err := reg.Register(context.Background(), registry.Instance{
		ID:         "orders-7",
		Service:    "orders",
		Addr:       "[2001:db8::7]:8443",
		Scheme:     "https",
		ServerName: "orders.internal",
		Version:    "1.4.0",
		Zone:       "eu-1",
		Weight:     50, // half of what others get
		TTL:        10 * time.Second,
		Tags:       []string{"canary"},
		Meta:       map[string]string{"commit": "3f2c1d0"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	e := lease.Endpoint()
	fmt.Printf("%s://%s of %s, version %s in %s\n", e.Scheme(), e.Addr(), e.ServerName(), e.Version(), e.Zone())
	// Output: https://[2001:db8::7]:8443 of orders.internal, version 1.4.0 in eu-1
}

// A key for a typed value is a package-level variable of who defines the value.
func ExampleNewKey() {
	type position struct{ lat, lon float64 }
	positionKey := registry.NewKey[position]("position")

	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(context.Background(), registry.Instance{
		Service: "orders", Addr: "10.0.0.7:8080",
		Attrs: []registry.Attr{positionKey.Value(position{52.5, 13.4})},
	}))
	at, ok := positionKey.Get(lease.Endpoint())
	fmt.Println(at.lat, ok)
	// Output: 52.5 true
}

// An attribute can be of any type, such as a client that is ready to be used.
func ExampleKey_Value() {
	askKey := registry.NewKey[func() string]("ask")
	in := registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"}
	in.Attrs = append(in.Attrs, askKey.Value(func() string { return "42 orders" }))

	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(context.Background(), in))
	if ask, ok := askKey.Get(lease.Endpoint()); ok {
		fmt.Println(ask())
	}
	// Output: 42 orders
}

func ExampleKey_Get() {
	rackKey := registry.NewKey[int]("rack")
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"}))
	rack, ok := rackKey.Get(lease.Endpoint())
	fmt.Println(rack, ok) // it has none
	// Output: 0 false
}

// An endpoint is a record: it stays what it was when others have changed.
func ExampleEndpoint() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}))
	var before, after *registry.Endpoint
	before = lease.Endpoint()
	fmt.Println(reg.SetHealth(ctx, "orders", "a", registry.Down, "stocktaking"))
	after = lease.Endpoint()
	fmt.Println(before.Health(), after.Health(), before.Live() == after.Live())
	// Output:
	// <nil>
	// passing down true
}

func ExampleEndpoint_ID() {
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"}))
	fmt.Println(lease.Endpoint().ID()) // none was given
	// Output: 10.0.0.7:8080
}

func ExampleEndpoint_Service() {
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"}))
	fmt.Println(lease.Endpoint().Service())
	// Output: orders
}

// Addr is ready for net.Dial.
func ExampleEndpoint_Addr() {
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "[2001:db8::7]:8080"}))
	fmt.Println(lease.Endpoint().Addr())
	// Output: [2001:db8::7]:8080
}

// An instance that speaks TLS says so, and a caller's own choice is the default.
func ExampleEndpoint_Scheme() {
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "10.0.0.7:8443", Scheme: "https"}))
	scheme := "http"
	if s := lease.Endpoint().Scheme(); s != "" {
		scheme = s
	}
	fmt.Println(scheme + "://" + lease.Endpoint().Addr())
	// Output: https://10.0.0.7:8443
}

// ServerName is for tls.Config, where addresses are not in the certificates.
func ExampleEndpoint_ServerName() {
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(context.Background(), registry.Instance{
		Service: "orders", Addr: "10.0.0.7:8443", Scheme: "https", ServerName: "orders.internal",
	}))
	fmt.Println(lease.Endpoint().ServerName())
	// Output: orders.internal
}

// How far a rollout is.
func ExampleEndpoint_Version() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	for addr, version := range map[string]string{"10.0.0.7:80": "1.4.0", "10.0.0.8:80": "1.5.0", "10.0.0.9:80": "1.5.0"} {
		must(reg.Register(ctx, registry.Instance{Service: "orders", Addr: addr, Version: version}))
	}
	versions := make(map[string]int)
	for e := range reg.Service("orders").Snapshot().All() {
		versions[e.Version()]++
	}
	fmt.Println(versions)
	// Output: map[1.4.0:1 1.5.0:2]
}

func ExampleEndpoint_Zone() {
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "10.0.0.7:8080", Zone: "eu-1"}))
	fmt.Println(lease.Endpoint().Zone())
	// Output: eu-1
}

// A negative weight is for an instance that is to be seen but not picked.
func ExampleEndpoint_Weight() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}))
	must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "b", Addr: "10.0.0.8:8080", Weight: 200}))
	must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "standby", Addr: "10.0.0.9:8080", Weight: -1}))
	for e := range reg.Service("orders").Snapshot().All() {
		fmt.Println(e.ID(), e.Weight())
	}
	// Output:
	// a 100
	// b 200
	// standby -1
}

func ExampleEndpoint_HasTag() {
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(context.Background(), registry.Instance{
		Service: "orders", Addr: "10.0.0.7:8080", Tags: []string{"canary", "gpu"},
	}))
	fmt.Println(lease.Endpoint().HasTag("gpu"), lease.Endpoint().HasTag("arm"))
	// Output: true false
}

func ExampleEndpoint_Meta() {
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(context.Background(), registry.Instance{
		Service: "orders", Addr: "10.0.0.7:8080", Meta: map[string]string{"commit": "3f2c1d0"},
	}))
	commit, ok := lease.Endpoint().Meta("commit")
	fmt.Println(commit, ok)
	// Output: 3f2c1d0 true
}

// Instance is a copy: what is done to it does not reach the registry.
func ExampleEndpoint_Instance() {
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(context.Background(), registry.Instance{
		Service: "orders", Addr: "10.0.0.7:8080", Tags: []string{"gpu", "canary"},
	}))
	in := lease.Endpoint().Instance()
	fmt.Println(in.Weight, in.Tags)
	in.Tags[0] = "mine"
	fmt.Println(lease.Endpoint().HasTag("mine"))
	// Output:
	// 100 [canary gpu]
	// false
}

// The generation tells which of two registrations of an ID is the newer one, and
// can fence what an owner writes elsewhere.
func ExampleEndpoint_Generation() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	a := registry.Instance{Service: "leader", ID: "only", Addr: "10.0.0.7:8080"}
	old := must(reg.Register(ctx, a)).Endpoint()
	now := must(reg.Register(ctx, a)).Endpoint()
	fmt.Println(old.Generation() < now.Generation())
	// Output: true
}

// Who was registered here, and who came from a feed.
func ExampleEndpoint_Origin() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	reg := registry.MustNew(registry.Config{})
	must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}))
	go func() {
		_ = reg.Feed(ctx, "config", registry.Static(registry.Instance{Service: "orders", ID: "b", Addr: "10.0.0.8:8080"}))
	}()
	for u, err := range reg.Service("orders").Watch(ctx) {
		if err != nil || u.Snapshot.Len() == 2 {
			for e := range u.Snapshot.All() {
				fmt.Printf("%s %q\n", e.ID(), e.Origin())
			}
			break
		}
	}
	// Output:
	// a ""
	// b "config"
}

func ExampleEndpoint_Health() {
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"}))
	fmt.Println(lease.Endpoint().Health())
	// Output: passing
}

func ExampleEndpoint_HealthReason() {
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"}))
	err := lease.SetHealth(registry.Warning, "replica is 3s behind")
	fmt.Println(lease.Endpoint().Health(), "because", lease.Endpoint().HealthReason(), err)
	// Output: warning because replica is 3s behind <nil>
}

// For how long it has been usable, for a page of states.
func ExampleEndpoint_Since() {
	mock := clock.NewMock() // nil in a program: system time
	reg := registry.MustNew(registry.Config{Clock: mock})
	lease := must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"}))
	mock.Add(time.Hour)
	err := lease.SetHealth(registry.Warning, "replica is 3s behind") // that is usable too
	fmt.Println("usable for", mock.Since(lease.Endpoint().Since()), err)
	// Output: usable for 1h0m0s <nil>
}

func ExampleEndpoint_InFlight() {
	reg := registry.MustNew(registry.Config{})
	e := must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"})).Endpoint()
	e.Live().Acquire(registry.Warning) // a balancer does that
	fmt.Println(e.InFlight())
	e.Live().Release()
	fmt.Println(e.InFlight())
	// Output:
	// 1
	// 0
}

func ExampleEndpoint_Picks() {
	reg := registry.MustNew(registry.Config{})
	e := must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"})).Endpoint()
	for range 3 {
		e.Live().Acquire(registry.Warning) // a balancer does that
		e.Live().Release()
	}
	fmt.Println(e.Picks())
	// Output: 3
}

// Live tells whether two records are about the same stay at one address, so that
// what is known of it, such as a connection, is still good.
func ExampleEndpoint_Live() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	a := registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}
	first := must(reg.Register(ctx, a)).Endpoint()
	a.Version = "1.5.0"
	second := must(reg.Register(ctx, a)).Endpoint()
	a.Addr = "10.0.0.9:8080"
	third := must(reg.Register(ctx, a)).Endpoint()
	fmt.Println(first.Live() == second.Live(), second.Live() == third.Live())
	// Output: true false
}
