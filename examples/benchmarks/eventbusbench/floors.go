package eventbusbench

// Floors are what an operation cannot do without, and yardsticks for those that
// have no rival.

// functionLoop calls the handlers one after another, and counts the events that
// one of them failed at.
func functionLoop(data *[distinct]int64, handlers []handler[int64]) (feed, func()) {
	publish := func(n int) (failed int) {
		next := 0
		for range n {
			for _, fn := range handlers {
				if err := fn(background, data[next]); err != nil {
					failed++
				}
			}
			if next++; next == distinct {
				next = 0
			}
		}
		return failed
	}
	return publish, func() {}
}
