package eventbustest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mainstay-go/mainstay/eventbus"
)

const (
	// patience bounds every wait of this package. A default Retry of nine
	// attempts takes less.
	patience = 30 * time.Second

	// mostRounds bounds what patience does not: in a bubble no time passes while
	// handlers answer each other for ever.
	mostRounds = 1 << 17
)

// bounded is the context of every wait. It does not end with the test, because
// cleanups wait too.
func bounded() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// NewBus returns a bus that is closed when the test, with its subtests, is
// complete. The test fails if cfg is invalid, if a publisher waits for
// Config.StallAfter, which calls the Stalled hook of cfg as well, and if the bus
// cannot be drained within 30 seconds, or could not when the test closed it
// itself.
func NewBus(tb testing.TB, cfg eventbus.Config) *eventbus.Bus {
	tb.Helper()
	stalled := cfg.Hooks.Stalled
	cfg.Hooks.Stalled = func(s eventbus.Stall) {
		tb.Errorf("eventbustest: %d publishers of topic %q wait for room, the first for %v%s",
			s.Waiting, s.Topic, s.For, listed(s.Subscriptions))
		if stalled != nil {
			stalled(s)
		}
	}
	b, err := eventbus.New(cfg)
	if err != nil {
		tb.Fatalf("eventbustest: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := bounded()
		defer cancel()
		if err := b.Close(ctx); err != nil {
			tb.Errorf("eventbustest: at the end of the test: %v", err)
		}
	})
	return b
}

// Settle waits until the bus has come to rest: every event is handled or given
// up by every subscription, retries included, and so are those that handlers
// published meanwhile, and those that they led to. If that takes more than 30
// seconds, or 131,072 rounds of events that lead to others, the test ends with a
// failure that names the subscriptions that are busy.
//
// What Settle cannot see it does not wait for: goroutines that will publish
// later, calls of Sync handlers on other goroutines, events on their way over a
// bridge. It does wait for the readers of a Queue, and for a Config.Clock that
// somebody has to move. Call it on the goroutine of the test, not in a handler.
func Settle(tb testing.TB, b *eventbus.Bus) {
	tb.Helper()
	ctx, cancel := bounded()
	defer cancel()
	before := slices.Collect(b.Topics())
	for range mostRounds {
		err := b.Flush(ctx)
		after := slices.Collect(b.Topics())
		if err != nil {
			tb.Fatalf("eventbustest: the bus does not settle: %v%s", err, listed(busy(after)))
		}
		// What is queued or runs now either came since, and has left its mark, or
		// Flush has waited for it.
		if reflect.DeepEqual(before, after) {
			return
		}
		before = after
	}
	tb.Fatalf("eventbustest: the bus does not settle: after %d rounds events still lead to others%s", mostRounds, listed(busy(before)))
}

// busy are the subscriptions that have something to do, those of patterns once.
func busy(topics []eventbus.TopicStats) (subs []eventbus.SubscriptionStats) {
	for _, t := range topics {
		for _, s := range t.Subscriptions {
			if s.Depth+s.Running > 0 && !slices.Contains(subs, s) {
				subs = append(subs, s)
			}
		}
	}
	return subs
}

// listed are subscriptions below a message.
func listed(subs []eventbus.SubscriptionStats) string {
	var b strings.Builder
	for _, s := range subs {
		fmt.Fprintf(&b, "\n\tsubscription %q of %q: %d waiting, %d being handled, capacity %d, %v",
			s.Name, s.Topic, s.Depth, s.Running, s.Capacity, s.OnFull)
	}
	return b.String()
}
