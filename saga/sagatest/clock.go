package sagatest

import (
	"context"
	"time"
)

// after is time.After, in the bubble of a schedule.
func after(d time.Duration) <-chan time.Time { return time.After(d) }

// now is time.Now, there.
func now() time.Time { return time.Now() }

// pause lets system time pass, for a store.
func pause(d time.Duration) { time.Sleep(d) }

// bounded is the context of every call of a store.
func bounded() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}
