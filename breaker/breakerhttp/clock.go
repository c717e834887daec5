package breakerhttp

import (
	"time"

	"github.com/mainstay-go/mainstay/breaker"
)

// date reads the clock that a Retry-After date is taken against. Nil: system
// time. Nothing outside this file looks at the time.
func date(c breaker.Clock) time.Time {
	if c == nil {
		return time.Now()
	}
	return c.Now()
}

// past reports whether a deadline is over. Those of contexts are system time.
func past(deadline time.Time) bool { return !time.Now().Before(deadline) }
