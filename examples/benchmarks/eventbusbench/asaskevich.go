package eventbusbench

import (
	asaskevich "github.com/asaskevich/EventBus"
)

// asaskevichAsync is transactional: a handler is called for one event at a time,
// as ours are, by a goroutine for each call.
func asaskevichAsync(data *[distinct]int64, handlers []handler[int64]) (feed, func()) {
	return asaskevichWith(data, handlers, func(b asaskevich.Bus, fn any) error {
		return b.SubscribeAsync("x", fn, true)
	})
}

func asaskevichSync(data *[distinct]int64, handlers []handler[int64]) (feed, func()) {
	return asaskevichWith(data, handlers, func(b asaskevich.Bus, fn any) error {
		return b.Subscribe("x", fn)
	})
}

// asaskevichWith has functions without a context: each argument costs.
func asaskevichWith(data *[distinct]int64, handlers []handler[int64], subscribe func(b asaskevich.Bus, fn any) error) (publish feed, closing func()) {
	b := asaskevich.New()
	for _, fn := range handlers {
		must(subscribe(b, func(v int64) { must(fn(background, v)) }))
	}
	publish = func(n int) (failed int) {
		next := 0
		for range n {
			b.Publish("x", data[next])
			if next++; next == distinct {
				next = 0
			}
		}
		return 0
	}
	return publish, b.WaitAsync
}
