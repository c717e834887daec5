package eventbusbench

import (
	"sync"

	"github.com/cskr/pubsub/v2"
)

// cskr has a goroutine for each subscription.
func cskr(data *[distinct]int64, handlers []handler[int64]) (feed, func()) {
	_, publish, closing := cskrBus(data, handlers)
	return publish, closing
}

func cskrBus(data *[distinct]int64, handlers []handler[int64]) (*pubsub.PubSub[string, int64], feed, func()) {
	ps := pubsub.New[string, int64](capacity)
	var readers sync.WaitGroup
	for _, fn := range handlers {
		ch := ps.Sub("x")
		readers.Go(func() {
			for v := range ch {
				must(fn(background, v))
			}
		})
	}
	publish := func(n int) (failed int) {
		next := 0
		for range n {
			ps.Pub(data[next], "x")
			if next++; next == distinct {
				next = 0
			}
		}
		return 0
	}
	return ps, publish, func() {
		ps.Shutdown()
		readers.Wait()
	}
}

// cskrChanges reads the channel of a subscription to its end.
func cskrChanges(data *[distinct]int64, handlers []handler[int64]) membership {
	ps, publish, closing := cskrBus(data, handlers)
	return membership{publish, func(fn handler[int64]) error {
		ch := ps.Sub("x")
		ps.Unsub(ch, "x")
		for v := range ch {
			must(fn(background, v))
		}
		return nil
	}, closing}
}
