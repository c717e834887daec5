package sagatest

import "time"

// after is time.After, in the bubble of a schedule.
func after(d time.Duration) <-chan time.Time { return time.After(d) }

// now is time.Now, there.
func now() time.Time { return time.Now() }
