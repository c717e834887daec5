package eventbusbench

import (
	"context"

	"github.com/samber/ro"
)

// roSubject has an observer for each handler, called on the publisher's
// goroutine with its context.
func roSubject(data *[distinct]int64, handlers []handler[int64]) (feed, func()) {
	_, publish, closing := roBus(data, handlers)
	return publish, closing
}

func roBus(data *[distinct]int64, handlers []handler[int64]) (ro.Subject[int64], feed, func()) {
	s := ro.NewPublishSubject[int64]()
	for _, fn := range handlers {
		s.Subscribe(roObserver(fn))
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
	return s, publish, s.Complete
}

func roObserver(fn handler[int64]) ro.Observer[int64] {
	return ro.OnNextWithContext(func(ctx context.Context, v int64) { must(fn(ctx, v)) })
}

func roChanges(data *[distinct]int64, handlers []handler[int64]) membership {
	s, publish, closing := roBus(data, handlers)
	return membership{publish, func(fn handler[int64]) error {
		s.Subscribe(roObserver(fn)).Unsubscribe()
		return nil
	}, closing}
}
