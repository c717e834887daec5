package registrydns_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/netip"
	"slices"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registrydns"
)

// A zone is a resolver for tests: what is in it is in DNS.
type zone struct {
	addrs   map[string][]netip.Addr
	records map[string][]*net.SRV
}

func (z zone) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	found := slices.DeleteFunc(slices.Clone(z.addrs[host]), func(a netip.Addr) bool {
		return network == "ip4" && !a.Is4()
	})
	return found, nil // none without an error is not found
}

func (z zone) LookupSRV(_ context.Context, _, _, name string) (string, []*net.SRV, error) {
	return name, z.records[name], nil
}

// The quick start: the addresses of a name become the instances of a service.
func Example() {
	src, err := registrydns.New(registrydns.Config{
		Service: "orders",
		Name:    "orders.shop.internal",
		Port:    8080,
		Resolver: zone{addrs: map[string][]netip.Addr{ // instead of real DNS
			"orders.shop.internal": {netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.1")},
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	ended := make(chan error, 1)
	go func() { ended <- reg.Feed(ctx, "dns", src) }()

	orders, err := reg.Service("orders").Wait(ctx, 0)
	for orders.Len() == 0 && err == nil {
		orders, err = reg.Service("orders").Wait(ctx, orders.Index())
	}
	for e := range orders.All() {
		fmt.Println(e.Addr(), e.Health(), e.Origin())
	}
	fmt.Println(reg.Close(ctx), errors.Is(<-ended, registry.ErrClosed))
	// Output:
	// 10.0.0.1:8080 passing dns
	// 10.0.0.2:8080 passing dns
	// <nil> true
}

// All that is wrong with a Config is told at once.
func ExampleNew() {
	_, err := registrydns.New(registrydns.Config{
		Service:  "orders",
		Name:     "10.0.0.256",
		Port:     80808,
		Instance: registry.Instance{Weight: 2_000_000},
	})
	fmt.Println(err)
	// Output:
	// registrydns: New: Name is "10.0.0.256", want a DNS name or an IP address
	// Port is 80808, want 1 to 65535, or 0 for SRV records
	// Instance.Weight is 2000000, want at most 1000000
}

// SRV records tell the ports and weights. Only those of the best priority, the
// lowest number, are used.
func ExampleSource_Run() {
	src, err := registrydns.New(registrydns.Config{
		Service: "orders",
		Name:    "_orders._tcp.shop.internal",
		Resolver: zone{records: map[string][]*net.SRV{
			"_orders._tcp.shop.internal": {
				{Target: "b.shop.internal.", Port: 8081, Priority: 10, Weight: 60},
				{Target: "a.shop.internal.", Port: 8080, Priority: 10},
				{Target: "spare.elsewhere.test.", Port: 8080, Priority: 20, Weight: 100},
			},
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	err = src.Run(ctx, func(b registry.Batch) error { // a registry does this in Feed
		for _, rec := range b.Put {
			fmt.Println(rec.Instance.Addr, rec.Instance.Weight)
		}
		cancel()
		return nil
	})
	fmt.Println(err)
	// Output:
	// a.shop.internal:8080 1
	// b.shop.internal:8081 60
	// context canceled
}

// onlyIPv4 is a resolver for hosts that have an address in each family and are
// to be one instance.
type onlyIPv4 struct{ registrydns.Resolver }

func (r onlyIPv4) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	return r.Resolver.LookupNetIP(ctx, "ip4", host)
}

// A Resolver of one's own may ask for less, or ask somebody else. In earnest
// this one would embed a *net.Resolver.
func ExampleResolver() {
	src, err := registrydns.New(registrydns.Config{
		Service: "orders",
		Name:    "orders.shop.internal",
		Port:    8080,
		Resolver: onlyIPv4{zone{addrs: map[string][]netip.Addr{
			"orders.shop.internal": {netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("10.0.0.1")},
		}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	err = src.Run(ctx, func(b registry.Batch) error {
		fmt.Println(len(b.Put), b.Put[0].Instance.Addr)
		cancel()
		return nil
	})
	fmt.Println(err)
	// Output:
	// 1 10.0.0.1:8080
	// context canceled
}
