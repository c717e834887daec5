package eventbusbench

import (
	"context"

	"github.com/samber/ro"
)

// roSubject has an observer for each handler, called on the publisher's
// goroutine with its context.
func roSubject(data *[distinct]int64, handlers []handler[int64]) (feed, func()) {
	s := ro.NewPublishSubject[int64]()
	for _, fn := range handlers {
		s.Subscribe(ro.OnNextWithContext(func(ctx context.Context, v int64) { must(fn(ctx, v)) }))
	}
	publish := func(n int) (failed int) {
		next := 0
		for range n {
			s.NextWithContext(background, data[next])
			if next++; next == distinct {
				next = 0
			}
		}
		return 0
	}
	return publish, s.Complete
}
