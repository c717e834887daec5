package eventbusbench

import (
	asaskevich "github.com/asaskevich/EventBus"
)

// asaskevichAsync is transactional: a handler is called for one event at a time,
// as ours are, by a goroutine for each call.
func asaskevichAsync(data *[distinct]int64, handlers []handler[int64]) (feed, func()) {
	b := asaskevich.New()
	for _, fn := range handlers {
		must(b.SubscribeAsync("x", asaskevichFunc(fn), true))
	}
	return asaskevichFeed(b, data), b.WaitAsync
}

func asaskevichSync(data *[distinct]int64, handlers []handler[int64]) (feed, func()) {
	b := asaskevich.New()
	for _, fn := range handlers {
		must(b.Subscribe("x", asaskevichFunc(fn)))
	}
	return asaskevichFeed(b, data), b.WaitAsync
}

// asaskevichFunc gets no context: each argument costs.
func asaskevichFunc(fn handler[int64]) func(int64) {
	return func(v int64) { must(fn(background, v)) }
}

func asaskevichFeed(b asaskevich.Bus, data *[distinct]int64) feed {
	return func(n int) (failed int) {
		next := 0
		for range n {
			b.Publish("x", data[next])
			if next++; next == distinct {
				next = 0
			}
		}
		return 0
	}
}
