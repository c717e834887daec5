package eventbusbench

import (
	"context"
	"encoding/binary"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
)

// watermill has a goroutine for each subscription that acknowledges its
// messages. They have no UUID, which is less work than its guide has them do.
func watermill(data *[distinct]int64, handlers []handler[int64]) (feed, func()) {
	_, publish, closing := watermillBus(data, handlers)
	return publish, closing
}

func watermillBus(data *[distinct]int64, handlers []handler[int64]) (*gochannel.GoChannel, feed, func()) {
	ps := gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: capacity}, nil)
	var readers sync.WaitGroup
	for _, fn := range handlers {
		messages := got(ps.Subscribe(background, "x"))
		readers.Go(func() {
			for msg := range messages {
				must(fn(msg.Context(), int64(binary.LittleEndian.Uint64(msg.Payload))))
				msg.Ack()
			}
		})
	}
	publish := func(n int) (failed int) {
		next := 0
		for range n {
			payload := binary.LittleEndian.AppendUint64(nil, uint64(data[next]))
			if err := ps.Publish("x", message.NewMessage("", payload)); err != nil {
				failed++
			}
			if next++; next == distinct {
				next = 0
			}
		}
		return failed
	}
	return ps, publish, func() {
		must(ps.Close())
		readers.Wait()
	}
}

// watermillChanges waits for the end of a subscription, as ours do.
func watermillChanges(data *[distinct]int64, handlers []handler[int64]) membership {
	ps, publish, closing := watermillBus(data, handlers)
	return membership{publish, func(fn handler[int64]) error {
		ctx, cancel := context.WithCancel(background)
		messages, err := ps.Subscribe(ctx, "x")
		cancel()
		if err != nil {
			return err
		}
		for range messages {
			must(fn(ctx, 0))
		}
		return nil
	}, closing}
}
