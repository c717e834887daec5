package balance_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// An endpoint that fails three times in a row is left alone for ten seconds, and
// then gets another chance. Nobody else sees anything of it.
func ExampleOutlier() {
	mock := clock.NewMock() // nil in a program: system time
	reg := registry.MustNew(registry.Config{Clock: mock})
	join(reg, "a:80", "b:80")
	lb := balance.MustNew(reg.Service("prices"), balance.Config{
		Policy:  balance.RoundRobin{},
		Outlier: &balance.Outlier{Consecutive: 3, Base: 10 * time.Second},
	})
	traffic := func() {
		asked := make(map[string]int)
		for range 10 {
			pick, err := lb.Pick(context.Background())
			if err != nil {
				fmt.Println(err)
				return
			}
			asked[pick.Endpoint().Addr()]++
			if pick.Endpoint().Addr() == "a:80" {
				pick.Done(errRefused)
			} else {
				pick.Done(nil)
			}
		}
		fmt.Println(asked, "ejected:", lb.Stats().Ejected)
	}
	traffic()
	traffic()
	mock.Add(10 * time.Second)
	traffic()
	// Output:
	// map[a:80:3 b:80:7] ejected: 1
	// map[b:80:10] ejected: 1
	// map[a:80:3 b:80:7] ejected: 1
}

// Ejections as log lines.
func ExampleEjection() {
	mock := clock.NewMock() // nil in a program: system time
	reg := registry.MustNew(registry.Config{Clock: mock})
	join(reg, "a:80")
	lb := balance.MustNew(reg.Service("prices"), balance.Config{
		Outlier: &balance.Outlier{Consecutive: 1, AlwaysOne: true}, // of one instance, none otherwise
		Hooks: balance.Hooks{Ejection: func(e balance.Ejection) {
			if e.Active {
				fmt.Println(e.Endpoint.Addr(), "is ejected for", e.For, "by", e.Rule)
			} else {
				fmt.Println(e.Endpoint.Addr(), "gets another chance")
			}
		}},
		PanicThreshold: -1,
	})
	pick, err := lb.Pick(context.Background())
	fmt.Println(err)
	pick.Done(errRefused)
	_, err = lb.Pick(context.Background())
	fmt.Println(err)
	mock.Add(30 * time.Second)
	pick, err = lb.Pick(context.Background()) // an ejection ends when somebody looks
	fmt.Println(err)
	pick.Done(nil)
	// Output:
	// <nil>
	// a:80 is ejected for 30s by consecutive failures
	// balance: pick "prices": no instance available
	// a:80 gets another chance
	// <nil>
}

// When few are left, they would not stand all the calls, so these go to all
// instances again.
func ExamplePanicMode() {
	ctx := context.Background()
	reg := prices("a:80", "b:80", "c:80")
	lb := balance.MustNew(reg.Service("prices"), balance.Config{
		Policy: balance.RoundRobin{},
		Hooks: balance.Hooks{PanicMode: func(p balance.PanicMode) {
			fmt.Println(p.Service, "panic mode:", p.Active, "with", p.Usable, "of", p.Total)
		}},
	})
	for _, addr := range []string{"a:80", "b:80"} {
		if err := reg.SetHealth(ctx, "prices", addr, registry.Critical, "disk is full"); err != nil {
			fmt.Println(err)
		}
	}
	next(lb, 3)
	fmt.Println(reg.SetHealth(ctx, "prices", "a:80", 0, ""))
	next(lb, 4)
	// Output:
	// prices panic mode: true with 1 of 3
	// a:80 b:80 c:80
	// <nil>
	// prices panic mode: false with 2 of 3
	// c:80 a:80 c:80 a:80
}

// A bug in a Filter refuses the endpoint and is told.
func ExampleHooks() {
	var nothing map[string]*int
	lb := balance.MustNew(prices("a:80").Service("prices"), balance.Config{
		Filter: func(e *registry.Endpoint) bool { return *nothing[e.ID()] > 0 },
		Hooks: balance.Hooks{
			Fault:     func(p *registry.PanicError) { fmt.Println("bug:", p.Value) },
			Ejection:  func(e balance.Ejection) { fmt.Println(e.Endpoint.ID(), e.Active, e.Rule) },
			PanicMode: func(p balance.PanicMode) { fmt.Println(p.Service, p.Active) },
		},
	})
	_, err := lb.Pick(context.Background())
	fmt.Println(err)
	// Output:
	// bug: runtime error: invalid memory address or nil pointer dereference
	// balance: pick "prices": no instance available
}

// A newcomer gets a tenth of its share at first, and all of it after SlowStart.
func ExampleConfig_slowStart() {
	mock := clock.NewMock() // nil in a program: system time
	reg := registry.MustNew(registry.Config{Clock: mock})
	join(reg, "a:80")
	mock.Add(time.Hour)
	join(reg, "new:80")
	var drawn atomic.Uint64
	lb := balance.MustNew(reg.Service("prices"), balance.Config{
		Policy:    balance.RoundRobin{},
		SlowStart: 30 * time.Second,
		Rand:      func() uint64 { return drawn.Add(0x9e3779b97f4a7c15) }, // evenly spread; nil in a program
	})
	for range 4 {
		calls := 0
		for range 1000 {
			if e, err := lb.Next(balance.Query{}); err == nil && e.Addr() == "new:80" {
				calls++
			}
		}
		fmt.Printf("after %v: %.0f%%\n", mock.Since(time.Unix(3600, 0)), float64(calls)/10)
		mock.Add(10 * time.Second)
	}
	// Output:
	// after 0s: 5%
	// after 10s: 17%
	// after 20s: 33%
	// after 30s: 50%
}
