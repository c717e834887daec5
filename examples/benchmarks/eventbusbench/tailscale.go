package eventbusbench

import (
	"sync"

	"tailscale.com/types/logger"
	tailscalebus "tailscale.com/util/eventbus"
)

// tailscale has a client and a goroutine for each subscription, which receives
// in the way its documentation shows.
func tailscale(data *[distinct]int64, handlers []handler[int64]) (feed, func()) {
	b := tailscalebus.NewWithOptions(tailscalebus.BusOptions{Logf: logger.Discard})
	var readers sync.WaitGroup
	for _, fn := range handlers {
		sub := tailscalebus.Subscribe[int64](b.Client("sub"))
		readers.Go(func() { tailscaleRead(sub, fn) })
	}
	p := tailscalebus.Publish[int64](b.Client("pub"))
	publish := func(n int) (failed int) {
		next := 0
		for range n {
			p.Publish(data[next])
			if next++; next == distinct {
				next = 0
			}
		}
		return 0
	}
	return publish, func() {
		b.Close()
		readers.Wait()
	}
}

func tailscaleRead(sub *tailscalebus.Subscriber[int64], fn handler[int64]) {
	for {
		select {
		case v := <-sub.Events():
			must(fn(background, v))
		case <-sub.Done():
			return
		}
	}
}
