package registry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/registry"
)

// With a mock clock a test decides what time it is, and Sweep makes expire what
// is due, whether a timer has run by then or not.
func Example_mockClock() {
	ctx := context.Background()
	mock := clock.NewMock()
	reg := registry.MustNew(registry.Config{Clock: mock, TTL: 10 * time.Second})
	lease, err := reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"})
	if err != nil {
		fmt.Println(err)
		return
	}
	mock.Add(10*time.Second - 1)
	reg.Sweep()
	fmt.Println(reg.Stats().Instances, lease.Err())
	mock.Add(1)
	reg.Sweep()
	fmt.Println(reg.Stats().Instances, lease.Err())
	// Output:
	// 1 <nil>
	// 0 registry: lease lost
}

// A clock of one's own: replaying a log needs no timers, since every read looks
// at the clock.
func ExampleClock() {
	mock := clock.NewMock() // has Now, Since and AfterFunc
	var c registry.Clock = mock
	reg := registry.MustNew(registry.Config{Clock: c, TTL: time.Minute})
	for _, at := range []string{"2026-03-01 09:00:00", "2026-03-01 09:00:50", "2026-03-01 09:02:00"} {
		now, err := time.Parse(time.DateTime, at)
		if err != nil {
			fmt.Println(err)
			return
		}
		mock.Set(now)
		fmt.Println(at, reg.Service("orders").Snapshot().Len())
		if at == "2026-03-01 09:00:00" {
			must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"}))
		}
	}
	// Output:
	// 2026-03-01 09:00:00 0
	// 2026-03-01 09:00:50 1
	// 2026-03-01 09:02:00 0
}

// Sweep tells how many instances have left; what a read or a timer has met
// before is not among them.
func ExampleRegistry_Sweep() {
	mock := clock.NewMock()
	reg := registry.MustNew(registry.Config{Clock: mock, TTL: time.Minute})
	must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"}))
	fmt.Println(reg.Sweep())
	mock.Add(time.Minute)
	reg.Sweep() // 1, or 0 if the timer of the mock was first
	fmt.Println(reg.Sweep(), reg.Stats().Instances)
	// Output:
	// 0
	// 0 0
}

// A small cluster whose instances are all to expire exactly on time, and a large
// one where at most a tenth may go at once.
func ExamplePreserve() {
	exact := registry.Preserve{MaxEvict: -1}
	careful := registry.Preserve{MaxEvict: 0.1, Window: 30 * time.Second, MaxHold: 10 * time.Minute}
	for _, p := range []registry.Preserve{exact, careful} {
		mock := clock.NewMock() // nil in a program: system time
		reg := registry.MustNew(registry.Config{Clock: mock, TTL: 10 * time.Second, Preserve: p})
		for port := 8080; port < 8100; port++ {
			must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: fmt.Sprint("10.0.0.7:", port)}))
		}
		mock.Add(10 * time.Second)
		reg.Sweep()
		s := reg.Stats()
		fmt.Println(s.Instances, "left,", s.Held, "of them held")
	}
	// Output:
	// 0 left, 0 of them held
	// 18 left, 18 of them held
}

// In a bubble of testing/synctest a registry without a Clock runs on the bubble's
// time: nothing to inject, and a minute takes no time.
func TestInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := registry.MustNew(registry.Config{TTL: 10 * time.Second})
		lease, err := reg.Register(t.Context(), registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := lease.KeepAlive(ctx); !errors.Is(err, context.DeadlineExceeded) || lease.Err() != nil {
			t.Errorf("after a minute: %v, %v; want a lease that lives", err, lease.Err())
		}
		time.Sleep(10 * time.Second)
		if n := reg.Service("orders").Snapshot().Len(); n != 0 {
			t.Errorf("%d instances after the TTL, want none", n)
		}
		if err := reg.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
