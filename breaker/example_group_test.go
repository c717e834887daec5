package breaker_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
)

// One breaker per tenant: one that fails does not shut out the others.
func ExampleGroup() {
	tenants := breaker.MustNewGroup(breaker.GroupConfig[int]{
		Config: breaker.Config{Trip: breaker.ConsecutiveFailures(2)},
		Name:   func(id int) string { return fmt.Sprintf("tenant %d", id) },
	})
	for range 2 {
		_ = tenants.Get(1).Run(context.Background(), func(context.Context) error { return errDown })
	}
	fmt.Println(tenants.Get(1).State(), tenants.Get(2).State())
	// Output: open closed
}

func ExampleNewGroup() {
	hosts, err := breaker.NewGroup(breaker.GroupConfig[string]{Max: 10_000, IdleFor: time.Hour})
	fmt.Println(hosts.Get("example.com").Name(), err)
	// Output: example.com <nil>
}

func ExampleMustNewGroup() {
	shards := breaker.MustNewGroup(breaker.GroupConfig[int]{})
	fmt.Println(shards.Get(7).Name())
	// Output: 7
}

// Get per call: it takes no lock, and the group sees that the key is in use.
func ExampleGroup_Get() {
	hosts := breaker.MustNewGroup(breaker.GroupConfig[string]{})
	a := hosts.Get("a")
	fmt.Println(a == hosts.Get("a"), a == hosts.Get("b"))
	// Output: true false
}

func ExampleGroup_GetWith() {
	hosts := breaker.MustNewGroup(breaker.GroupConfig[string]{})
	patient := breaker.Config{OpenFor: 5 * time.Minute}

	for range 2 { // with every call: nothing is made for a key that is known
		b, err := hosts.GetWith("reports", patient)
		if err != nil {
			fmt.Println(err)
			return
		}
		b.Trip(0, errDown)
		fmt.Println(b.Name(), b.Snapshot().RetryAfter.Round(time.Minute), hosts.Len())
	}
	// Output:
	// reports 5m0s 1
	// reports 5m0s 1
}

func ExampleGroup_All() {
	hosts := breaker.MustNewGroup(breaker.GroupConfig[string]{})
	hosts.Get("a")
	hosts.Get("b").Trip(-1, errDown)
	var open []string
	for host, b := range hosts.All() {
		if b.State() == breaker.Open {
			open = append(open, host)
		}
	}
	slices.Sort(open)
	fmt.Println(open)
	// Output: [b]
}

func ExampleGroup_Reconfigure() {
	hosts := breaker.MustNewGroup(breaker.GroupConfig[string]{})
	a := hosts.Get("a")
	fmt.Println(hosts.Reconfigure(breaker.Config{Trip: breaker.ConsecutiveFailures(1)}))
	_ = a.Run(context.Background(), func(context.Context) error { return errDown })
	fmt.Println(a.State())
	// Output:
	// <nil>
	// open
}

func ExampleGroup_Delete() {
	hosts := breaker.MustNewGroup(breaker.GroupConfig[string]{})
	hosts.Get("a").Trip(-1, errDown)
	hosts.Delete("a")
	fmt.Println(hosts.Len(), hosts.Get("a").State())
	// Output: 0 closed
}

func ExampleGroup_Len() {
	hosts := breaker.MustNewGroup(breaker.GroupConfig[string]{})
	hosts.Get("a")
	hosts.Get("b")
	fmt.Println(hosts.Len())
	// Output: 2
}
