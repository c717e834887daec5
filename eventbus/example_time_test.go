package eventbus_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/eventbus"
)

// A clock of one's own replays a log: the events get the times that stand there.
func ExampleClock() {
	ctx := context.Background()
	mock := clock.NewMock() // has Now, Since and AfterFunc
	bus := eventbus.MustNew(eventbus.Config{Clock: mock})
	logins := eventbus.MustNewTopic[string](bus, "logins", eventbus.TopicConfig{})
	_, err := logins.SubscribeEvents(ctx, eventbus.SubscribeConfig[string]{},
		func(_ context.Context, e eventbus.Event[string]) error {
			fmt.Println(e.Time().UTC().Format(time.DateTime), e.Data)
			return nil
		})
	if err != nil {
		log.Fatal(err)
	}
	for _, entry := range []struct{ at, who string }{
		{"2026-03-01 09:00:00", "ann"},
		{"2026-03-01 09:00:50", "bob"},
	} {
		at, err := time.Parse(time.DateTime, entry.at)
		if err != nil {
			log.Fatal(err)
		}
		mock.Set(at)
		if err := logins.Publish(ctx, entry.who); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(bus.Close(ctx))
	// Output:
	// 2026-03-01 09:00:00 ann
	// 2026-03-01 09:00:50 bob
	// <nil>
}

// With a mock clock a test decides what time it is. Add does nothing for a timer
// that somebody is only about to set, so outside of a bubble move the clock where
// nobody waits: here a handler does.
func Example_mockClock() {
	ctx := context.Background()
	mock := clock.NewMock()
	bus := eventbus.MustNew(eventbus.Config{Clock: mock})
	_, err := eventbus.SubscribePattern(ctx, bus, ">", eventbus.SubscribeConfig[Order]{Timeout: time.Minute},
		func(ctx context.Context, e eventbus.Event[Order]) error {
			mock.Add(59 * time.Second)
			fmt.Println(context.Cause(ctx))
			mock.Add(time.Second)
			<-ctx.Done()
			fmt.Println(context.Cause(ctx), mock.Since(e.Time()))
			return nil
		})
	if err != nil {
		log.Fatal(err)
	}
	err = eventbus.Publish(ctx, bus, Order{ID: 7})
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// <nil>
	// context deadline exceeded 1m0s
	// <nil>
}

// In a bubble of testing/synctest a bus without a Clock runs on the bubble's
// time: nothing to inject, half a minute takes no time, and a goroutine that is left
// over fails the test.
func TestInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := eventbus.MustNew(eventbus.Config{})
		began, attempts := time.Now(), 0
		orders := eventbus.MustNewTopic[Order](bus, "orders", eventbus.TopicConfig{})
		_, err := orders.SubscribeWith(t.Context(), eventbus.SubscribeConfig[Order]{
			Retry: eventbus.Retry{Attempts: 3, Wait: 10 * time.Second},
		}, func(context.Context, Order) error {
			if attempts++; attempts < 3 {
				return errors.New("mail server down")
			}
			return nil
		})
		err = errors.Join(err, orders.Publish(t.Context(), Order{ID: 7}), bus.Close(t.Context()))
		if took := time.Since(began); err != nil || attempts != 3 || took != 30*time.Second {
			t.Errorf("%d attempts in %v, %v; want 3 in 30s", attempts, took, err)
		}
	})
}

// In a bubble a mock clock is safe to move: Wait makes sure that all timers are
// set before it is.
func TestMockClockInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mock := clock.NewMock()
		bus := eventbus.MustNew(eventbus.Config{Clock: mock})
		attempts := 0
		orders := eventbus.MustNewTopic[Order](bus, "orders", eventbus.TopicConfig{})
		_, err := orders.SubscribeWith(t.Context(), eventbus.SubscribeConfig[Order]{
			Retry: eventbus.Retry{Attempts: 2, Wait: time.Hour},
		}, func(context.Context, Order) error {
			attempts++
			return errors.New("mail server down")
		})
		err = errors.Join(err, orders.Publish(t.Context(), Order{ID: 7}))
		synctest.Wait()
		for _, want := range []int{1, 2} {
			if attempts != want {
				t.Errorf("after %v: %d attempts, want %d", mock.Now().Sub(time.Unix(0, 0)), attempts, want)
			}
			mock.Add(time.Hour)
			synctest.Wait()
		}
		if err := errors.Join(err, bus.Close(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

var (
	_ eventbus.Clock = (*clock.Mock)(nil)
	_ eventbus.Clock = clock.New()
)
