package eventbusbench

import (
	"context"
	"errors"
	"fmt"

	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

// A membership is a bus whose subscriptions change.
type membership struct {
	publish feed
	change  func(fn handler[int64]) error // subscribes and cancels
	closing func()
}

// changes is a case whose operation is to subscribe and to cancel, beside many
// other subscriptions of the same topic. In the end an event has to reach all of
// these and nobody else.
func changes(name string, others int, set func(data *[distinct]int64, handlers []handler[int64]) membership) bench.Case {
	return bench.Case{Name: name, New: func() bench.Run {
		c := newCrowd(others)
		m := set(&small.data, handlers(c, small))
		var gone error
		fn := func(_ context.Context, v int64) error {
			gone = fmt.Errorf("%d was handled by a subscription that had been cancelled", v)
			return gone
		}
		return bench.Run{
			Loop: func(n int) (passed, failed int) {
				for range n {
					if err := m.change(fn); err != nil {
						failed++
					} else {
						passed++
					}
				}
				return passed, failed
			},
			Check: func(int) error {
				c.expect(1)
				m.publish(1)
				return errors.Join(want(c.wait(), "an event did not reach all"), c.check(1), gone)
			},
			Close: func() {
				m.closing()
				c.lost.Stop()
			},
		}
	}}
}

func oursChanges(cfg eventbus.TopicConfig) func(*[distinct]int64, []handler[int64]) membership {
	return func(data *[distinct]int64, handlers []handler[int64]) membership {
		b, t := ours(cfg, handlers)
		return membership{publishing(t, data), func(fn handler[int64]) error {
			s, err := t.Subscribe(background, fn)
			if err != nil {
				return err
			}
			s.Cancel()
			<-s.Done()
			return s.Err()
		}, closes(b)}
	}
}
