package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/examples/checkout/page"
)

// shownRuns is how many runs the page shows.
const shownRuns = 12

// view is what the board has gathered, without what has to be asked for.
func (b *board) view() page.View {
	b.mu.Lock()
	defer b.mu.Unlock()
	v := page.View{
		Elapsed: b.elapsed(time.Now()),
		Orders:  b.counts,
		Log:     slices.Clone(b.log),
	}
	v.Orders.Running = max(0, b.counts.Placed-len(b.ends))
	for _, p := range b.runs {
		v.Runs = append(v.Runs, page.Run{
			ID: p.id, Order: p.order, Status: p.status, Age: time.Since(p.since), Steps: slices.Clone(p.steps),
		})
	}
	rank := func(r page.Run) int {
		if r.Status == "stuck" {
			return 0
		}
		return 1
	}
	slices.SortFunc(v.Runs, func(a, b page.Run) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), -cmp.Compare(a.Age, b.Age), cmp.Compare(a.ID, b.ID))
	})
	v.Runs = v.Runs[:min(len(v.Runs), shownRuns)]
	return v
}

// tellProgress says how far all is.
func (b *board) tellProgress() {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.counts
	b.say(b.elapsed(time.Now()), fmt.Sprintf("so far: %d placed, %d on their way, %d completed, %d compensated",
		c.Placed, c.Placed-len(b.ends), c.Completed, c.Compensated))
}

// timeline is what the breaker of an instance was. One that nobody calls tells nothing
// when its open time is over, but it is half-open then.
func (b *board) timeline(id string) []page.Span {
	b.mu.Lock()
	defer b.mu.Unlock()
	spans := append([]page.Span{{State: breaker.Closed.String()}}, b.moves[id]...)
	over := b.ajar[id]
	if spans[len(spans)-1].State == breaker.Open.String() && over < b.elapsed(time.Now()) {
		spans = append(spans, page.Span{State: breaker.HalfOpen.String(), From: over})
	}
	return spans
}

// View is what the page shows.
func (s *shop) View() page.View {
	v := s.board.view()
	v.Note = s.note()
	for _, name := range s.names() {
		v.Services = append(v.Services, page.Service{Name: name, Instances: s.instances(name)})
	}
	seen := make(map[string]bool)
	for t := range s.topics.bus.Topics() {
		v.Topics = append(v.Topics, page.Topic{Name: t.Name, Published: uint64(t.Seq)})
		for _, q := range t.Subscriptions { // those of patterns are in the list of every topic
			if key := q.Name + " " + q.Topic; !seen[key] {
				seen[key] = true
				v.Queues = append(v.Queues, queue(q))
			}
		}
	}
	slices.SortFunc(v.Topics, func(a, b page.Topic) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(v.Queues, func(a, b page.Queue) int { return cmp.Compare(a.Name, b.Name) })
	return v
}

func queue(q eventbus.SubscriptionStats) page.Queue {
	return page.Queue{
		Name: q.Name, Topic: q.Topic, Waiting: q.Depth, Capacity: max(0, q.Capacity),
		Handled: q.Handled, Dropped: q.Lagged, Failed: q.Failed,
	}
}

// instances are those of a service, with what the registry and the breakers know.
func (s *shop) instances(name string) []page.Instance {
	snapshot := s.reg.Service(name).Snapshot()
	var all []page.Instance
	for _, server := range s.servers {
		if server.service != name {
			continue
		}
		i := page.Instance{
			ID: server.id, Addr: server.where(), Health: "gone", Fault: page.Fault(server.suffers()),
			Breaker: s.breakers.Get(server.where()).State().String(), Share: s.traffic.share(server.id),
			Timeline: s.board.timeline(server.id), Faults: []page.Fault{page.Kill, page.Slow, page.Storm, page.Heal},
		}
		if name == office {
			i.Faults = []page.Fault{page.Kill, page.Heal}
		}
		if e, ok := snapshot.Get(server.id); ok {
			i.Health, i.InFlight, i.Calls = e.Health().String(), e.InFlight(), e.Picks()
		}
		all = append(all, i)
	}
	return all
}
