// Package pagetest is a shop that does nothing, for tests of the page: it looks as
// it is told to, and says what the buttons did.
package pagetest

import (
	"slices"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/examples/checkout/page"
)

// An Injection is what a button did.
type Injection struct {
	Fault    page.Fault
	Instance string
}

// A Shop is a Source. It may be used by any number of goroutines.
type Shop struct {
	mu       sync.Mutex
	view     page.View
	refusal  error
	injected []Injection
	views    int
}

// New makes a shop with every state of breakers, runs and steps that there is.
func New() *Shop { return &Shop{view: everything()} }

// View is a copy of what the shop looks like.
func (s *Shop) View() page.View {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.views++
	return clone(s.view)
}

// Views is how often somebody has looked.
func (s *Shop) Views() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.views
}

// Change changes what the shop looks like.
func (s *Shop) Change(f func(*page.View)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.view)
}

// Advance lets time pass, and an order come and go for each second of it.
func (s *Shop) Advance(d time.Duration) {
	s.Change(func(v *page.View) {
		before := v.Elapsed
		v.Elapsed += d
		n := int(v.Elapsed/time.Second - before/time.Second)
		v.Orders.Placed += n
		v.Orders.Completed += n
		for i := range v.Runs {
			v.Runs[i].Age += d
		}
	})
}

// Refuse makes the buttons fail from now on; nil: no more.
func (s *Shop) Refuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal = err
}

// Inject gives an instance the fault, and opens its breaker, or closes it to heal.
func (s *Shop) Inject(fault page.Fault, to string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusal != nil {
		return s.refusal
	}
	s.injected = append(s.injected, Injection{fault, to})
	for _, service := range s.view.Services {
		for i := range service.Instances {
			if instance := &service.Instances[i]; instance.ID == to {
				harm(instance, fault, s.view.Elapsed)
			}
		}
	}
	return nil
}

func harm(i *page.Instance, fault page.Fault, now time.Duration) {
	i.Fault, i.Breaker, i.Health = fault, "open", "critical"
	if fault == page.Heal {
		i.Fault, i.Breaker, i.Health = "", "closed", "passing"
	}
	i.Timeline = append(i.Timeline, page.Span{State: i.Breaker, From: now})
}

// Injected is what the buttons did, in that order.
func (s *Shop) Injected() []Injection {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.injected)
}

func clone(v page.View) page.View {
	v.Services = slices.Clone(v.Services)
	for i := range v.Services {
		all := slices.Clone(v.Services[i].Instances)
		for j := range all {
			all[j].Timeline = slices.Clone(all[j].Timeline)
			all[j].Faults = slices.Clone(all[j].Faults)
		}
		v.Services[i].Instances = all
	}
	v.Runs = slices.Clone(v.Runs)
	for i := range v.Runs {
		v.Runs[i].Steps = slices.Clone(v.Runs[i].Steps)
	}
	v.Topics, v.Queues, v.Log = slices.Clone(v.Topics), slices.Clone(v.Queues), slices.Clone(v.Log)
	return v
}
