package eventbus_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// A link is one end of a bridge between two buses of this process: what is
// forwarded at one end is delivered at the other before Forward returns.
type link struct {
	other *link

	mu       sync.Mutex
	deliver  []func(context.Context, eventbus.Encoded) error
	sent     []eventbus.Encoded
	failures []error // of the next calls of Forward
	closes   int
	patterns []string // that were received
	ends     []error  // that the next calls of Receive return at once
}

// links are the two ends.
func links() (x, y *link) {
	x, y = new(link), new(link)
	x.other, y.other = y, x
	return x, y
}

func (l *link) Forward(ctx context.Context, e eventbus.Encoded) error {
	l.mu.Lock()
	if len(l.failures) > 0 {
		err := l.failures[0]
		l.failures = l.failures[1:]
		l.mu.Unlock()
		return err
	}
	l.sent = append(l.sent, e)
	l.mu.Unlock()
	return l.other.arrive(ctx, e)
}

// arrive has the bus at this end get an event.
func (l *link) arrive(ctx context.Context, e eventbus.Encoded) error {
	l.mu.Lock()
	all := l.deliver
	l.mu.Unlock()
	for _, deliver := range all {
		if err := deliver(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func (l *link) Receive(ctx context.Context, pattern string, deliver func(context.Context, eventbus.Encoded) error) error {
	l.mu.Lock()
	l.patterns = append(l.patterns, pattern)
	if len(l.ends) > 0 {
		err := l.ends[0]
		l.ends = l.ends[1:]
		l.mu.Unlock()
		return err
	}
	l.deliver = append(l.deliver, deliver)
	l.mu.Unlock()
	<-ctx.Done()
	l.mu.Lock()
	l.deliver = nil
	l.mu.Unlock()
	return context.Cause(ctx)
}

func (l *link) Close(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closes++
	return nil
}

// both is everything, both ways.
var both = eventbus.BridgeConfig{Export: []string{">"}, Import: []string{">"}}

func attach(tb testing.TB, b *eventbus.Bus, br eventbus.Bridge, cfg eventbus.BridgeConfig) *eventbus.Subscription {
	tb.Helper()
	s, err := b.Attach(bg, br, cfg)
	require.NoError(tb, err)
	return s
}
