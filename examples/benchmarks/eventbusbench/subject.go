package eventbusbench

import (
	"fmt"
	"time"

	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

// Subject is what package eventbus is measured at, and the bars.
func Subject() bench.Subject {
	return bench.Subject{
		Name:     "eventbus",
		Settings: settings,
		Groups: []bench.Group{
			smalls(), larges(), ownContexts(), publishers(), buses(), queues(), batches(), syncs(), latencies(), requests(), subscribing(),
		},
		Memory: memoryRows,
	}
}

var settings = []bench.Setting{
	{
		Library: "mainstay",
		Text: "the zero Config and TopicConfig: 1024 events may wait for a subscription, then publishers wait. " +
			"Handlers get the data and a context. Sync and Untimed where the row says so.",
	},
	{
		Library: "Go channel",
		Text: "a channel of capacity 1024, or 1, and a goroutine for each subscription; the publisher sends to one after the other. " +
			"It does less: nobody can subscribe or cancel meanwhile, no publisher can give up, a panic of a handler ends the program, and several publishers have no common order.",
	},
	{
		Library: "watermill", Module: "github.com/ThreeDotsLabs/watermill",
		Text: "gochannel with an OutputChannelBuffer of 1024. Payloads are bytes, 8 of them; messages have no UUID, which is cheaper than the NewUUID of its guide. " +
			"It does more in that handlers acknowledge, and less in that it keeps no order and never slows a publisher.",
	},
	{
		Library: "tailscale", Module: "tailscale.com",
		Text: "util/eventbus: a Client for each subscription, read in the loop of its documentation, which costs less than SubscribeFunc. " +
			"Events have no context, and the queue of a subscription has no limit. It is left out beside 10,000 subscriptions, which it takes a second to set up and to close.",
	},
	{
		Library: "asaskevich", Module: "github.com/asaskevich/EventBus",
		Text: "SubscribeAsync with transactional, which calls a handler for one event at a time and in order as ours does; without it, it takes about as long. Or Subscribe. " +
			"Functions have one argument and no context. It is left out where subscriptions are cancelled: Unsubscribe tells closures apart by their code and removes a wrong one.",
	},
	{
		Library: "cskr", Module: "github.com/cskr/pubsub/v2",
		Text: "New(1024), and a goroutine that reads the channel for each subscription. Events have no context; one goroutine serves all topics, and one full channel stops it.",
	},
	{
		Library: "ro", Module: "github.com/samber/ro",
		Text: "NewPublishSubject and OnNextWithContext. Handlers run on the publisher's goroutine under a lock, in no order, and have no errors.",
	},
	{
		Library: "all",
		Text: "a handler counts its events and adds up their values, without a lock or an atomic. An operation is over when the last handler has run, " +
			"and what is told is the time of one handler call: all the time divided by events and subscriptions. Logs are off.",
	},
}

const (
	whyContexts = "A channel hands over the data alone. Each of our handlers gets a context of its own with the values of the publisher's, which has to be made when that changes."
	whyLarge    = "Ours copies data three times, into the ring, out of it and to the handler; a channel whose reader waits copies once less. Large data is published as a pointer."
	whyTimed    = "A Queue hands out whole events: the clock is read for each, and their envelope is copied. A channel hands over the data alone."
	whyLatency  = "A reader that is woken takes the lock of the topic to get at its event, all readers of a topic the same one. Each channel has its own, and its sender hands the value over."
	whyBeside   = "The end of a subscription wakes all that wait on the topic, so that each looks whether it is meant."
	whySync     = "Adding to the list of a Sync topic, or taking from it, copies it, so that Publish reads it without a lock."
)

// sizes are how many subscriptions there are, with bars for each.
var sizes = []int{1, 10, 100, 1000}

func subscriptions(n int) string {
	if n == 1 {
		return "1 subscription"
	}
	return fmt.Sprintf("%d subscriptions", n)
}

// channel1024 and channel1 are the channels of most rows.
func channel1024(n int) bench.Case {
	return delivery("Go channel of 1024", n, small, channels[int64](capacity))
}

func channel1(n int) bench.Case { return delivery("Go channel of 1", n, small, channels[int64](1)) }

func smalls() bench.Group {
	g := bench.Group{Name: "Queued, 8 bytes, all with one context"}
	for i, atMost := range []float64{0.5, 0.2, 0.2, 0.25} {
		n := sizes[i]
		g.Rows = append(g.Rows, bench.Row{
			Name: "Publish 8 bytes, " + subscriptions(n),
			Ours: delivery("mainstay Publish", n, small, oursQueued[int64]),
			Others: []bench.Other{
				{Case: channel1024(n), AtMost: atMost},
				{Case: channel1(n)},
			},
		})
	}
	return g
}

func larges() bench.Group {
	g := bench.Group{Name: "Queued, 128 bytes, all with one context"}
	for i, atMost := range []float64{1.2, 0.6, 0.6, 0.6} {
		n := sizes[i]
		g.Rows = append(g.Rows, bench.Row{
			Name: "Publish 128 bytes, " + subscriptions(n),
			Note: "An array, copied at every step. What is larger, and what many look at, is better published as a pointer.",
			Ours: delivery("mainstay Publish", n, large, oursQueued[block]),
			Others: []bench.Other{
				{Case: delivery("Go channel of 1024", n, large, channels[block](capacity)), AtMost: atMost, Why: whyLarge},
			},
		})
	}
	return g
}

func ownContexts() bench.Group {
	g := bench.Group{Name: "Queued, each event with another context"}
	for i, atMost := range []float64{2.5, 1, 1, 1} {
		n := sizes[i]
		g.Rows = append(g.Rows, bench.Row{
			Name:   "Publish with a context of its own, " + subscriptions(n),
			Note:   "8 bytes. The contexts are made beforehand. The channel with contexts hands the publisher's over as it is, which is cancelled when the publisher's request ends.",
			Ours:   delivery("mainstay Publish", n, small, oursContexts[int64]),
			Allocs: 1,
			Others: []bench.Other{
				{Case: channel1024(n), AtMost: atMost, Why: whyContexts},
				{Case: delivery("Go channel of 1024, with contexts", n, small, channelsOfContexts[int64]), Why: whyContexts},
			},
		})
	}
	return g
}

func publishers() bench.Group {
	const many = 8
	g := bench.Group{Name: "Queued, several publishers"}
	for i, atMost := range []float64{0.6, 0.2} {
		n := sizes[i]
		g.Rows = append(g.Rows, bench.Row{
			Name: fmt.Sprintf("Publish, publishers: %d, %s", many, subscriptions(n)),
			Note: "8 bytes. All our subscriptions see one order of all events; every channel has its own.",
			Ours: contended("mainstay Publish", many, n, small, oursQueued[int64]),
			Others: []bench.Other{
				{Case: contended("Go channel of 1024", many, n, small, channels[int64](capacity)), AtMost: atMost},
				{Case: contended("Go channel of 1", many, n, small, channels[int64](1))},
			},
		})
	}
	return g
}

func buses() bench.Group {
	g := bench.Group{Name: "Queued, other buses"}
	for _, n := range sizes[:3] {
		g.Rows = append(g.Rows, bench.Row{
			Name: "Publish to other buses, " + subscriptions(n),
			Note: "8 bytes, one publisher.",
			Ours: delivery("mainstay Publish", n, small, oursQueued[int64]),
			Others: []bench.Other{
				{Case: delivery("watermill Publish", n, small, watermill), AtMost: 0.01},
				{Case: delivery("tailscale Publish", n, small, tailscale), AtMost: 0.02},
				{Case: delivery("asaskevich Publish, async", n, small, asaskevichAsync), AtMost: 0.02},
				{Case: delivery("cskr Pub", n, small, cskr), AtMost: 0.2},
			},
		})
	}
	return g
}

func queues() bench.Group {
	g := bench.Group{Name: "Queues, read in a loop"}
	add := func(name string, cfg eventbus.TopicConfig, atMost []float64, note, why string) {
		for i, most := range atMost {
			n := sizes[i]
			g.Rows = append(g.Rows, bench.Row{
				Name:   fmt.Sprintf("Queue.Events, %s, %s", name, subscriptions(n)),
				Note:   note,
				Ours:   delivery("mainstay Queue.Events", n, small, oursRead[int64](cfg)),
				Others: []bench.Other{{Case: channel1024(n), AtMost: most, Why: why}},
			})
		}
	}
	add("untimed", eventbus.TopicConfig{Untimed: true}, []float64{0.7, 0.35, 0.35}, "", "")
	add("timed", eventbus.TopicConfig{}, []float64{1.5, 0.5, 0.5}, "Each event knows when it was published.", whyTimed)
	return g
}

func batches() bench.Group {
	g := bench.Group{Name: "Batches"}
	for i, atMost := range []float64{0.8, 1.1, 1.1, 1.1} {
		n := sizes[i]
		note := fmt.Sprintf("%d events of 8 bytes; what is told is the time of one handler call.", batchSize)
		if n > 1 {
			note += " A batch must not be slower; the bar leaves 10 % for noise, because with many subscriptions nearly all the time is that of handlers."
		}
		g.Rows = append(g.Rows, bench.Row{
			Name: fmt.Sprintf("PublishBatch of %d, %s", batchSize, subscriptions(n)),
			Note: note,
			Ours: deliveries("mainstay PublishBatch", n, batchSize, small, oursBatches[int64]),
			Others: []bench.Other{
				{Case: deliveries(fmt.Sprintf("mainstay Publish, %d times", batchSize), n, batchSize, small, oursQueued[int64]), AtMost: atMost, Floor: true},
				{Case: deliveries("Go channel of 1024", n, batchSize, small, channels[int64](capacity))},
			},
		})
	}
	return g
}

func syncs() bench.Group {
	g := bench.Group{Name: "Sync topics"}
	for i, atMost := range []float64{3, 1.5, 1.5, 1.5} {
		n := sizes[i]
		g.Rows = append(g.Rows, bench.Row{
			Name: fmt.Sprintf("Publish, Sync, handlers: %d", n),
			Note: "8 bytes. What is told is the time of one handler call. Of ours a handler that panics becomes an error, and the next one runs.",
			Ours: delivery("mainstay Publish, Sync", n, small, oursSync[int64]),
			Others: []bench.Other{
				{Case: delivery("a loop over functions", n, small, functionLoop), AtMost: atMost, Floor: true},
				{Case: delivery("ro Next", n, small, roSubject), AtMost: 0.5},
				{Case: delivery("asaskevich Publish", n, small, asaskevichSync), AtMost: 0.1},
			},
		})
	}
	return g
}

func latencies() bench.Group {
	g := bench.Group{Name: "One event on an idle bus"}
	for _, row := range []struct {
		n      int
		atMost float64
	}{{1, 2}, {100, 3.5}} {
		n := row.n
		g.Rows = append(g.Rows, bench.Row{
			Name: "Publish to the last handler, " + subscriptions(n),
			Note: fmt.Sprintf("8 bytes, with a pause of %v before each, so that all are asleep. Ratios and bars are those of the 90th percentile.", pause),
			Ours: latency("mainstay Publish", n, small, oursQueued[int64]),
			Others: []bench.Other{
				{Case: latency("Go channel of 1024", n, small, channels[int64](capacity)), AtMost: row.atMost, Why: whyLatency},
				{Case: latency("Go channel of 1", n, small, channels[int64](1)), Why: whyLatency},
				{Case: latency("watermill Publish", n, small, watermill)},
				{Case: latency("tailscale Publish", n, small, tailscale)},
				{Case: latency("asaskevich Publish, async", n, small, asaskevichAsync)},
				{Case: latency("cskr Pub", n, small, cskr), Why: whyLatency},
			},
		})
	}
	return g
}

func requests() bench.Group {
	return bench.Group{Name: "Requests", Rows: []bench.Row{{
		Name: "Request",
		Note: "The responder answers at once, on the goroutine that asks. Ours finds it by the type of the question, counts the request, and turns a panic into an error.",
		Ours: oursRequest(),
		Others: []bench.Other{
			{Case: directCall(), AtMost: 10, Floor: true},
			{Case: channelRequest()},
		},
	}}}
}

// subscribing has no bar for allocations but that there are not many: what is
// made lives on, elsewhere.
func subscribing() bench.Group {
	const many, few = 10_000, 10
	const allocs = 32
	return bench.Group{Name: "Subscribe + Cancel", Rows: []bench.Row{
		{
			Name:   "Subscribe + Cancel, Sync, beside 10,000",
			Note:   "Each is over before the next begins.",
			Ours:   changes("mainstay Subscribe + Cancel, Sync", many, oursChanges(eventbus.TopicConfig{Sync: true})),
			Limit:  100 * time.Microsecond,
			Allocs: allocs,
			Others: []bench.Other{
				{Case: changes("a list of 10,000 copied twice", many, copiedList), Floor: true},
				{Case: changes("ro Subscribe + Unsubscribe", many, roChanges), Why: whySync},
			},
		},
		{
			Name:   "Subscribe + Cancel, queued, beside 10,000",
			Note:   "Each is over, its goroutine included, before the next begins. How many others there are must not matter.",
			Ours:   changes("mainstay Subscribe + Cancel", many, oursChanges(eventbus.TopicConfig{})),
			Allocs: allocs,
			Others: []bench.Other{
				{Case: changes("mainstay Subscribe + Cancel, beside 10", few, oursChanges(eventbus.TopicConfig{})), AtMost: 2, Floor: true},
				{Case: changes("watermill Subscribe + cancel", many, watermillChanges), Why: whyBeside},
				{Case: changes("cskr Sub + Unsub", many, cskrChanges), Why: whyBeside},
			},
		},
	}}
}
