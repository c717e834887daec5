package eventbusbench

import (
	"context"
	"sync"
)

// channels are one channel and one goroutine for each subscription, as people
// write it by hand. There is no way to subscribe, to cancel or to give up
// waiting while it is used, and with several publishers no order that all
// subscriptions share.
func channels[T any](capacity int) maker[T] {
	return func(data *[distinct]T, handlers []handler[T]) (feed, func()) {
		return sending(capacity, data, len(handlers), func(i int, ch <-chan T) {
			fn := handlers[i]
			for v := range ch {
				must(fn(background, v))
			}
		})
	}
}

// withContext is what a channel has to carry if handlers are to get the context
// of the publisher.
type withContext[T any] struct {
	ctx  context.Context //nolint:containedctx // on its way to the handler
	data T
}

// channelsOfContexts are channels that carry the context of each event.
func channelsOfContexts[T any](data *[distinct]T, handlers []handler[T]) (feed, func()) {
	var pairs [distinct]withContext[T]
	for i, ctx := range contexts() {
		pairs[i] = withContext[T]{ctx, data[i]}
	}
	return sending(capacity, &pairs, len(handlers), func(i int, ch <-chan withContext[T]) {
		fn := handlers[i]
		for v := range ch {
			must(fn(v.ctx, v.data))
		}
	})
}

func sending[T any](capacity int, data *[distinct]T, n int, read func(i int, ch <-chan T)) (publish feed, closing func()) {
	var readers sync.WaitGroup
	chans := make([]chan T, n)
	for i := range chans {
		ch := make(chan T, capacity)
		chans[i] = ch
		readers.Go(func() { read(i, ch) })
	}
	publish = func(n int) (failed int) {
		next := 0
		for range n {
			for _, ch := range chans {
				ch <- data[next]
			}
			if next++; next == distinct {
				next = 0
			}
		}
		return 0
	}
	return publish, func() {
		for _, ch := range chans {
			close(ch)
		}
		readers.Wait()
	}
}
